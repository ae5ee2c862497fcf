#include "fetch/guard.h"

#include <endian.h>

/* Where an IPv4 address lies in an IPv6 one. */
enum embedded {
    EMBEDDED_NONE,
    EMBEDDED_LAST,      /* the last four bytes */
    EMBEDDED_SIXTOFOUR, /* bytes 2 to 5 */
    EMBEDDED_TEREDO,    /* the server in bytes 4 to 7, the client inverted in the last four (RFC 4380 4) */
    EMBEDDED_NAT64_48,  /* bytes 6, 7, 9 and 10 (RFC 6052 2.2) */
};

struct range4 {
    uint32_t net, mask;
    const char *label;
};

struct range6 {
    uint64_t net[2], mask[2];
    uint8_t length;
    enum embedded embedded;
    const char *label;
};

/* A mask of the n highest bits, for any n; "& 63" is for the compiler, which also looks at the branch not
 * taken. */
#define HIGH_BITS(n)       ((n) <= 0 ? 0 : (n) >= 64 ? UINT64_MAX : UINT64_MAX << ((64 - (n)) & 63))
#define GROUPS(a, b, c, d) ((uint64_t)(a) << 48 | (uint64_t)(b) << 32 | (uint64_t)(c) << 16 | (uint64_t)(d))

static const struct range4 ranges4[] = {
#define RANGE4(a, b, c, d, n, label)                                                                         \
    {(uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d), (uint32_t)(HIGH_BITS(n) >> 32), label},
#include "fetch/guard.def"
#undef RANGE4
};

static const struct range6 ranges6[] = {
#define RANGE6(a, b, c, d, e, f, g, h, n, label, embedded)                                                   \
    {{GROUPS(a, b, c, d), GROUPS(e, f, g, h)},                                                               \
     {HIGH_BITS(n), HIGH_BITS((n)-64)},                                                                      \
     n,                                                                                                      \
     EMBEDDED_##embedded,                                                                                    \
     label},
#include "fetch/guard.def"
#undef RANGE6
};

static const struct range4 *find4(uint32_t address)
{
    const struct range4 *best = &ranges4[0];

    for (size_t i = 1; i < ARRAY_LEN(ranges4); i++)
        if ((address & ranges4[i].mask) == ranges4[i].net && ranges4[i].mask >= best->mask)
            best = &ranges4[i];
    return best;
}

static const struct range6 *find6(const uint64_t address[2])
{
    const struct range6 *best = &ranges6[0];

    for (size_t i = 1; i < ARRAY_LEN(ranges6); i++) {
        const struct range6 *r = &ranges6[i];
        if ((address[0] & r->mask[0]) == r->net[0] && (address[1] & r->mask[1]) == r->net[1] &&
            r->length >= best->length)
            best = r;
    }
    return best;
}

static bool is_own(const struct fetch_address *a, const struct guard_local *local)
{
    for (size_t i = 0; local && i < local->count; i++)
        if (fetch_address_same_host(a, &local->at[i]))
            return true;
    return false;
}

static const char *judge4(const uint8_t bytes[4], const struct guard_local *local)
{
    struct fetch_address a = {.family = AF_INET};
    uint32_t number;

    memcpy(&number, bytes, 4);
    const char *label = find4(be32toh(number))->label;
    if (label)
        return label;
    memcpy(a.bytes, bytes, 4);
    return is_own(&a, local) ? "address of this machine" : NULL;
}

static const char *judge_teredo(const uint8_t bytes[16], const struct guard_local *local)
{
    uint8_t client[4];
    const char *label = judge4(bytes + 4, local);

    for (int i = 0; i < 4; i++)
        client[i] = bytes[12 + i] ^ 0xff;
    return label ? label : judge4(client, local);
}

static const char *judge_embedded(enum embedded embedded, const uint8_t bytes[16],
                                  const struct guard_local *local)
{
    switch (embedded) {
    case EMBEDDED_NONE:
        return NULL;
    case EMBEDDED_LAST:
        return judge4(bytes + 12, local);
    case EMBEDDED_SIXTOFOUR:
        return judge4(bytes + 2, local);
    case EMBEDDED_TEREDO:
        return judge_teredo(bytes, local);
    case EMBEDDED_NAT64_48:
        return judge4((uint8_t[4]){bytes[6], bytes[7], bytes[9], bytes[10]}, local);
    }
    return "reserved address";
}

/* RFC 5214 6.1: an interface identifier of 00-00-5E-FE or 02-00-5E-FE and the IPv4 address, below any prefix.
 */
static bool is_isatap(const uint8_t bytes[16])
{
    return (bytes[8] & ~2) == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe;
}

static const char *judge6(const struct fetch_address *a, const struct guard_local *local)
{
    uint64_t halves[2];

    memcpy(halves, a->bytes, sizeof halves);
    halves[0] = be64toh(halves[0]);
    halves[1] = be64toh(halves[1]);
    const struct range6 *range = find6(halves);
    const char *label = judge_embedded(range->embedded, a->bytes, local);
    if (!label)
        label = range->label;
    if (!label && is_isatap(a->bytes))
        label = judge4(a->bytes + 12, local);
    if (!label && is_own(a, local))
        label = "address of this machine";
    return label;
}

const char *guard_forbids(const struct fetch_address *a, const struct guard_local *local)
{
    if (a->family == AF_INET)
        return judge4(a->bytes, local);
    return a->family == AF_INET6 ? judge6(a, local) : "reserved address";
}

bool guard_is_final(const char *label)
{
    return strcmp(label, "synthetic range") == 0;
}

struct fetch_address guard_unmapped(const struct fetch_address *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    struct fetch_address four = {.family = AF_INET, .port = a->port};

    if (a->family != AF_INET6 || memcmp(a->bytes, prefix, sizeof prefix) != 0)
        return *a;
    memcpy(four.bytes, a->bytes + 12, 4);
    return four;
}

static bool is_unspecified(const struct fetch_address *a)
{
    static const uint8_t zeros[16];
    return memcmp(a->bytes, zeros, a->family == AF_INET ? 4 : 16) == 0;
}

static bool is_this_machine(const struct fetch_address *a, const struct guard_local *local)
{
    static const uint8_t loopback6[16] = {[15] = 1};

    if (a->family == AF_INET ? a->bytes[0] == 127 : memcmp(a->bytes, loopback6, 16) == 0)
        return true;
    return is_unspecified(a) || is_own(a, local);
}

bool guard_is_listener(const struct fetch_address *a, const struct fetch_address *listeners, size_t count,
                       const struct guard_local *local)
{
    struct fetch_address to = guard_unmapped(a);

    for (size_t i = 0; i < count; i++) {
        struct fetch_address listener = guard_unmapped(&listeners[i]);
        if (listener.port != 0 && listener.port != to.port)
            continue;
        if (fetch_address_same_host(&to, &listener) || is_unspecified(&to))
            return true;
        if (is_unspecified(&listener) && is_this_machine(&to, local))
            return true;
    }
    return false;
}
