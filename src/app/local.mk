noinst_LIBRARIES += %D%/libapp.a

%C%_libapp_a_CPPFLAGS = $(AM_CPPFLAGS) -DEXEAT_BUBBLEWRAP=\"$(BUBBLEWRAP)\"
%C%_libapp_a_SOURCES = \
	%D%/budget_store.c \
	%D%/budget_store.h \
	%D%/bundle.c \
	%D%/bundle.h \
	%D%/cafiles.c \
	%D%/cafiles.h \
	%D%/config.c \
	%D%/config.h \
	%D%/config_proxy.c \
	%D%/config_proxy.h \
	%D%/daemon.c \
	%D%/daemon.h \
	%D%/env.c \
	%D%/env.def \
	%D%/env.h \
	%D%/env_print.c \
	%D%/env_print.h \
	%D%/files.c \
	%D%/files.h \
	%D%/folders.c \
	%D%/folders.h \
	%D%/ipc.c \
	%D%/ipc.h \
	%D%/ipc_messages.def \
	%D%/listeners.c \
	%D%/listeners.h \
	%D%/load.c \
	%D%/load.h \
	%D%/notify.c \
	%D%/notify.h \
	%D%/proxy_role.c \
	%D%/proxy_role.h \
	%D%/registries.c \
	%D%/registries.def \
	%D%/registries.h \
	%D%/registries_internal.h \
	%D%/registries_lines.c \
	%D%/registries_toml.c \
	%D%/registries_xml.c \
	%D%/registries_yaml.c \
	%D%/role.c \
	%D%/role.h \
	%D%/run.c \
	%D%/run.h \
	%D%/run_child.c \
	%D%/run_child.h \
	%D%/run_config.c \
	%D%/run_config.h \
	%D%/run_summary.c \
	%D%/run_summary.h \
	%D%/signals.c \
	%D%/signals.h \
	%D%/sealer.c \
	%D%/sealer.h \
	%D%/state.c \
	%D%/state.h \
	%D%/supervisor.c \
	%D%/supervisor.h \
	%D%/supervisor_internal.h \
	%D%/supervisor_roles.c \
	%D%/texts.c \
	%D%/texts.h \
	%D%/trust.c \
	%D%/trust.h \
	%D%/trustfiles.c \
	%D%/trustfiles.h

EXTRA_DIST += %D%/DEPS
