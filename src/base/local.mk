noinst_LIBRARIES += %D%/libbase.a

%C%_libbase_a_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS)
%C%_libbase_a_SOURCES = \
	%D%/arena.c \
	%D%/arena.h \
	%D%/buf.c \
	%D%/buf.h \
	%D%/caps.h \
	%D%/clock.c \
	%D%/clock.h \
	%D%/crypto.c \
	%D%/crypto.h \
	%D%/err.c \
	%D%/err.h \
	%D%/io.c \
	%D%/io.h \
	%D%/json.c \
	%D%/json.h \
	%D%/list.h \
	%D%/log.c \
	%D%/log.h \
	%D%/lru.c \
	%D%/lru.h \
	%D%/macros.c \
	%D%/macros.h \
	%D%/printable.c \
	%D%/printable.h \
	%D%/rate.c \
	%D%/rate.h \
	%D%/sanitized.h \
	%D%/seal.c \
	%D%/seal.h \
	%D%/slice.c \
	%D%/slice.h \
	%D%/ulid.c \
	%D%/ulid.h \
	%D%/version.c \
	%D%/version.h

EXTRA_DIST += %D%/DEPS
