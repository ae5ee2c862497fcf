noinst_LIBRARIES += %D%/libconfig.a

%C%_libconfig_a_CPPFLAGS = $(AM_CPPFLAGS) $(YAML_CFLAGS)
%C%_libconfig_a_SOURCES = \
	%D%/document.c \
	%D%/document.h \
	%D%/problems.c \
	%D%/problems.h \
	%D%/schema.c \
	%D%/schema.h \
	%D%/schema_lists.c \
	%D%/schema_values.c \
	%D%/suggest.c \
	%D%/suggest.h

EXTRA_DIST += %D%/DEPS
