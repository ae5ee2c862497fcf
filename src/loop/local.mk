noinst_LIBRARIES += %D%/libloop.a

%C%_libloop_a_CPPFLAGS = $(AM_CPPFLAGS) $(EV_CFLAGS)
%C%_libloop_a_SOURCES = \
	%D%/loop.c \
	%D%/loop.h \
	%D%/watch.c

EXTRA_DIST += %D%/DEPS
