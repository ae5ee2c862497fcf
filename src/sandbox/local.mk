noinst_LIBRARIES += %D%/libsandbox.a

%C%_libsandbox_a_CPPFLAGS = $(AM_CPPFLAGS) $(NFTABLES_CFLAGS) $(SECCOMP_CFLAGS)
%C%_libsandbox_a_SOURCES = \
	%D%/agent_calls.def \
	%D%/agent_filter.c \
	%D%/agent_filter.h \
	%D%/calls.def \
	%D%/calls_if.def \
	%D%/inner.h \
	%D%/inner_command.c \
	%D%/inner_setup.c \
	%D%/jail_limits.def \
	%D%/jail_steps.def \
	%D%/jail_wire.c \
	%D%/jail_wire.h \
	%D%/landlock.c \
	%D%/landlock.h \
	%D%/lockin.c \
	%D%/lockin.h \
	%D%/netlink.c \
	%D%/netlink.h \
	%D%/network.c \
	%D%/network.h \
	%D%/network_ask.c \
	%D%/network_explain.c \
	%D%/network_links.c \
	%D%/network_parts.h \
	%D%/network_pass.c \
	%D%/network_rules.c \
	%D%/network_sockets.c \
	%D%/seccomp.c \
	%D%/seccomp.h

EXTRA_DIST += %D%/DEPS
