/* The environment of a jailed command: the caller's without what leads out or opens doors (run_env.def), the
 * policy's, and the variables of env.def. */
#pragma once
#include "app/env.h"
#include "base/arena.h"
#include "policy/jail.h"

struct run_env_inputs {
    char *const *caller; /* environ(7) */
    const struct policy_jail *jail;
    const struct env_inputs *proxy;
    const char *home, *user, *directory;
    const char *const *more; /* "NAME=value", stronger than the caller's; GIT_CONFIG_COUNT and its pairs are
                                continued; ends with NULL, or is NULL */
    const char *const *keep; /* more names to keep: an agent's login; ends with NULL, or is NULL */
};

/* All in the arena; *ret ends with NULL and holds no name twice.
 * ret_dropped (may be NULL): the names that stay outside. */
MUST_USE int run_environment(struct arena *a, const struct run_env_inputs *in, const char *const **ret,
                             const char *const **ret_dropped, struct err *e);
