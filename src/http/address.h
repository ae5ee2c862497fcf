/* IP addresses as text, in the one form that this program writes. */
#pragma once
#include "base/slice.h"

enum { HTTP_IPV6_TEXT = 46 }; /* INET6_ADDRSTRLEN */

/* Four decimal numbers without leading zeros; octal, hex, short and integer forms are -1. */
MUST_USE int http_ipv4_parse(struct slice text, uint8_t ret_address[4]);
/* Any text of RFC 4291 2.2 without brackets and without a zone (inet_pton(3)). */
MUST_USE int http_ipv6_parse(struct slice text, uint8_t ret_address[16]);
/* RFC 5952: lower case, the longest run of zero groups shortened, ::ffff:a.b.c.d for mapped addresses.
 * Returns the length. */
size_t http_ipv6_print(const uint8_t address[16], char ret_text[HTTP_IPV6_TEXT]);
