noinst_LIBRARIES += %D%/libcli.a

%C%_libcli_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
%C%_libcli_a_SOURCES =

EXTRA_DIST += %D%/DEPS
