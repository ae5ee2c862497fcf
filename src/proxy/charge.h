/* What a request costs its task: the budgets of its rule, of the policy and of the configuration.
 *
 * A snapshot holds, for each task, the limits and the counters that they speak of (inspect/budgets); an
 * exchange takes from them before a byte is sent and gives back what was not.  Counters are found through the
 * identity of task and rule, so a new snapshot finds what was spent under the old one.  Without limits a
 * request costs one look-up. */
#pragma once
#include "base/arena.h"
#include "inspect/budgets.h"
#include "policy/limits.h"
#include "policy/policy.h"

struct exchange;
struct task_charges;

struct charge_options {
    struct budgets *budgets;
    const char *task;
    const struct policy *policy;
    const struct policy_limits *ceiling; /* the smaller of it and the policy's own counts */
    uint64_t heads; /* bytes of heads for its life, where nothing limits uploads; 0: any number */
    /* All tasks of one owner together; owner NULL: it has none.  Both budgets have one clock. */
    const char *owner;
    struct budgets *owner_budgets;
    const struct policy_limits *owner_ceiling;
};
/* In the arena of a snapshot.  Errors: no memory, or more limited rules than there are counters. */
MUST_USE int charges_new(struct arena *arena, const struct charge_options *o, struct task_charges **ret,
                         struct err *e);

enum charge_kind { CHARGE_RULE, CHARGE_TASK, CHARGE_OWNER, CHARGE_HEADS, CHARGE_KINDS };

/* Of one exchange; zeros: nothing is counted. */
struct charge {
    struct budgets *budgets;
    struct budget_hold requests[CHARGE_HEADS];
    struct budget_hold uploads[CHARGE_KINDS];
    struct budget_limits limits[CHARGE_KINDS]; /* of uploads */
    uint64_t covered;                          /* bytes that may be sent: all of them were taken */
    uint64_t head;                             /* of them those that CHARGE_HEADS counts */
    int64_t idle_ns;                           /* `limits.idle`; 0: none */
};

/* The verdict allows it and its head stands in up_out: takes one request, the head, and a body whose length
 * is known.  -1: refused, with 429. */
MUST_USE int charge_begin(struct exchange *x);
/* So many bytes are about to be sent to the origin, after x->sent.  -1: refused; what was sent already is
 * cut. */
MUST_USE int charge_cover(struct exchange *x, uint64_t upcoming);
/* The exchange ends: what was not sent is given back. */
void charge_end(struct exchange *x);
/* A new snapshot is in force, where `rule` allows the request: its limits count from now on, for all of what
 * is known of this one.  False where more was spent than they allow, or would be. */
MUST_USE bool charge_again(struct exchange *x, const struct task_charges *t, const struct policy_rule *rule);
