noinst_LIBRARIES += %D%/libsandbox.a

%C%_libsandbox_a_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)
%C%_libsandbox_a_SOURCES = \
	%D%/calls.def \
	%D%/calls_if.def \
	%D%/landlock.c \
	%D%/landlock.h \
	%D%/lockin.c \
	%D%/lockin.h \
	%D%/seccomp.c \
	%D%/seccomp.h

EXTRA_DIST += %D%/DEPS
