noinst_LIBRARIES += %D%/libtls.a

%C%_libtls_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
%C%_libtls_a_SOURCES =

EXTRA_DIST += %D%/DEPS
