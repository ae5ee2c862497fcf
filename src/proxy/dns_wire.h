/* DNS messages as a jail's own name server needs them: one question in, one answer out (RFC 1035 4, RFC
 * 6891).
 *
 * Pure: bytes in, struct out; no descriptor, clock or log.  Strict: one question without compression, no
 * records but an OPT, nothing behind the end.  Fuzzed by tests/fuzz/fuzz_dns.c. */
#pragma once
#include "base/caps.h"
#include "base/slice.h"

enum { DNS_UDP_BYTES = 512, DNS_MESSAGE_BYTES = 1232 }; /* without EDNS; the most we send or read over UDP */

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_BADVERS = 16, /* RFC 6891 6.1.3: its upper bits stand in the OPT record */
};
enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28, DNS_OPT = 41 };

struct dns_query {
    uint16_t id, flags;
    size_t question_len; /* of the question as it was received: echoed, with its mixed case (0x20) */
    uint16_t type;
    bool edns;
    uint16_t udp_size; /* what the asker takes: at least DNS_UDP_BYTES */
    /* Lower-case text without the final dot; empty for the root.  What no host name can be (other bytes than
     * letters, digits, '-' and '_', or too long for one) has host false, and then no text either. */
    bool host;
    size_t name_len;
    char name[CAP_HOST_BYTES + 1];
};

/* 0; or an enum dns_rcode to answer with (only id, flags, edns, udp_size and question_len of *ret are set
 * then); or -1: not a query, nothing is answered. */
MUST_USE int dns_parse(struct slice message, struct dns_query *ret);

struct dns_answer {
    enum dns_rcode rcode;
    uint16_t type; /* 0: no record */
    uint32_t ttl;
    size_t len;
    uint8_t data[CAP_HOST_BYTES + 2];
};
/* `name` (text) as the data of a PTR record. */
void dns_answer_name(struct dns_answer *a, struct slice name);

/* The response to `message`, of which `q` was parsed, into ret[size]; where it is longer than the asker takes
 * (`limit`), it is cut to the question with the TC flag.  Returns its length, 0 where not even that fits. */
MUST_USE size_t dns_write(struct slice message, const struct dns_query *q, const struct dns_answer *a,
                          size_t limit, uint8_t *ret, size_t size);

/* "4.3.2.1.in-addr.arpa", or 32 nibbles under ip6.arpa (RFC 1035 3.5, RFC 3596 2.5): 4, 16, or 0 for neither.
 */
unsigned dns_reverse(struct slice name, uint8_t ret_address[16]);
