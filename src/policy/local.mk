noinst_LIBRARIES += %D%/libpolicy.a

%C%_libpolicy_a_CPPFLAGS = $(AM_CPPFLAGS) $(IDN2_CFLAGS) $(PSL_CFLAGS)
%C%_libpolicy_a_SOURCES = \
	%D%/compile.c \
	%D%/cond.h \
	%D%/cond_body.c \
	%D%/cond_headers.c \
	%D%/cond_host.c \
	%D%/cond_method.c \
	%D%/cond_path.c \
	%D%/cond_port.c \
	%D%/cond_query.c \
	%D%/cond_scheme.c \
	%D%/conds.def \
	%D%/covers.c \
	%D%/covers.h \
	%D%/diff.c \
	%D%/diff.h \
	%D%/escapes.c \
	%D%/escapes.h \
	%D%/expires.c \
	%D%/expires.h \
	%D%/explain.c \
	%D%/explain.h \
	%D%/forward.c \
	%D%/forward.h \
	%D%/glob.c \
	%D%/glob.h \
	%D%/hosts.c \
	%D%/hosts.h \
	%D%/index.c \
	%D%/index.h \
	%D%/jail.c \
	%D%/jail.h \
	%D%/jail_keys.c \
	%D%/jail_show.c \
	%D%/limits.c \
	%D%/limits.h \
	%D%/lint.c \
	%D%/lint.h \
	%D%/match.c \
	%D%/model.h \
	%D%/nets.c \
	%D%/nets.h \
	%D%/oneline.c \
	%D%/oneline.h \
	%D%/parts.c \
	%D%/parts.h \
	%D%/passthrough.c \
	%D%/passthrough.h \
	%D%/patterns.c \
	%D%/patterns.h \
	%D%/policy.c \
	%D%/policy.h \
	%D%/preset.c \
	%D%/preset.h \
	%D%/preset_expand.c \
	%D%/preset_values.c \
	%D%/reason.c \
	%D%/reason.h \
	%D%/reasons.def \
	%D%/rule.c \
	%D%/rule.h \
	%D%/shared_hosts.def \
	%D%/show.c \
	%D%/show.h \
	%D%/source_keys.c \
	%D%/source_keys.h \
	%D%/sources.c \
	%D%/sources.h \
	%D%/summary.c \
	%D%/summary.h \
	%D%/tests.c \
	%D%/tests.h

EXTRA_DIST += %D%/DEPS
