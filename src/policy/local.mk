noinst_LIBRARIES += %D%/libpolicy.a

%C%_libpolicy_a_CPPFLAGS = $(AM_CPPFLAGS) $(IDN2_CFLAGS) $(PSL_CFLAGS)
%C%_libpolicy_a_SOURCES =

EXTRA_DIST += %D%/DEPS
