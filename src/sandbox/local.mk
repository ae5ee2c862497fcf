noinst_LIBRARIES += %D%/libsandbox.a

%C%_libsandbox_a_CPPFLAGS = $(AM_CPPFLAGS) $(NFTABLES_CFLAGS) $(SECCOMP_CFLAGS)
%C%_libsandbox_a_SOURCES = \
	%D%/agent_calls.def \
	%D%/agent_filter.c \
	%D%/agent_filter.h \
	%D%/agents.def \
	%D%/caches.def \
	%D%/calls.def \
	%D%/calls_if.def \
	%D%/git_config.c \
	%D%/git_config.h \
	%D%/git_keys.def \
	%D%/git_parts.def \
	%D%/inner.h \
	%D%/inner_command.c \
	%D%/inner_setup.c \
	%D%/jail.c \
	%D%/jail.h \
	%D%/jail_limits.def \
	%D%/jail_steps.def \
	%D%/jail_streams.c \
	%D%/jail_streams.h \
	%D%/jail_user.c \
	%D%/jail_user.h \
	%D%/jail_wire.c \
	%D%/jail_wire.h \
	%D%/kernel.def \
	%D%/landlock.c \
	%D%/landlock.h \
	%D%/lockin.c \
	%D%/lockin.h \
	%D%/mount_kinds.def \
	%D%/mounts.c \
	%D%/mounts.h \
	%D%/mounts_arguments.c \
	%D%/mounts_check.c \
	%D%/mounts_command.c \
	%D%/mounts_explain.c \
	%D%/mounts_files.c \
	%D%/mounts_git.c \
	%D%/mounts_git_links.c \
	%D%/mounts_git_named.c \
	%D%/mounts_harmless.c \
	%D%/mounts_home.c \
	%D%/mounts_internal.h \
	%D%/mounts_made.c \
	%D%/mounts_pin.c \
	%D%/mounts_private.c \
	%D%/mounts_report.c \
	%D%/mounts_stage.c \
	%D%/mounts_stray.c \
	%D%/mounts_system.c \
	%D%/mounts_tree.c \
	%D%/mounts_twins.c \
	%D%/netlink.c \
	%D%/netlink.h \
	%D%/network.c \
	%D%/network.h \
	%D%/network_ask.c \
	%D%/network_explain.c \
	%D%/network_links.c \
	%D%/network_parts.h \
	%D%/network_check.c \
	%D%/network_pass.c \
	%D%/network_rules.c \
	%D%/network_sockets.c \
	%D%/runs.def \
	%D%/seccomp.c \
	%D%/seccomp.h \
	%D%/secrets.def \
	%D%/system.def \
	%D%/tree.c \
	%D%/tree.h

EXTRA_DIST += %D%/DEPS
