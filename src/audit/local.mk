noinst_LIBRARIES += %D%/libaudit.a

%C%_libaudit_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
%C%_libaudit_a_SOURCES = \
	%D%/audit.h \
	%D%/chain.c \
	%D%/chain.h \
	%D%/event.c \
	%D%/event.h \
	%D%/file.c \
	%D%/file.h \
	%D%/inflight.c \
	%D%/inflight.h \
	%D%/kinds.def \
	%D%/log.h \
	%D%/ports.c \
	%D%/reader.c \
	%D%/reader.h \
	%D%/record.c \
	%D%/record.h \
	%D%/redact.c \
	%D%/redact.h \
	%D%/redact_args.c \
	%D%/redact_args.h \
	%D%/secret_args.def \
	%D%/secret_params.def \
	%D%/tail.c \
	%D%/tail.h \
	%D%/tally.c \
	%D%/tally.h \
	%D%/upkeep.c \
	%D%/verify.c \
	%D%/verify.h \
	%D%/writer.c

EXTRA_DIST += %D%/DEPS
