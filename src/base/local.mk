noinst_LIBRARIES += %D%/libbase.a

%C%_libbase_a_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS)
%C%_libbase_a_SOURCES =

EXTRA_DIST += %D%/DEPS
