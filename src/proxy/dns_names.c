#include "proxy/dns_names.h"

#include "base/lru.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKETS = 2 * CAP_JAIL_NAMES, RANGE4 = 0xc6120000, RANGE4_BITS = 17 };
_Static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a mask finds the bucket");
_Static_assert(CAP_JAIL_NAMES < 1 << RANGE4_BITS, "each name has an address of its own");

/* Number 0, the range's own address, is nobody's. */
struct dns_names {
    pthread_mutex_t lock;
    uint32_t count;
    char *text[CAP_JAIL_NAMES + 1];
    uint32_t bucket[BUCKETS]; /* numbers; 0: empty.  Linear probing, never more than half full */
};

struct dns_names *dns_names_new(void)
{
    struct dns_names *n = calloc(1, sizeof *n);
    if (n)
        pthread_mutex_init(&n->lock, NULL);
    return n;
}

void dns_names_free(struct dns_names *n)
{
    if (!n)
        return;
    for (uint32_t i = 1; i <= n->count; i++)
        free(n->text[i]);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

/* Where the name stands, or the empty bucket where it belongs. */
static uint32_t *find(struct dns_names *n, struct slice name)
{
    size_t at = hash_bytes(name) & (BUCKETS - 1);
    while (n->bucket[at] && !slice_eq(slice_str(n->text[n->bucket[at]]), name))
        at = (at + 1) & (BUCKETS - 1);
    return &n->bucket[at];
}

int dns_names_number(struct dns_names *n, struct slice name, uint32_t *ret_number, bool *ret_fresh)
{
    pthread_mutex_lock(&n->lock);
    uint32_t *bucket = find(n, name);
    bool fresh = *bucket == 0;
    char *copy = fresh && n->count < CAP_JAIL_NAMES ? slice_dup(name) : NULL;
    if (copy) {
        n->text[++n->count] = copy;
        *bucket = n->count;
    }
    uint32_t number = *bucket;
    pthread_mutex_unlock(&n->lock);
    if (!number)
        return -1;
    *ret_number = number;
    *ret_fresh = fresh;
    return 0;
}

static uint32_t read32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write32(uint32_t value, uint8_t *at)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

void dns_address4(uint32_t number, uint8_t ret[4])
{
    write32(RANGE4 + number, ret);
}

void dns_address6(uint32_t number, uint8_t ret[16])
{
    static const uint8_t range[16] = {0x20, 0x01, 0x00, 0x02};
    memcpy(ret, range, sizeof range);
    write32(number, ret + 12);
}

/* 0: not of our ranges. */
static uint32_t number_of(const struct fetch_address *a)
{
    uint8_t same[16];
    uint32_t number = a->family == AF_INET ? read32(a->bytes) - RANGE4 : read32(a->bytes + 12);
    if (a->family == AF_INET)
        dns_address4(number, same);
    else
        dns_address6(number, same);
    return memcmp(same, a->bytes, a->family == AF_INET ? 4 : 16) == 0 ? number : 0;
}

size_t dns_names_of(struct dns_names *n, const struct fetch_address *a, char ret_name[CAP_HOST_BYTES + 1])
{
    uint32_t number = number_of(a);
    size_t len = 0;
    pthread_mutex_lock(&n->lock);
    if (number && number <= n->count) {
        len = strlen(n->text[number]);
        memcpy(ret_name, n->text[number], len + 1);
    }
    pthread_mutex_unlock(&n->lock);
    return len;
}
