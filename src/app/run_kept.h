/* Where a run finds what the runs before it kept: tool caches, an agent's state. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "policy/policy.h"

#include <sys/types.h>

/* What users keep for whom root gave way; our state is closed to them.  0711: each folder in it is one
 * user's. */
#define RUN_SHARED "/var/lib/exeat-jails"

/* Names only; sandbox/mounts makes what is not there. */
struct run_kept {
    const char *cache; /* of one task (name, policy's path, owner) under one policy; NULL: `cache: none` */
    const char *agent; /* of one agent in one project; NULL: the policy names none */
};

struct run_kept_inputs {
    const char *state, *project, *task, *policy_name;
    const struct policy *policy;
    uid_t uid;
    bool drop; /* from root to uid, who cannot look into root's state */
};

MUST_USE int run_kept_find(struct arena *a, const struct run_kept_inputs *in, struct run_kept *ret,
                           struct err *e);
/* Whether the agent that the policy names, if any, is one that is known. */
MUST_USE int run_kept_check_agent(const struct policy *policy, struct err *e);

/* Says that the cache, which is there, is used now, and in use until *ret_lock is closed. */
MUST_USE int run_kept_claim(const char *cache, int *ret_lock);
/* Removes what the same task has kept under other policies, but for the KEPT_EARLIER that were used last and
 * what other runs have claimed: each change of a policy begins a cache anew, and nobody would ever remove the
 * old ones. */
enum { KEPT_EARLIER = 2 };
void run_kept_sweep(const char *cache);
