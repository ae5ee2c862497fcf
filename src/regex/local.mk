noinst_LIBRARIES += %D%/libregex.a

%C%_libregex_a_CPPFLAGS = $(AM_CPPFLAGS) $(PCRE2_CFLAGS)
%C%_libregex_a_SOURCES = \
	%D%/regex.c \
	%D%/regex.h

EXTRA_DIST += %D%/DEPS
