noinst_LIBRARIES += %D%/libloop.a

%C%_libloop_a_CPPFLAGS = $(AM_CPPFLAGS) $(EV_CFLAGS)
%C%_libloop_a_SOURCES =

EXTRA_DIST += %D%/DEPS
