noinst_LIBRARIES += %D%/libconfig.a

%C%_libconfig_a_CPPFLAGS = $(AM_CPPFLAGS) $(YAML_CFLAGS)
%C%_libconfig_a_SOURCES =

EXTRA_DIST += %D%/DEPS
