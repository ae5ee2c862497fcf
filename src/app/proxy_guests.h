/* The tasks that have come by themselves: runs of users of this machine (app/control.h).
 *
 * Their policies are texts of strangers, compiled here, in the process that has locked itself in, together
 * with the operator's word (`site`, `control`), and again whenever that changes.  A policy that does not load
 * under it any more is as none: its task gets `policy-unavailable`. */
#pragma once
#include "app/load.h"
#include "base/list.h"
#include "inspect/budgets.h"

struct proxy_guests {
    struct list all;
    size_t count;
};

void proxy_guests_init(struct proxy_guests *g);
void proxy_guests_clear(struct proxy_guests *g);

struct guest_options {
    unsigned id;
    const char *task; /* "UID/NAME" */
    unsigned uid;
    enum config_mode mode;
    int bundle;              /* stays the caller's */
    const struct load *load; /* the daemon's, in force */
    const struct bundle *site;
    const struct budgets *budgets; /* the daemon's, for their clock */
};
/* -1: a task of this name is there, or the policy is not acceptable; *e says it with file, line and column.
 */
MUST_USE int proxy_guests_add(struct proxy_guests *g, const struct guest_options *o, struct err *e);
/* Another policy for the one with this id. */
MUST_USE int proxy_guests_change(struct proxy_guests *g, const struct guest_options *o, struct err *e);
/* False: there is no such guest. */
bool proxy_guests_remove(struct proxy_guests *g, unsigned id);
/* NULL: there is no such guest. */
const char *proxy_guests_task(const struct proxy_guests *g, unsigned id);
/* Compiles all of them under another word of the operator's. */
void proxy_guests_judge_again(struct proxy_guests *g, const struct load *load, const struct bundle *site);
/* `from` with the guests among its tasks; *ret_tasks is the caller's to free, after the snapshot was made. */
MUST_USE int proxy_guests_settings(const struct proxy_guests *g, const struct proxy_settings *from,
                                   struct proxy_settings *ret, struct proxy_task_settings **ret_tasks,
                                   struct err *e);
