noinst_LIBRARIES += %D%/libproxy.a

%C%_libproxy_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libproxy_a_SOURCES = \
	%D%/blockpage.c \
	%D%/blocks.c \
	%D%/blocks.h \
	%D%/capture.c \
	%D%/capture.h \
	%D%/certs.c \
	%D%/certs.h \
	%D%/charge.c \
	%D%/charge.h \
	%D%/client.c \
	%D%/client.h \
	%D%/conn.c \
	%D%/conn.h \
	%D%/dns_names.c \
	%D%/dns_names.h \
	%D%/dns_server.c \
	%D%/dns_server.h \
	%D%/dns_wire.c \
	%D%/dns_wire.h \
	%D%/duplex.c \
	%D%/duplex.h \
	%D%/exchange.c \
	%D%/exchange.h \
	%D%/forward.c \
	%D%/gate.c \
	%D%/gate.h \
	%D%/intercept.c \
	%D%/jail.c \
	%D%/jail.h \
	%D%/proxy.c \
	%D%/proxy.h \
	%D%/relay.c \
	%D%/relay.h \
	%D%/relay_parts.h \
	%D%/relays.c \
	%D%/request.c \
	%D%/settings.c \
	%D%/settings.h \
	%D%/snapshot.c \
	%D%/snapshot.h \
	%D%/sources.c \
	%D%/sources.h \
	%D%/states.def \
	%D%/stream.c \
	%D%/stream.h \
	%D%/tasks.c \
	%D%/tasks.h \
	%D%/tunnel.c \
	%D%/tunnel.h \
	%D%/upstream.c \
	%D%/worker.c \
	%D%/worker.h

EXTRA_DIST += %D%/DEPS
