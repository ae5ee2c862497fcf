/* The names that a host certificate may be for: one canonical host name or address.
 *
 * Canonical as http/target.h writes them: lower-case A-labels without the final dot, dotted decimal IPv4,
 * RFC 5952 IPv6 without brackets.  The keeper judges again what the proxy judged before: whoever has taken
 * over the proxy still gets no wildcard, no empty and no second spelling out of it.
 */
#pragma once
#include "base/slice.h"

enum tls_name_kind { TLS_NAME_DNS, TLS_NAME_IPV4, TLS_NAME_IPV6 };

struct tls_name {
    enum tls_name_kind kind;
    struct slice text;   /* the caller's bytes */
    uint8_t address[16]; /* network order; IPv4 uses the first four */
};

/* -1 where `text` is anything but such a name; hostile input. */
MUST_USE int tls_name_parse(struct slice text, struct tls_name *ret);
/* 4, 16, or 0 for a DNS name. */
size_t tls_name_address_bytes(const struct tls_name *name);
