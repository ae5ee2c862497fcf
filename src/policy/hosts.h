/* Host patterns of a policy: an exact name, "*.example.com", "**.example.com" or an address.
 *
 * Unicode names become A-labels (UTS 46, non-transitional).  A wildcard over a public suffix is refused
 * unless it is `broad` (publicsuffix.org, the list that libpsl was built with: no file is opened).
 * The only file that includes libidn2 and libpsl.
 */
#pragma once
#include "policy/cond.h"

/* -1 with a problem added.  ret->name lies in the context's arena. */
MUST_USE int hosts_parse(struct schema_ctx *ctx, const struct schema_item *item, bool broad,
                         struct host_pattern *ret);
/* "*.example.com" */
MUST_USE int hosts_print(const struct host_pattern *p, struct buf *out);
