noinst_LIBRARIES += %D%/libsandbox.a

%C%_libsandbox_a_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)
%C%_libsandbox_a_SOURCES =

EXTRA_DIST += %D%/DEPS
