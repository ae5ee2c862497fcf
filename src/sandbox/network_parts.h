/* The steps of network_enter, one file each. */
#pragma once
#include "sandbox/network.h"

/* network_links.c: `lo` up; every address of both families is local (a route in table local). */
MUST_USE int network_loopback_up(int rtnetlink);
MUST_USE int network_route_everything(int rtnetlink, int family);
/* Whether the kernel gives this namespace IPv6 at all (not with ipv6.disable=1 or where a sysctl holds). */
bool network_has_ipv6(void);

/* network_sockets.c: fills the descriptors of `n` from a table. */
MUST_USE int network_listen(const struct network_options *o, struct network *n, struct err *e);

/* network_rules.c: the table that redirects and rejects; all in one transaction. */
MUST_USE int network_load_rules(struct err *e);

/* Both families' names in nftables, and the set that keeps what UDP was tried. */
#define NETWORK_TABLE    "exeat"
#define NETWORK_UDP4_SET "udp4"
#define NETWORK_UDP6_SET "udp6"
