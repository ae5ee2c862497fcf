/* An IP address with a port: what is judged, dialled and recorded. */
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

/* -1 for other families and short structures. */
MUST_USE int fetch_address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct fetch_address *ret);
socklen_t fetch_address_to_sockaddr(const struct fetch_address *a, struct sockaddr_storage *ret);
/* Text without a port: IPv4 in its one form, IPv6 without brackets and zone (http/address.h). */
MUST_USE int fetch_address_parse(struct slice text, uint16_t port, struct fetch_address *ret);
/* "192.0.2.1", "2001:db8::1"; without the port. */
enum { FETCH_ADDRESS_TEXT = 46 };
void fetch_address_print(const struct fetch_address *a, char ret[FETCH_ADDRESS_TEXT]);
bool fetch_address_same_host(const struct fetch_address *a, const struct fetch_address *b);
