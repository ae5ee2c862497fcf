noinst_LIBRARIES += %D%/libapp.a

%C%_libapp_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libapp_a_SOURCES = \
	%D%/env.c \
	%D%/env.def \
	%D%/env.h \
	%D%/trustfiles.c \
	%D%/trustfiles.h

EXTRA_DIST += %D%/DEPS
