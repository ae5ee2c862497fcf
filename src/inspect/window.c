#include "inspect/window.h"

#include <stdlib.h>

enum { COARSE_STEPS = 128 };

static const uint64_t tick_mask = (UINT64_C(1) << WINDOW_TICK_BITS) - 1;
static const uint64_t count_max = UINT64_MAX >> WINDOW_TICK_BITS;

static uint64_t count_of(uint64_t slot)
{
    return slot >> WINDOW_TICK_BITS;
}

/* How long before (negative) or after `now` the tick of a slot is: the shorter way round. */
static int64_t distance(uint64_t slot, int64_t now)
{
    uint64_t d = (slot - (uint64_t)now) & tick_mask;
    return d > tick_mask / 2 ? (int64_t)d - (int64_t)tick_mask - 1 : (int64_t)d;
}

/* One tick more than the window has: an event may lie at the very end of its tick. */
static bool is_over(const struct window_kind *k, uint64_t slot, int64_t now)
{
    return distance(slot, now) < -k->ticks;
}

static int64_t tick_at(const struct window_kind *k, int64_t now_ms)
{
    return now_ms / k->tick_ms;
}

void window_take_back(struct window *w, uint64_t n)
{
    uint64_t used = atomic_load_explicit(&w->used, memory_order_relaxed), less;
    do
        less = used > n ? used - n : 0;
    while (!atomic_compare_exchange_weak(&w->used, &used, less));
}

static void empty_slot(struct window *w, unsigned i, uint64_t seen)
{
    if (atomic_compare_exchange_strong(&w->slots[i], &seen, 0))
        window_take_back(w, count_of(seen));
}

/* After a rest of many windows the low bits of a tick may look like any time: then only what looks like now
 * is left, since others may have placed it meanwhile. */
static void scan(struct window *w, const struct window_kind *k, int64_t now)
{
    int64_t before = atomic_exchange(&w->scanned, now);
    bool rested = now - before > k->ticks * 2;
    for (unsigned i = 0; i < WINDOW_SLOTS; i++) {
        uint64_t slot = atomic_load(&w->slots[i]);
        bool fresh = llabs(distance(slot, now)) <= k->ticks / COARSE_STEPS + 1;
        if (slot && (rested ? !fresh : is_over(k, slot, now)))
            empty_slot(w, i, slot);
    }
}

static bool add(struct window *w, uint64_t limit, uint64_t n)
{
    uint64_t used = atomic_load_explicit(&w->used, memory_order_relaxed);
    do {
        if (n > limit || used > limit - n)
            return false;
    } while (!atomic_compare_exchange_weak(&w->used, &used, used + n));
    return true;
}

bool window_take(struct window *w, const struct window_kind *k, int64_t now_ms, uint64_t limit, uint64_t n)
{
    int64_t now = tick_at(k, now_ms);
    if (now - atomic_load_explicit(&w->scanned, memory_order_relaxed) >= k->ticks)
        scan(w, k, now);
    if (add(w, limit, n))
        return true;
    scan(w, k, now); /* something may have ended to count since the last look */
    return add(w, limit, n);
}

/* Tries to put n into slot i: into what is there of the same tick, or in place of what no longer counts. */
static bool put(struct window *w, const struct window_kind *k, int64_t now, unsigned i, uint64_t tick,
                uint64_t n)
{
    uint64_t slot = atomic_load_explicit(&w->slots[i], memory_order_relaxed);
    for (;;) {
        bool same = slot && (slot & tick_mask) == tick;
        bool over = slot && !same && is_over(k, slot, now);
        if ((slot && !same && !over) || (same && count_of(slot) > count_max - n))
            return false;
        uint64_t next = same ? slot + (n << WINDOW_TICK_BITS) : n << WINDOW_TICK_BITS | tick;
        if (!atomic_compare_exchange_weak(&w->slots[i], &slot, next))
            continue;
        if (over)
            window_take_back(w, count_of(slot));
        return true;
    }
}

/* No slot is free: what stands in one counts as long as what comes now, longer than it would. */
static void squeeze(struct window *w, unsigned i, int64_t now, uint64_t tick, uint64_t n)
{
    uint64_t slot = atomic_load_explicit(&w->slots[i], memory_order_relaxed), next;
    do {
        uint64_t count = count_of(slot) > count_max - n ? count_max : count_of(slot) + n;
        uint64_t later = slot && distance(slot, now) > distance(tick, now) ? slot & tick_mask : tick;
        next = count << WINDOW_TICK_BITS | later;
    } while (!atomic_compare_exchange_weak(&w->slots[i], &slot, next));
}

static void put_anywhere(struct window *w, const struct window_kind *k, int64_t now, unsigned first,
                         uint64_t tick, uint64_t n, struct window_place *place)
{
    for (unsigned j = 0; j < WINDOW_SLOTS; j++) {
        unsigned i = (first + j) % WINDOW_SLOTS;
        if (!put(w, k, now, i, tick, n))
            continue;
        if (place->amount == 0 || place->slot != i || place->tick != tick)
            *place = (struct window_place){i, (uint32_t)tick, 0};
        place->amount += n;
        return;
    }
    squeeze(w, first % WINDOW_SLOTS, now, tick, n);
}

void window_place(struct window *w, const struct window_kind *k, int64_t now_ms, bool exact, uint64_t n,
                  struct window_place *place)
{
    int64_t now = tick_at(k, now_ms), step = exact ? 1 : (k->ticks + COARSE_STEPS - 1) / COARSE_STEPS;
    int64_t part = exact ? now : now / step + 1; /* shared slots: the end of the part, never its start */
    while (n) {
        uint64_t piece = n < count_max ? n : count_max;
        put_anywhere(w, k, now, (unsigned)(part % WINDOW_SLOTS),
                     (uint64_t)(exact ? now : part * step) & tick_mask, piece, place);
        n -= piece;
    }
}

void window_return(struct window *w, uint64_t n, struct window_place *place)
{
    uint64_t give = n < place->amount ? n : place->amount, taken;
    uint64_t slot = atomic_load_explicit(&w->slots[place->slot], memory_order_relaxed), next;
    do {
        if (give == 0 || !slot || (slot & tick_mask) != place->tick)
            return; /* it has ended to count already */
        taken = give < count_of(slot) ? give : count_of(slot);
        next = slot - (taken << WINDOW_TICK_BITS);
        if (count_of(next) == 0)
            next = 0;
    } while (!atomic_compare_exchange_weak(&w->slots[place->slot], &slot, next));
    place->amount -= give;
    window_take_back(w, taken);
}

struct end {
    int64_t ticks; /* from now until it counts no longer */
    uint64_t amount;
};

static int by_end(const void *a, const void *b)
{
    int64_t left = ((const struct end *)a)->ticks, right = ((const struct end *)b)->ticks;
    return (left > right) - (left < right);
}

int64_t window_wait_ms(struct window *w, const struct window_kind *k, int64_t now_ms, uint64_t limit,
                       uint64_t n)
{
    struct end ends[WINDOW_SLOTS];
    size_t count = 0;
    int64_t now = tick_at(k, now_ms);
    uint64_t used = atomic_load(&w->used);
    if (n > limit)
        return INT64_MAX;
    for (unsigned i = 0; i < WINDOW_SLOTS; i++) {
        uint64_t slot = atomic_load(&w->slots[i]);
        if (slot)
            ends[count++] = (struct end){distance(slot, now) + k->ticks + 1, count_of(slot)};
    }
    qsort(ends, count, sizeof *ends, by_end);
    int64_t wait = 0;
    for (size_t i = 0; i < count && used > limit - n; i++) {
        used -= ends[i].amount < used ? ends[i].amount : used;
        wait = ends[i].ticks;
    }
    return wait <= 0 ? 0 : (now + wait) * k->tick_ms - now_ms;
}

bool window_slot(struct window *w, const struct window_kind *k, int64_t now_ms, unsigned i, int64_t *ret_tick,
                 uint64_t *ret_amount)
{
    int64_t now = tick_at(k, now_ms);
    uint64_t slot = atomic_load(&w->slots[i]);
    bool rested = now - atomic_load(&w->scanned) > k->ticks * 2;
    if (!slot || rested || is_over(k, slot, now) || distance(slot, now) > k->ticks)
        return false;
    *ret_tick = now + distance(slot, now);
    *ret_amount = count_of(slot);
    return true;
}

void window_restore(struct window *w, const struct window_kind *k, int64_t now_ms, int64_t tick,
                    uint64_t amount)
{
    int64_t now = tick_at(k, now_ms);
    struct window_place place = {0};
    if (amount == 0 || tick < now - k->ticks)
        return;
    if (tick > now + k->ticks)
        tick = now + k->ticks; /* a broken file cannot make it count for ever */
    atomic_store(&w->scanned, now);
    atomic_fetch_add(&w->used, amount);
    put_anywhere(w, k, now, (unsigned)(tick % WINDOW_SLOTS), (uint64_t)tick & tick_mask, amount, &place);
}
