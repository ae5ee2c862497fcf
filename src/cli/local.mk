noinst_LIBRARIES += %D%/libcli.a

%C%_libcli_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
%C%_libcli_a_SOURCES = \
	%D%/cmd_ca.c \
	%D%/cmd_check.c \
	%D%/cmd_doctor.c \
	%D%/cmd_env.c \
	%D%/cmd_init.c \
	%D%/cmd_log.c \
	%D%/cmd_policy.c \
	%D%/cmd_proxy.c \
	%D%/cmd_reload.c \
	%D%/cmd_run.c \
	%D%/cmd_trust.c \
	%D%/cmd_why.c \
	%D%/commands.def \
	%D%/commands.h \
	%D%/daemon_config.c \
	%D%/daemon_config.h \
	%D%/doctor.def \
	%D%/help.c \
	%D%/help.h \
	%D%/init_files.c \
	%D%/init_remotes.c \
	%D%/init_scan.h \
	%D%/init_signs.def \
	%D%/judging.c \
	%D%/judging.h \
	%D%/log_line.c \
	%D%/log_line.h \
	%D%/logs.c \
	%D%/logs.h \
	%D%/options.c \
	%D%/options.h \
	%D%/policy_actions.h \
	%D%/policy_lint.c \
	%D%/policy_replay.c \
	%D%/policy_test.c \
	%D%/project.c \
	%D%/project.h \
	%D%/project_policy.c \
	%D%/reload_call.c \
	%D%/reload_call.h \
	%D%/trust_prompt.c \
	%D%/trust_prompt.h

EXTRA_DIST += %D%/DEPS

# Manual pages: what `--help` prints, as man(7). A test holds the list against commands.def.
man1_PAGES = \
	%D%/man/exeat.1 \
	%D%/man/exeat-ca.1 \
	%D%/man/exeat-check.1 \
	%D%/man/exeat-doctor.1 \
	%D%/man/exeat-env.1 \
	%D%/man/exeat-init.1 \
	%D%/man/exeat-log.1 \
	%D%/man/exeat-policy.1 \
	%D%/man/exeat-proxy.1 \
	%D%/man/exeat-reload.1 \
	%D%/man/exeat-run.1 \
	%D%/man/exeat-trust.1 \
	%D%/man/exeat-why.1
nodist_man1_MANS = $(man1_PAGES)
CLEANFILES += $(man1_PAGES)

%D%/man/exeat.1: bin/exeat$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && bin/exeat$(EXEEXT) --help=man > $@.tmp && mv $@.tmp $@
%D%/man/exeat-%.1: bin/exeat$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && bin/exeat$(EXEEXT) $* --help=man > $@.tmp && mv $@.tmp $@
