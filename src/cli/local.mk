noinst_LIBRARIES += %D%/libcli.a

%C%_libcli_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
%C%_libcli_a_SOURCES = \
	%D%/cmd_ca.c \
	%D%/cmd_check.c \
	%D%/cmd_env.c \
	%D%/cmd_log.c \
	%D%/cmd_policy.c \
	%D%/cmd_proxy.c \
	%D%/cmd_run.c \
	%D%/cmd_why.c \
	%D%/commands.def \
	%D%/commands.h \
	%D%/daemon_config.c \
	%D%/daemon_config.h \
	%D%/log_line.c \
	%D%/log_line.h \
	%D%/logs.c \
	%D%/logs.h \
	%D%/options.c \
	%D%/options.h \
	%D%/printable.c \
	%D%/printable.h \
	%D%/project.c \
	%D%/project.h

EXTRA_DIST += %D%/DEPS
