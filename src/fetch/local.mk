noinst_LIBRARIES += %D%/libfetch.a

%C%_libfetch_a_CPPFLAGS = $(AM_CPPFLAGS) $(CARES_CFLAGS) $(CURL_CFLAGS) $(EV_CFLAGS)
%C%_libfetch_a_SOURCES = \
	%D%/address.c \
	%D%/address.h \
	%D%/conn.c \
	%D%/dial.c \
	%D%/dial.h \
	%D%/fetch.c \
	%D%/fetch.h \
	%D%/guard.c \
	%D%/guard.def \
	%D%/guard.h \
	%D%/inner.h \
	%D%/local.c \
	%D%/op.c \
	%D%/pool.c \
	%D%/pool.h \
	%D%/resolve.c \
	%D%/resolve.h

EXTRA_DIST += %D%/DEPS
