/* Budgets: what fits, when it fits again, what a reload or a restart keeps, and many threads at once. */
#include "base/crypto.h"
#include "inspect/budgets.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEC = 1000, MIN = 60 * SEC, HOUR = 60 * MIN, DAY = 24 * HOUR, COUNTERS = 8 };
#define NONE UINT64_MAX
static const int64_t start_ms = 1790000000123;

struct table {
    void *memory;
    struct budgets *b;
};

static struct table make(void)
{
    struct table t;
    struct err e = {0};
    t.memory = calloc(1, budgets_bytes(COUNTERS));
    assert_non_null(t.memory);
    if (budgets_attach(t.memory, budgets_bytes(COUNTERS), &t.b, &e) < 0)
        fail_msg("%s", e.text);
    budgets_set_clock(t.b, start_ms, 0);
    return t;
}

static void drop(struct table *t)
{
    budgets_free(t->b);
    free(t->memory);
}

static struct budget_hold hold_of(struct table *t, const char *rule)
{
    struct budget_key key;
    assert_int_equal(budget_key("widgets", "requests", "/etc/w.yaml", rule, &key), 0);
    struct budget_hold h = {.counter = budgets_get(t->b, &key)};
    assert_non_null(h.counter);
    return h;
}

/* --- one step after the other --- */

struct step {
    int64_t at; /* ms since the start */
    uint64_t n;
    unsigned times;
    bool fits;    /* all of the times, or none */
    int64_t wait; /* where it does not: when it would, ms from then; -1: not looked at; INT64_MAX: never */
};

static const struct scenario {
    const char *name;
    struct budget_limits limits;
    struct step steps[8];
} scenarios[] = {
    {"thirty a minute: the 31st is too much, and fits when the first is a minute old",
     {{NONE, NONE, NONE, 30}},
     {{0, 1, 1, true, -1},
      {10 * SEC, 1, 29, true, -1},
      {59 * SEC, 1, 1, false, SEC + 1},
      {MIN, 1, 1, false, 1},
      {MIN + 1, 1, 1, true, -1},
      {MIN + 2, 1, 1, false, 10 * SEC - 1}}},
    {"any 60 s: two halves of neighbouring minutes are one window",
     {{NONE, NONE, NONE, 10}},
     {{55 * SEC, 1, 10, true, -1}, {65 * SEC, 1, 1, false, -1}, {115 * SEC + 1, 1, 10, true, -1}}},
    {"for a run: what is spent is spent",
     {{1000, NONE, NONE, NONE}},
     {{0, 600, 1, true, -1}, {30ll * DAY, 400, 1, true, -1}, {60ll * DAY, 1, 1, false, INT64_MAX}}},
    {"nothing at all", {{0, NONE, NONE, NONE}}, {{0, 1, 1, false, INT64_MAX}}},
    {"more at once than the window has never fits",
     {{NONE, NONE, NONE, 1000}},
     {{0, 1001, 1, false, INT64_MAX}, {0, 1000, 1, true, -1}}},
    {"two windows side by side: the tighter one decides",
     {{NONE, NONE, 5, 3}},
     {{0, 1, 3, true, -1},
      {1, 1, 1, false, MIN},
      {MIN + 1, 1, 2, true, -1},
      {MIN + 2, 1, 1, false, -1},
      {HOUR + 200, 1, 3, true, -1},
      {HOUR + 300, 1, 1, false, -1}}},
    {"a mebibyte a day is not there again before the day is over, and soon after",
     {{NONE, 1 << 20, NONE, NONE}},
     {{0, 1 << 20, 1, true, -1}, {DAY - SEC, 1, 1, false, -1}, {DAY + 12 * MIN, 1 << 20, 1, true, -1}}},
    {"many parts of an hour",
     {{NONE, NONE, 1000000, NONE}},
     {{0, 250000, 1, true, -1},
      {15 * MIN, 250000, 1, true, -1},
      {30 * MIN, 250000, 1, true, -1},
      {45 * MIN, 250000, 1, true, -1},
      {59 * MIN, 1, 1, false, -1},
      {61 * MIN, 250000, 1, true, -1},
      {62 * MIN, 1, 1, false, -1}}},
    {"after a rest of a year nothing counts",
     {{NONE, NONE, NONE, 2}},
     {{0, 1, 2, true, -1}, {365ll * DAY, 1, 2, true, -1}, {365ll * DAY + 1, 1, 1, false, MIN}}},
    {"after a rest that the bits of a slot take for none, nothing counts",
     {{NONE, NONE, NONE, 2}},
     {{0, 1, 2, true, -1},
      {(1 << WINDOW_TICK_BITS) + SEC, 1, 2, true, -1},
      {(1 << WINDOW_TICK_BITS) + SEC + 1, 1, 1, false, -1}}},
    {"a clock that goes back a little gives nothing back",
     {{NONE, NONE, NONE, 2}},
     {{MIN, 1, 2, true, -1}, {0, 1, 1, false, -1}, {2 * MIN + 1, 1, 2, true, -1}}},
};

static void run_step(const char *name, unsigned i, struct budget_hold *h, const struct budget_limits *l,
                     const struct step *s)
{
    for (unsigned n = 0; n < s->times; n++)
        if (budget_take(h, l, start_ms + s->at, s->n) != s->fits)
            fail_msg("%s: step %u, time %u: %s", name, i, n, s->fits ? "does not fit" : "fits");
    if (s->fits || s->wait < 0)
        return;
    int64_t wait = budget_wait_ms(h->counter, l, start_ms + s->at, s->n);
    if (wait != s->wait)
        fail_msg("%s: step %u: waits %lld ms", name, i, (long long)wait);
}

static void budgets_are_kept_to(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        struct table t = make();
        struct budget_hold h = hold_of(&t, "r");
        for (unsigned s = 0; s < ARRAY_LEN(scenarios[i].steps) && scenarios[i].steps[s].times; s++)
            run_step(scenarios[i].name, s, &h, &scenarios[i].limits, &scenarios[i].steps[s]);
        drop(&t);
    }
}

/* --- against the definition --- */

/* A plain list of everything that was let through: no window of it may hold more than the limit, and
 * what was refused must not have fitted by more than the grain of shared slots. */
static void no_window_ever_holds_more(uint64_t limit, int64_t grain, unsigned seed)
{
    enum { EVENTS = 4000 };
    static int64_t at[EVENTS];
    static uint64_t amount[EVENTS];
    const struct budget_limits l = {{NONE, NONE, NONE, limit}};
    struct table t = make();
    struct budget_hold h = hold_of(&t, "r");
    unsigned count = 0;
    int64_t now = start_ms;
    for (unsigned i = 0; i < EVENTS; i++) {
        seed = seed * 1103515245 + 12345;
        now += (seed >> 16) % 900;
        uint64_t n = 1 + (seed >> 8) % (limit / 10 + 1), exact = 0, with_grain = 0;
        for (unsigned j = count; j-- > 0 && at[j] + MIN + grain >= now;) {
            exact += at[j] + MIN > now ? amount[j] : 0;
            with_grain += amount[j];
        }
        bool fits = budget_take(&h, &l, now, n);
        if (fits && exact + n > limit)
            fail_msg("event %u: %llu within a minute, and %llu is the limit", i,
                     (unsigned long long)(exact + n), (unsigned long long)limit);
        if (!fits && with_grain + n <= limit)
            fail_msg("event %u: refused though %llu of %llu were spent", i, (unsigned long long)with_grain,
                     (unsigned long long)limit);
        if (fits) {
            at[count] = now;
            amount[count++] = n;
        }
    }
    drop(&t);
}

static void windows_roll(void **state UNUSED)
{
    for (unsigned seed = 1; seed < 6; seed++) {
        no_window_ever_holds_more(30, 1, seed);
        no_window_ever_holds_more(128, 1, seed);
        no_window_ever_holds_more(129, MIN / 128 + 2, seed);
        no_window_ever_holds_more(1 << 20, MIN / 128 + 2, seed);
    }
}

static void when_it_waited_it_fits(void **state UNUSED)
{
    const struct budget_limits l = {{NONE, NONE, NONE, 1000}};
    struct table t = make();
    struct budget_hold h = hold_of(&t, "r");
    int64_t now = start_ms;
    for (unsigned i = 0; i < 200; i++) {
        while (budget_take(&h, &l, now, 90))
            now += 1700;
        int64_t wait = budget_wait_ms(h.counter, &l, now, 90);
        assert_in_range(wait, 1, MIN + SEC);
        now += wait;
    }
    drop(&t);
}

/* --- giving back --- */

static void what_was_not_sent_is_given_back(void **state UNUSED)
{
    const struct budget_limits l = {{5000, NONE, 3000, 1000}};
    struct table t = make();
    struct budget_hold h = hold_of(&t, "r"), other = hold_of(&t, "r");
    assert_true(budget_take(&other, &l, start_ms, 400));
    assert_true(budget_take(&h, &l, start_ms, 600));
    budget_return(&h, 100);
    assert_int_equal(budget_used(h.counter, BUDGET_LIFE), 900);
    assert_int_equal(budget_used(h.counter, BUDGET_MINUTE), 900);
    budget_return(&h, 100000); /* more than was taken */
    assert_int_equal(budget_used(h.counter, BUDGET_LIFE), 400);
    assert_int_equal(budget_used(h.counter, BUDGET_DAY), 400);
    assert_int_equal(budget_used(h.counter, BUDGET_HOUR), 400);
    assert_int_equal(budget_used(h.counter, BUDGET_MINUTE), 400);
    assert_true(budget_take(&h, &l, start_ms, 600));
    drop(&t);
}

static void what_no_longer_counts_is_not_given_back_twice(void **state UNUSED)
{
    const struct budget_limits l = {{NONE, NONE, NONE, 1000}};
    struct table t = make();
    struct budget_hold h = hold_of(&t, "r"), other = hold_of(&t, "r");
    assert_true(budget_take(&h, &l, start_ms, 600));
    assert_true(budget_take(&other, &l, start_ms + 2 * MIN, 1000));
    budget_return(&h, 600);
    assert_int_equal(budget_used(h.counter, BUDGET_MINUTE), 1000);
    assert_false(budget_take(&h, &l, start_ms + 2 * MIN + 1, 1));
    drop(&t);
}

static void a_refusal_takes_nothing(void **state UNUSED)
{
    const struct budget_limits l = {{NONE, 10000, 5000, 1000}};
    struct table t = make();
    struct budget_hold h = hold_of(&t, "r");
    assert_true(budget_take(&h, &l, start_ms, 900));
    for (unsigned i = 0; i < 100; i++)
        assert_false(budget_take(&h, &l, start_ms, 200));
    for (enum budget_span s = 0; s < BUDGET_SPANS; s++)
        assert_int_equal(budget_used(h.counter, s), 900);
    drop(&t);
}

/* --- identity --- */

static void counters_belong_to_identities(void **state UNUSED)
{
    static const struct {
        const char *task, *what, *file, *rule;
        bool same;
    } rows[] = {
        {"widgets", "upload", "a/b.yaml", "r", true}, {"widgets", "upload", "/x/b.yaml", "r", true},
        {"gadgets", "upload", "b.yaml", "r", false},  {"widgets", "requests", "b.yaml", "r", false},
        {"widgets", "upload", "c.yaml", "r", false},  {"widgets", "upload", "b.yaml", "s", false},
        {"widgetsu", "pload", "b.yaml", "r", false},  {"widgets", "upload", "b.yaml", "", false},
    };
    struct budget_key first, key;
    assert_int_equal(budget_key("widgets", "upload", "b.yaml", "r", &first), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(budget_key(rows[i].task, rows[i].what, rows[i].file, rows[i].rule, &key), 0);
        assert_int_equal(memcmp(&first, &key, sizeof key) == 0, rows[i].same);
    }
}

static void a_full_table_says_so(void **state UNUSED)
{
    struct table t = make();
    for (unsigned char i = 0; i <= COUNTERS; i++) {
        struct budget_key key = {{i}};
        struct budget_counter *c = budgets_get(t.b, &key);
        assert_int_equal(c != NULL, i < COUNTERS);
        if (c)
            assert_ptr_equal(budgets_get(t.b, &key), c);
    }
    drop(&t);
}

/* --- restart --- */

static void write_and_read(struct table *from, struct table *to, int64_t ran_ms, int64_t away_ms)
{
    AUTO_BUF text = BUF_INIT(1 << 20);
    struct err e = {0};
    const int64_t wall = 1800000000000;
    assert_int_equal(budgets_write(from->b, start_ms + ran_ms, wall, &text), 0);
    if (budgets_read(to->b, buf_slice(&text), wall + away_ms, 77ll * SEC * 1000000, &e) < 0)
        fail_msg("%s", e.text);
}

static void a_restart_refills_nothing(void **state UNUSED)
{
    static const struct {
        int64_t away;
        bool fits;
    } rows[] = {{0, false}, {30 * SEC, false}, {-10ll * DAY, false}, {MIN, true}, {DAY, true}};
    const struct budget_limits l = {{100000, NONE, NONE, 30}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct table before = make(), after = make();
        struct budget_hold h = hold_of(&before, "r");
        for (unsigned n = 0; n < 30; n++)
            assert_true(budget_take(&h, &l, start_ms + n, 1));
        write_and_read(&before, &after, 100, rows[i].away);
        struct budget_hold again = hold_of(&after, "r");
        assert_int_equal(budget_used(again.counter, BUDGET_LIFE), 30);
        int64_t now = budgets_now(after.b, 77ll * SEC * 1000000);
        assert_true(now >= start_ms + 100);
        assert_int_equal(budget_take(&again, &l, now, 1), rows[i].fits);
        drop(&before);
        drop(&after);
    }
}

/* Each is a whole text with a right checksum but for what the row changes. */
static void what_was_edited_is_refused(void **state UNUSED)
{
    struct table t = make();
    struct budget_hold h = hold_of(&t, "r");
    const struct budget_limits l = {{NONE, NONE, NONE, 30}};
    AUTO_BUF text = BUF_INIT(1 << 16);
    assert_true(budget_take(&h, &l, start_ms, 3));
    assert_int_equal(budgets_write(t.b, start_ms, 5, &text), 0);
    for (size_t i = 0; i < buf_len(&text); i++) {
        struct table into = make();
        struct err e = {0};
        text.data[text.start + i] ^= 1;
        assert_int_equal(budgets_read(into.b, buf_slice(&text), 5, 0, &e), -1);
        assert_true(e.text[0]);
        text.data[text.start + i] ^= 1;
        drop(&into);
    }
    for (size_t len = 0; len < buf_len(&text); len++) {
        struct table into = make();
        assert_int_equal(budgets_read(into.b, slice_first(buf_slice(&text), len), 5, 0, NULL), -1);
        drop(&into);
    }
    drop(&t);
}

/* Whole and with its checksum, and yet nobody's: no sum with it may overflow. */
static void a_clock_that_cannot_be_is_refused(void **state UNUSED)
{
    static const char lines[] = "exeat budgets 1\nclock 9223372036854775807 0\n";
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX + 1];
    AUTO_BUF text = BUF_INIT(1024);
    struct table t = make();
    struct err e = {0};
    assert_int_equal(crypto_sha256(SLICE(lines), digest), 0);
    crypto_hex(digest, sizeof digest, hex);
    assert_int_equal(buf_printf(&text, "%ssum %s\n", lines, hex), 0);
    assert_int_equal(budgets_read(t.b, buf_slice(&text), start_ms, 0, &e), -1);
    assert_non_null(strstr(e.text, "line 2"));
    drop(&t);
}

/* --- many threads --- */

enum { THREADS = 8, TRIES = 4000 };

struct racer {
    struct table *t;
    const struct budget_limits *limits;
    uint64_t kept;
    unsigned seed;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    for (unsigned i = 0; i < TRIES; i++) {
        r->seed = r->seed * 1103515245 + 12345;
        struct budget_hold h = {.counter = budgets_at(r->t->b, 0, &(struct budget_key){{0}})};
        uint64_t n = 1 + (r->seed >> 16) % 7;
        if (!budget_take(&h, r->limits, start_ms + i / 8, n))
            continue;
        if (r->seed & 0x80000000) {
            budget_return(&h, n);
            continue;
        }
        r->kept += n;
    }
    return NULL;
}

static void threads_share_one_budget(void **state UNUSED)
{
    static const struct budget_limits rows[] = {
        {{20000, NONE, NONE, NONE}},
        {{NONE, NONE, NONE, 20000}},
        {{NONE, NONE, NONE, 100}},
    };
    static const uint64_t most[] = {20000, 20000, 100};
    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        struct table t = make();
        struct budget_hold h = hold_of(&t, "r");
        struct racer racers[THREADS];
        pthread_t threads[THREADS];
        uint64_t kept = 0;
        for (unsigned i = 0; i < THREADS; i++) {
            racers[i] = (struct racer){&t, &rows[row], 0, i + 1};
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            kept += racers[i].kept;
        }
        assert_in_range(kept, most[row] - 7, most[row]);
        assert_int_equal(budget_used(h.counter, BUDGET_LIFE), kept);
        assert_in_range(budget_used(h.counter, BUDGET_MINUTE), kept, most[row]);
        drop(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budgets_are_kept_to),
        cmocka_unit_test(windows_roll),
        cmocka_unit_test(when_it_waited_it_fits),
        cmocka_unit_test(what_was_not_sent_is_given_back),
        cmocka_unit_test(what_no_longer_counts_is_not_given_back_twice),
        cmocka_unit_test(a_refusal_takes_nothing),
        cmocka_unit_test(counters_belong_to_identities),
        cmocka_unit_test(a_full_table_says_so),
        cmocka_unit_test(a_restart_refills_nothing),
        cmocka_unit_test(what_was_edited_is_refused),
        cmocka_unit_test(a_clock_that_cannot_be_is_refused),
        cmocka_unit_test(threads_share_one_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
