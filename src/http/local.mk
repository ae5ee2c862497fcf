noinst_LIBRARIES += %D%/libhttp.a

%C%_libhttp_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libhttp_a_SOURCES =

EXTRA_DIST += %D%/DEPS
