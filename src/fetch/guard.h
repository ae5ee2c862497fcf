/* The address guard: which addresses may be dialled for a name that is allowed.
 *
 * Loopback, every address of this machine, private, link-local, CGNAT, multicast, metadata services,
 * reserved ranges, and the IPv6 forms that embed such an IPv4 address (mapped, compatible, translated,
 * NAT64, 6to4, Teredo, ISATAP) are forbidden unless the rule names them; the jail's synthetic ranges
 * always are.  Outside 2000::/3, IPv6 is forbidden by default: IANA has given out nothing else.
 * Pure, except guard_local_read and guard_local_refresh.  Sources: IANA special-purpose address
 * registries (RFC 6890), the IPv6 address space registry, RFC 6052; the table is guard.def. */
#pragma once
#include "fetch/address.h"

/* This machine's own addresses (getifaddrs(3)). */
struct guard_local {
    struct fetch_address *at;
    size_t count;
    int64_t read_at;
};

/* Reads them anew: a netlink socket for a moment, no waiting.  On failure the list stays as it was. */
MUST_USE int guard_local_read(struct guard_local *local, int64_t now_ns, struct err *e);
/* As above, where the list is older than GUARD_LOCAL_NS.  A list that cannot be read anew is kept. */
#define GUARD_LOCAL_NS (2 * 1000000000ll)
void guard_local_refresh(struct guard_local *local, int64_t now_ns);
void guard_local_free(struct guard_local *local);

/* NULL where the address may be dialled, else why not: a literal ("loopback", "private network", …).
 * `local` may be NULL: then nothing is known of this machine. */
const char *guard_forbids(const struct fetch_address *a, const struct guard_local *local);

/* Whether no rule can let through what guard_forbids gave this label for: the jail's synthetic ranges. */
bool guard_is_final(const char *label);
/* As the kernel dials it: an IPv4-mapped address is the IPv4 address (RFC 4291 2.5.5.2), anything else itself. */
struct fetch_address guard_unmapped(const struct fetch_address *a);

/* Whether dialling `a`, with its port, would reach one of these listeners: the same address, or any
 * address of this machine where the listener is on 0.0.0.0 or [::].  Port 0 of a listener: any port.
 * The unspecified address counts as all of this machine's: connect(2) takes it to loopback. */
bool guard_is_listener(const struct fetch_address *a, const struct fetch_address *listeners, size_t count,
                       const struct guard_local *local);
