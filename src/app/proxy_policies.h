/* What the proxy role judges by: the configuration's tasks, and the guests; and the snapshots made of both.
 */
#pragma once
#include "app/proxy_guests.h"

struct proxy_policies {
    struct bundle *bundle;
    struct load *load;
    struct proxy_guests guests;
    uint64_t generation;
    /* The owner's; set before the first load. */
    const struct fetch_address *listeners;
    size_t listener_count;
    struct budgets *budgets;
};

void proxy_policies_init(struct proxy_policies *p);
void proxy_policies_clear(struct proxy_policies *p);

/* Another configuration: all of it is in force from *ret_snapshot on, or nothing has changed. */
MUST_USE int proxy_policies_load(struct proxy_policies *p, int bundle_fd,
                                 struct proxy_snapshot **ret_snapshot, struct err *e);
/* After a change of the guests. */
MUST_USE int proxy_policies_snapshot(struct proxy_policies *p, struct proxy_snapshot **ret_snapshot,
                                     struct err *e);
