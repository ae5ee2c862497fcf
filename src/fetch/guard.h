/* The address guard: which addresses may be dialled for a name that is allowed.
 *
 * Loopback, every address of this machine, private, link-local, CGNAT, multicast, metadata services,
 * reserved ranges, and the IPv6 forms that embed such an IPv4 address (mapped, compatible, NAT64, 6to4,
 * Teredo, ISATAP) are forbidden unless the rule names them; the jail's synthetic ranges always are.
 * Pure, except guard_local_refresh. Sources: IANA special-purpose address registries (RFC 6890), RFC 6052. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct fetch_address {
    sa_family_t family; /* AF_INET or AF_INET6 */
    uint16_t port;      /* host order */
    uint8_t bytes[16];  /* network order; IPv4 uses the first four */
};

MUST_USE int fetch_address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct fetch_address *ret);
socklen_t fetch_address_to_sockaddr(const struct fetch_address *a, struct sockaddr_storage *ret);
/* "192.0.2.1", "2001:db8::1"; without the port. */
enum { FETCH_ADDRESS_TEXT = 46 };
void fetch_address_print(const struct fetch_address *a, char ret[FETCH_ADDRESS_TEXT]);
bool fetch_address_same_host(const struct fetch_address *a, const struct fetch_address *b);

/* This machine's own addresses. */
struct guard_local {
    struct fetch_address *at;
    size_t count;
    int64_t read_at;
};

/* NULL where the address may be dialled, else why not: a literal ("loopback", "private network", …). */
const char *guard_forbids(const struct fetch_address *a, const struct guard_local *local);
