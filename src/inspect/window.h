/* One rolling window: how much was counted within the last minute, hour or day.
 *
 * Memory that several threads (and, for reading, another process) share; every step is a compare-and-swap
 * on one word, nothing is locked and nothing waits.  `used` is what counts now; `slots` say when each part of
 * it ends to count.  It may say too much for a moment, never too little: an amount is added to `used` before
 * it stands in a slot, and taken off after it was taken out of one.
 *
 * Time is in ticks of the window.  Up to WINDOW_EXACT events each have a slot of their own and end to
 * count to the tick (1 ms for a minute).  Larger amounts share slots of 1/128 of the window, and end to count
 * up to that much later: never earlier.
 *
 * A slot is count << 24 | low bits of its tick.  What the bits mean is clear because each window is looked
 * through at least once in its own length while it is used, and after a longer rest nothing counts. */
#pragma once
#include "base/macros.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { WINDOW_SLOTS = 256, WINDOW_EXACT = 128, WINDOW_TICK_BITS = 24 };

struct window {
    _Atomic uint64_t used;
    _Atomic int64_t scanned; /* tick of the last look through all slots */
    _Atomic uint64_t slots[WINDOW_SLOTS];
};

/* What kind of window: constants, not shared. */
struct window_kind {
    int64_t tick_ms, ticks; /* how long a tick is, and how many a window has */
};

/* Where an amount was placed, so that what was not sent can be taken back. */
struct window_place {
    unsigned slot;
    uint32_t tick;   /* low bits, as in the slot */
    uint64_t amount; /* placed there by this owner; 0: nothing */
};

/* Adds n to `used`, if that stays within `limit`; the caller then places it or takes it back. */
MUST_USE bool window_take(struct window *w, const struct window_kind *k, int64_t now_ms, uint64_t limit,
                          uint64_t n);
void window_take_back(struct window *w, uint64_t n);
/* Says when n, taken before, ends to count.  *place is added to, where it is the same slot. */
void window_place(struct window *w, const struct window_kind *k, int64_t now_ms, bool exact, uint64_t n,
                  struct window_place *place);
/* Takes back up to n of what stands at *place, in slot and sum; what no longer counts stays so. */
void window_return(struct window *w, uint64_t n, struct window_place *place);
/* Milliseconds until n more would fit into `limit`, if nothing else is added; INT64_MAX: never. */
int64_t window_wait_ms(struct window *w, const struct window_kind *k, int64_t now_ms, uint64_t limit,
                       uint64_t n);

/* For writing a window down and reading it back (budgets_text.c): slot i as a tick and an amount. */
MUST_USE bool window_slot(struct window *w, const struct window_kind *k, int64_t now_ms, unsigned i,
                          int64_t *ret_tick, uint64_t *ret_amount);
/* Puts an amount back that counts from `tick`.  Not while others use the window. */
void window_restore(struct window *w, const struct window_kind *k, int64_t now_ms, int64_t tick,
                    uint64_t amount);
