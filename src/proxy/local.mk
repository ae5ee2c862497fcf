noinst_LIBRARIES += %D%/libproxy.a

%C%_libproxy_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libproxy_a_SOURCES =

EXTRA_DIST += %D%/DEPS
