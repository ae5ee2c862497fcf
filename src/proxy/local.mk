noinst_LIBRARIES += %D%/libproxy.a

%C%_libproxy_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libproxy_a_SOURCES = \
	%D%/blockpage.c \
	%D%/blocks.c \
	%D%/blocks.h \
	%D%/certs.c \
	%D%/certs.h \
	%D%/conn.c \
	%D%/conn.h \
	%D%/exchange.c \
	%D%/exchange.h \
	%D%/forward.c \
	%D%/intercept.c \
	%D%/proxy.c \
	%D%/proxy.h \
	%D%/request.c \
	%D%/settings.c \
	%D%/settings.h \
	%D%/snapshot.c \
	%D%/snapshot.h \
	%D%/states.def \
	%D%/stream.c \
	%D%/stream.h \
	%D%/tasks.c \
	%D%/tasks.h \
	%D%/upstream.c \
	%D%/worker.c \
	%D%/worker.h

EXTRA_DIST += %D%/DEPS
