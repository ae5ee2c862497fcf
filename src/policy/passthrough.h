/* `tls: passthrough`: a host whose connections are not terminated, for clients that trust no other CA.
 *
 * Such a rule is host-only: host, ports, expires, broad, addresses and limits, since nobody sees what is
 * asked for inside.  Which rule opens a connection, the first in the file that fits its host and port, says
 * for all of it whether it is terminated: behind a terminated rule a later passthrough rule widens nothing,
 * and behind a passthrough rule the later ones of that host are not asked.  Where a deny rule speaks of parts
 * of requests to that host and port, its connections are terminated after all: in a tunnel nobody could see
 * what it forbids. */
#pragma once
#include "config/schema.h"

struct policy_rule;
schema_read passthrough_read; /* `tls`; the field is the struct policy_rule */
/* -1 with a problem for each key that a host-only rule may not have. */
MUST_USE int passthrough_check(struct schema_ctx *ctx, const struct node *mapping);
