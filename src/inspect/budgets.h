/* Budgets: how much a task, or one rule of it, has sent and asked for (interfaces.md 1, `limits`).
 *
 * A counter belongs to an identity (task, policy file, rule, what is counted), never to a snapshot of the
 * policy: a reload finds what was spent.  It counts all windows at once, so that a limit whose window changes
 * knows what was spent too.  Counters lie in memory that all workers share and that outlives the proxy
 * (app/budget_store: a memfd of the supervisor's); they are never given back, so a pointer to one stays good.
 *
 * Pure: no descriptor, no clock, no allocation after budgets_attach.  Time is `now_ms`, of a clock that never
 * goes back and goes on where the last process ended (budgets_now): the wall clock moves no window. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "inspect/window.h"

enum budget_span { BUDGET_LIFE, BUDGET_DAY, BUDGET_HOUR, BUDGET_MINUTE, BUDGET_SPANS };
enum { BUDGET_ROLLING = BUDGET_SPANS - 1 }; /* all but LIFE have a window */

/* Amounts by enum budget_span; UINT64_MAX: no limit. */
struct budget_limits {
    uint64_t most[BUDGET_SPANS];
};
#define BUDGET_NO_LIMITS ((struct budget_limits){{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}})
bool budget_limits_any(const struct budget_limits *l);

enum { BUDGET_KEY_BYTES = 16 };
struct budget_key {
    uint8_t bytes[BUDGET_KEY_BYTES];
};
/* `file` counts by its last component only: where a daemon was started from changes nothing. */
MUST_USE int budget_key(const char *task, const char *what, const char *file, const char *rule,
                        struct budget_key *ret);

struct budgets; /* a mapping of the memory */
struct budget_counter;

size_t budgets_bytes(unsigned counters);
/* `memory` was zeros at first, of budgets_bytes size, and outlives the result. */
MUST_USE int budgets_attach(void *memory, size_t size, struct budgets **ret, struct err *e);
void budgets_free(struct budgets *b);
DEFINE_AUTO(budgets)

/* The clock of all windows: moved once, before anybody counts, then it follows mono_ns (clock_mono_ns). */
void budgets_set_clock(struct budgets *b, int64_t now_ms, int64_t mono_ns);
int64_t budgets_now(const struct budgets *b, int64_t mono_ns);

/* The counter of this identity, made where there is none; NULL when there are too many.  One thread at a
 * time. */
MUST_USE struct budget_counter *budgets_get(struct budgets *b, const struct budget_key *key);

/* What an exchange has taken of one counter, and where it is placed. */
struct budget_hold {
    struct budget_counter *counter; /* NULL: nothing is counted */
    uint64_t amount;
    struct window_place places[BUDGET_ROLLING];
};

/* Takes n, in all spans or in none; any thread, no lock.  False: it does not fit. */
MUST_USE bool budget_take(struct budget_hold *h, const struct budget_limits *l, int64_t now_ms, uint64_t n);
/* Gives n of what was taken back: it was not sent. */
void budget_return(struct budget_hold *h, uint64_t n);
/* Milliseconds until n would fit, if nothing else happens; INT64_MAX: never. */
int64_t budget_wait_ms(struct budget_counter *c, const struct budget_limits *l, int64_t now_ms, uint64_t n);
/* What counts now, in a span. */
uint64_t budget_used(struct budget_counter *c, enum budget_span span);

/* budgets_text.c: all counters that count something, as text with a checksum; and back.  The memory may be
 * written by others meanwhile, hostile ones too.  `now_ms`: budgets_now; `wall_ms` tells, when the text is
 * read, how long nobody ran.  A wall clock that went back in between was no time at all. */
MUST_USE int budgets_write(struct budgets *b, int64_t now_ms, int64_t wall_ms, struct buf *out);
/* Into an empty table.  An error says what is wrong with which line. */
MUST_USE int budgets_read(struct budgets *b, struct slice text, int64_t wall_ms, int64_t mono_ns,
                          struct err *e);

/* Shared by budgets.c and budgets_text.c. */
struct budget_counter {
    _Atomic uint64_t life;
    struct window windows[BUDGET_ROLLING]; /* day, hour, minute */
};
extern const struct window_kind budget_kinds[BUDGET_ROLLING];
unsigned budgets_count(const struct budgets *b);
struct budget_counter *budgets_at(struct budgets *b, unsigned i, struct budget_key *ret_key);
