/* Budgets as text, for the state folder:
 *
 *     exeat budgets 1
 *     clock NOW_MS WALL_MS
 *     counter KEY LIFE
 *     part WINDOW TICK AMOUNT        of the counter above; WINDOW is 0 day, 1 hour, 2 minute
 *     sum SHA256                     of all lines before
 */
#include "base/crypto.h"
#include "inspect/budgets.h"

#include <inttypes.h>
#include <string.h>

#define FIRST_LINE "exeat budgets 1"

/* Further on no clock gets, and sums with it still fit. */
static const uint64_t CLOCK_MAX_MS = INT64_MAX / 4;

static int write_counter(struct budget_counter *c, const struct budget_key *key, int64_t now_ms,
                         struct buf *out)
{
    char hex[2 * BUDGET_KEY_BYTES + 1];
    uint64_t life = budget_used(c, BUDGET_LIFE);
    if (life == 0)
        return 0;
    crypto_hex(key->bytes, sizeof key->bytes, hex);
    if (buf_printf(out, "counter %s %" PRIu64 "\n", hex, life) < 0)
        return -1;
    for (int w = 0; w < BUDGET_ROLLING; w++) {
        for (unsigned i = 0; i < WINDOW_SLOTS; i++) {
            int64_t tick;
            uint64_t amount;
            if (window_slot(&c->windows[w], &budget_kinds[w], now_ms, i, &tick, &amount) &&
                buf_printf(out, "part %d %" PRId64 " %" PRIu64 "\n", w, tick, amount) < 0)
                return -1;
        }
    }
    return 0;
}

static int hash_text(struct slice text, char ret[SHA256_HEX + 1])
{
    uint8_t digest[SHA256_BYTES];
    if (crypto_sha256(text, digest) < 0)
        return -1;
    crypto_hex(digest, sizeof digest, ret);
    return 0;
}

int budgets_write(struct budgets *b, int64_t now_ms, int64_t wall_ms, struct buf *out)
{
    char sum[SHA256_HEX + 1];
    size_t before = buf_len(out);
    unsigned count = budgets_count(b);
    int put = buf_printf(out, FIRST_LINE "\nclock %" PRId64 " %" PRId64 "\n", now_ms, wall_ms);
    for (unsigned i = 0; put == 0 && i < count; i++) {
        struct budget_key key;
        struct budget_counter *c = budgets_at(b, i, &key);
        put = write_counter(c, &key, now_ms, out);
    }
    if (put < 0 || hash_text(slice_skip(buf_slice(out), before), sum) < 0)
        return -1;
    return buf_printf(out, "sum %s\n", sum);
}

/* --- reading --- */

struct reading {
    struct budgets *b;
    struct budget_counter *counter;
    int64_t now_ms;
    unsigned line;
};

static bool next_number(struct slice *rest, uint64_t *ret)
{
    struct slice word;
    return slice_next(rest, ' ', &word) && slice_to_u64(word, INT64_MAX, ret) == 0;
}

static bool read_counter(struct reading *r, struct slice rest)
{
    struct slice word;
    struct budget_key key;
    uint64_t life;
    if (!slice_next(&rest, ' ', &word) || crypto_unhex(word, key.bytes, sizeof key.bytes) < 0 ||
        !next_number(&rest, &life) || rest.len)
        return false;
    r->counter = budgets_get(r->b, &key);
    if (!r->counter)
        return false;
    atomic_store(&r->counter->life, life);
    return true;
}

static bool read_part(struct reading *r, struct slice rest)
{
    uint64_t window, tick, amount;
    if (!next_number(&rest, &window) || !next_number(&rest, &tick) || !next_number(&rest, &amount) ||
        rest.len || window >= BUDGET_ROLLING || !r->counter)
        return false;
    window_restore(&r->counter->windows[window], &budget_kinds[window], r->now_ms, (int64_t)tick, amount);
    return true;
}

static bool read_clock(struct reading *r, struct slice rest, int64_t wall_ms)
{
    uint64_t then, then_wall;
    if (!next_number(&rest, &then) || !next_number(&rest, &then_wall) || rest.len || then > CLOCK_MAX_MS)
        return false;
    int64_t gone = wall_ms - (int64_t)then_wall;
    r->now_ms = (int64_t)then + (gone > 0 ? gone : 0);
    return true;
}

/* The checksum first: nothing of a file that was cut or edited is believed. */
static int check_sum(struct slice text, struct slice *ret_body, struct err *e)
{
    const size_t last = 4 + SHA256_HEX + 1;
    char sum[SHA256_HEX + 1];
    if (text.len < last)
        return err_set(e, "too short to be a file of budgets");
    struct slice body = slice_first(text, text.len - last), end = slice_skip(text, text.len - last);
    if (hash_text(body, sum) < 0)
        return err_set(e, "cannot hash");
    if (!slice_starts(end, SLICE("sum ")) || !slice_starts(slice_skip(end, 4), slice_str(sum)) ||
        end.ptr[last - 1] != '\n')
        return err_set(e, "its checksum is not that of its lines: it was cut or edited");
    *ret_body = body;
    return 0;
}

static bool read_line(struct reading *r, struct slice line, int64_t wall_ms)
{
    struct slice rest = line, word;
    if (r->line == 1)
        return slice_eq(line, SLICE(FIRST_LINE));
    if (!slice_next(&rest, ' ', &word))
        return false;
    if (r->line == 2)
        return slice_eq(word, SLICE("clock")) && read_clock(r, rest, wall_ms);
    return slice_eq(word, SLICE("counter")) ? read_counter(r, rest)
                                            : slice_eq(word, SLICE("part")) && read_part(r, rest);
}

int budgets_read(struct budgets *b, struct slice text, int64_t wall_ms, int64_t mono_ns, struct err *e)
{
    struct reading r = {.b = b};
    struct slice rest, line;
    if (check_sum(text, &rest, e) < 0)
        return -1;
    while (slice_next(&rest, '\n', &line)) {
        if (!rest.ptr && line.len == 0)
            break; /* behind the last line */
        r.line++;
        if (!read_line(&r, line, wall_ms))
            return err_set(e, "line %u: not what exeat writes there", r.line);
    }
    budgets_set_clock(b, r.now_ms, mono_ns);
    return 0;
}
