/* The names that a jail's programs have asked for, and the address that each got (design: The jail, 4).
 *
 * A name's address comes from a synthetic range, leads nowhere, and is never given to another name as long as
 * the jail lives: it is only a way to carry the name from the look-up to the connection.  Both families use
 * one number: 198.18.0.0/15 (RFC 2544) and 2001:2::/48 (RFC 5180), which the address guard forbids as
 * destinations. Thread-safe; shared by the workers. */
#pragma once
#include "base/caps.h"
#include "fetch/address.h"

struct dns_names;
MUST_USE struct dns_names *dns_names_new(void);
void dns_names_free(struct dns_names *n);
DEFINE_AUTO(dns_names)

/* `name` is lower-case and at most CAP_HOST_BYTES long.  The number of its address, made at the first asking
 * (*ret_fresh).  -1: as many as there may be are there (CAP_JAIL_NAMES). */
MUST_USE int dns_names_number(struct dns_names *n, struct slice name, uint32_t *ret_number, bool *ret_fresh);
/* The name whose address `a` is: its length; 0 where it is nobody's. */
size_t dns_names_of(struct dns_names *n, const struct fetch_address *a, char ret_name[CAP_HOST_BYTES + 1]);

/* The address of a number, network order. */
void dns_address4(uint32_t number, uint8_t ret[4]);
void dns_address6(uint32_t number, uint8_t ret[16]);
