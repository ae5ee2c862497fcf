noinst_LIBRARIES += %D%/libaudit.a

%C%_libaudit_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
%C%_libaudit_a_SOURCES =

EXTRA_DIST += %D%/DEPS
