/* What a policy's `limits` say (interfaces.md 1): numbers only.  Who counts is inspect/budgets.
 *
 *     limits: {upload: 1MiB/day, requests: 30/min, idle: 5min}
 *
 * One text names one window.  Where several files limit the policy (`extends`), the smaller amount counts in
 * each window, and all windows that are written hold side by side: 30 a minute and 1000 a day. */
#pragma once
#include "base/json.h"
#include "config/schema.h"

/* LIMIT_RUN: for a run, or for the life of a daemon's task; the others are rolling. */
enum limit_window { LIMIT_RUN, LIMIT_DAY, LIMIT_HOUR, LIMIT_MINUTE, LIMIT_WINDOWS };

enum { LIMIT_HEADS_BYTES = 16 << 20 }; /* for a run, of heads, where neither policy nor rule limits uploads */

struct policy_limit {
    bool written;
    uint64_t amount; /* bytes, or requests; 0: none at all */
};

struct policy_limits {
    struct policy_limit upload[LIMIT_WINDOWS];   /* every byte sent to the origin: heads, bodies, frames */
    struct policy_limit requests[LIMIT_WINDOWS]; /* 30/min: the 31st within any 60 s is too much */
    int64_t idle_ns;                             /* 0: not written */
};

struct policy;
struct policy_rule;
/* Of the policy as a whole: all its rules draw on it. */
const struct policy_limits *policy_limits(const struct policy *p);
/* Of one allow rule, in addition; nothing is `written` where the rule has none.  NULL rule: as none.
 * A rule is the same after a reload where file and name (policy_rule_info) are: names are unique in a file.
 */
const struct policy_limits *policy_rule_limits(const struct policy_rule *r);

bool limits_any(const struct policy_limit of[LIMIT_WINDOWS]); /* whether a window is written */
/* The smaller of both into *to. */
void limits_narrow(struct policy_limits *to, const struct policy_limits *by);
/* Whether `after` lets more through in any window, or waits longer; where nothing is written there is no limit. */
bool limits_raised(const struct policy_limits *before, const struct policy_limits *after);
schema_read limits_read; /* struct policy_limits */
/* "upload 1MiB/day, requests 30/min, idle 5min"; nothing where none is written. */
MUST_USE int limits_show(const struct policy_limits *l, struct buf *out);
/* {"upload":["1MiB/day"],"requests":["30/min"],"idle":"5min"}: keys that are written. */
void limits_json(const struct policy_limits *l, struct json *j);
