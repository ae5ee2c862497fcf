/* `control` and `site` of the configuration: runs that come by themselves (app/control.h).
 *
 *     control: /run/exeat/control.sock
 *     control: {socket: /run/exeat/control.sock, group: agents, addresses: [10.1.0.0/16]}
 *     site: ./site.yaml
 */
#pragma once
#include "app/config.h"
#include "config/schema.h"

/* As the schema reads it; zeros: nothing is written. */
struct control_raw {
    struct schema_item socket, group;
    struct schema_cidrs addresses;
};

schema_read control_read; /* struct control_raw: a path, or a mapping */

/* The rest of `control`, whose path stands in c->control already. */
MUST_USE int config_control_take(struct config *c, const struct control_raw *raw, struct problems *problems);
/* Whether a task that comes by `control` may name this network. */
bool config_control_lends(const struct config *c, const struct policy_net *net);
