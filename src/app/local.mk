noinst_LIBRARIES += %D%/libapp.a

%C%_libapp_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libapp_a_SOURCES =

EXTRA_DIST += %D%/DEPS
