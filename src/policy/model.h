/* A policy as it is in memory: immutable once compiled, all of it in the snapshot's arena. */
#pragma once
#include "policy/expires.h"
#include "policy/index.h"
#include "policy/jail.h"
#include "policy/limits.h"
#include "policy/nets.h"
#include "policy/policy.h"
#include "policy/tests.h"

#include <stdatomic.h>

/* Where rules come from: the policy itself, a file that it extends, a preset, or the operator's word over all
 * policies. */
enum origin_kind { ORIGIN_TOP, ORIGIN_FILE, ORIGIN_PRESET, ORIGIN_SITE };

struct policy_origin {
    enum origin_kind kind;
    const char *file;             /* for records and messages: ".exeat.yaml", "team.yaml", "preset:npm" */
    const char *preset;           /* its name */
    const char *values;           /* of a preset's parameters, for show; NULL: none */
    struct policy_nets addresses; /* of a preset's allow rules, by the policy's word */
    unsigned rules;               /* so far */
};

struct policy_rule { /* first what judging reads, so that it lies together */
    struct policy *policy;
    unsigned order; /* in the policy with all it extends, allow and deny rules together, from 0 */
    bool deny;
    bool encoded_slash;           /* of an allow rule: also speaks of paths with %2F */
    bool passthrough;             /* of an allow rule: not terminated */
    bool broad;                   /* a wildcard over a public suffix is meant */
    struct expiry expires;        /* from then on the rule is as if it were not there */
    const void *cond[PART_COUNT]; /* each of the type of its cond_<name>.c; NULL: any */
    const struct policy_origin *origin;
    const char *name;
    const char *message; /* of a deny rule; NULL where none is written */
    unsigned line, column;
    unsigned number;              /* in its file, from 1 */
    struct policy_nets addresses; /* of an allow rule: internal networks that it may lead to */
    struct policy_limits limits;  /* of an allow rule */
};

/* What does not lie in the arena. */
struct policy_cleanup {
    void (*drop)(void *what);
    void *what;
    struct policy_cleanup *next;
};

struct policy {
    atomic_uint refs;
    struct arena arena;
    const char *file, *task;
    enum policy_mode mode;
    struct expiry expires; /* from then on it allows nothing; deny rules stay */
    struct policy_limits limits;
    struct policy_jail jail;
    struct policy_tests tests;
    bool needs_headers, has_passthrough;
    char digest[65];
    struct policy_origin **origins; /* in the order of their rules; the first is the policy itself */
    size_t origin_count;
    size_t regex_bytes; /* of all expressions, compiled */
    struct policy_rule **rules; /* in the order of the files, and in each in its order */
    size_t rule_count;
    struct host_index index;
    struct policy_cleanup *cleanups;
};

/* Takes `what` over, also on failure: drop(what) is called when the policy goes. */
MUST_USE int policy_on_free(struct policy *p, void (*drop)(void *what), void *what);
