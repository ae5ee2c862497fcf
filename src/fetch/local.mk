noinst_LIBRARIES += %D%/libfetch.a

%C%_libfetch_a_CPPFLAGS = $(AM_CPPFLAGS) $(CARES_CFLAGS) $(CURL_CFLAGS)
%C%_libfetch_a_SOURCES =

EXTRA_DIST += %D%/DEPS
