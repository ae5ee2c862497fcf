noinst_LIBRARIES += %D%/libtls.a

%C%_libtls_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
%C%_libtls_a_SOURCES = \
	%D%/ca.c \
	%D%/ca.h \
	%D%/cert.c \
	%D%/cert.h \
	%D%/client.c \
	%D%/conn.c \
	%D%/conn.h \
	%D%/conn_internal.h \
	%D%/context.c \
	%D%/describe.c \
	%D%/describe.h \
	%D%/hello.c \
	%D%/hello.h \
	%D%/internal.h \
	%D%/keeper.c \
	%D%/keeper.h \
	%D%/keeper_wire.c \
	%D%/mint.c \
	%D%/name.c \
	%D%/name.h \
	%D%/roots.c \
	%D%/roots.h \
	%D%/server.c \
	%D%/trust.c \
	%D%/trust_internal.h \
	%D%/x509.c

EXTRA_DIST += %D%/DEPS
