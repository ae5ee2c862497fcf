#include "inspect/budgets.h"

#include "base/crypto.h"

#include <stdlib.h>
#include <string.h>

enum { COUNTERS_MAX = 65536 };

/* Ticks fine enough to be exact where it shows, and few enough for their bits in a slot. */
const struct window_kind budget_kinds[BUDGET_ROLLING] = {
    {1000, 86400}, /* day */
    {100, 36000},  /* hour */
    {1, 60000},    /* minute */
};

/* The start of the shared memory; keys and counters follow. */
struct table {
    _Atomic uint32_t count;
    _Atomic int64_t offset_ms; /* budgets_now - clock_mono */
    struct budget_key keys[];
};

struct budgets {
    struct table *table;
    struct budget_counter *counters;
    unsigned max;
};

static size_t keys_bytes(unsigned counters)
{
    size_t bytes = sizeof(struct table) + counters * sizeof(struct budget_key);
    size_t align = _Alignof(struct budget_counter);
    return (bytes + align - 1) / align * align;
}

size_t budgets_bytes(unsigned counters)
{
    return keys_bytes(counters) + counters * sizeof(struct budget_counter);
}

static unsigned counters_in(size_t size)
{
    unsigned n = (unsigned)(size / (sizeof(struct budget_key) + sizeof(struct budget_counter)));
    while (n > 0 && budgets_bytes(n) > size)
        n--;
    return n;
}

int budgets_attach(void *memory, size_t size, struct budgets **ret, struct err *e)
{
    if (size > budgets_bytes(COUNTERS_MAX) || counters_in(size) == 0)
        return err_set(e, "budgets: not a table of counters");
    struct budgets *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(e, "budgets: no memory");
    b->max = counters_in(size);
    b->table = memory;
    b->counters = (void *)((char *)memory + keys_bytes(b->max));
    *ret = b;
    return 0;
}

void budgets_free(struct budgets *b)
{
    free(b);
}

void budgets_set_clock(struct budgets *b, int64_t now_ms, int64_t mono_ns)
{
    atomic_store(&b->table->offset_ms, now_ms - mono_ns / 1000000);
}

int64_t budgets_now(const struct budgets *b, int64_t mono_ns)
{
    return atomic_load_explicit(&b->table->offset_ms, memory_order_relaxed) + mono_ns / 1000000;
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Each part behind its length, so that no two identities make one text. */
int budget_key(const char *task, const char *what, const char *file, const char *rule, struct budget_key *ret)
{
    const char *parts[] = {task, what, last_component(file), rule};
    uint8_t digests[ARRAY_LEN(parts)][SHA256_BYTES], all[SHA256_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (crypto_sha256(slice_str(parts[i]), digests[i]) < 0)
            return -1;
    if (crypto_sha256(slice_of((const char *)digests, sizeof digests), all) < 0)
        return -1;
    memcpy(ret->bytes, all, sizeof ret->bytes);
    return 0;
}

unsigned budgets_count(const struct budgets *b)
{
    unsigned count = atomic_load_explicit(&b->table->count, memory_order_acquire);
    return count < b->max ? count : b->max;
}

struct budget_counter *budgets_at(struct budgets *b, unsigned i, struct budget_key *ret_key)
{
    memcpy(ret_key, &b->table->keys[i], sizeof *ret_key);
    return &b->counters[i];
}

struct budget_counter *budgets_get(struct budgets *b, const struct budget_key *key)
{
    unsigned count = budgets_count(b);
    for (unsigned i = 0; i < count; i++)
        if (memcmp(&b->table->keys[i], key, sizeof *key) == 0)
            return &b->counters[i];
    if (count == b->max)
        return NULL;
    b->table->keys[count] = *key;
    atomic_store_explicit(&b->table->count, count + 1, memory_order_release);
    return &b->counters[count];
}

bool budget_limits_any(const struct budget_limits *l)
{
    for (int s = 0; s < BUDGET_SPANS; s++)
        if (l->most[s] != UINT64_MAX)
            return true;
    return false;
}

static bool take_life(struct budget_counter *c, uint64_t limit, uint64_t n)
{
    uint64_t used = atomic_load_explicit(&c->life, memory_order_relaxed);
    do {
        if (n > limit || used > limit - n)
            return false;
    } while (!atomic_compare_exchange_weak(&c->life, &used, used + n));
    return true;
}

static void give_life(struct budget_counter *c, uint64_t n)
{
    uint64_t used = atomic_load_explicit(&c->life, memory_order_relaxed), less;
    do
        less = used > n ? used - n : 0;
    while (!atomic_compare_exchange_weak(&c->life, &used, less));
}

bool budget_take(struct budget_hold *h, const struct budget_limits *l, int64_t now_ms, uint64_t n)
{
    struct budget_counter *c = h->counter;
    if (!c || n == 0)
        return true;
    if (!take_life(c, l->most[BUDGET_LIFE], n))
        return false;
    for (int i = 0; i < BUDGET_ROLLING; i++) {
        if (window_take(&c->windows[i], &budget_kinds[i], now_ms, l->most[i + 1], n))
            continue;
        while (i-- > 0)
            window_take_back(&c->windows[i], n);
        give_life(c, n);
        return false;
    }
    for (int i = 0; i < BUDGET_ROLLING; i++)
        window_place(&c->windows[i], &budget_kinds[i], now_ms, l->most[i + 1] <= WINDOW_EXACT, n,
                     &h->places[i]);
    h->amount += n;
    return true;
}

void budget_return(struct budget_hold *h, uint64_t n)
{
    if (n > h->amount)
        n = h->amount;
    if (!h->counter || n == 0)
        return;
    h->amount -= n;
    give_life(h->counter, n);
    for (int i = 0; i < BUDGET_ROLLING; i++)
        window_return(&h->counter->windows[i], n, &h->places[i]);
}

int64_t budget_wait_ms(struct budget_counter *c, const struct budget_limits *l, int64_t now_ms, uint64_t n)
{
    uint64_t life = atomic_load(&c->life), most = l->most[BUDGET_LIFE];
    if (n > most || life > most - n)
        return INT64_MAX;
    int64_t longest = 0;
    for (int i = 0; i < BUDGET_ROLLING; i++) {
        int64_t wait = window_wait_ms(&c->windows[i], &budget_kinds[i], now_ms, l->most[i + 1], n);
        longest = wait > longest ? wait : longest;
    }
    return longest;
}

uint64_t budget_used(struct budget_counter *c, enum budget_span span)
{
    return atomic_load(span == BUDGET_LIFE ? &c->life : &c->windows[span - 1].used);
}
