#include "audit/verify.h"

#include "audit/chain.h"
#include "audit/record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* How far behind it a seal may name a record: what is written while the keeper signs. */
enum { HASHES = 1 << 16 };

struct walk {
    struct log_reader *reader;
    struct log_verdict verdict;
    struct log_place last_place; /* of the last record that followed */
    uint64_t head_seq;
    const char *head_hash;
    struct log_place first_place;
    const struct verify_keys *keys;
    uint8_t (*hashes)[SHA256_BYTES]; /* of the last records: record n at n % HASHES */
    char dropped[128]; /* what the checkpoint must say of the records before the first; "": none are gone */
};

PRINTF(3, 4) static void broken(struct walk *w, const struct log_place *place, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    w->verdict.broken = true;
    w->verdict.hash[0] = '\0';
    w->verdict.place = *place;
    if (vsnprintf(w->verdict.problem, sizeof w->verdict.problem, fmt, ap) < 0)
        w->verdict.problem[0] = '\0';
    va_end(ap);
}

/* A gap may be a line that was taken out or two that changed places: what comes next tells. */
static int explain_gap(struct walk *w, uint64_t seq, struct err *e)
{
    const struct log_place here = *log_reader_place(w->reader);
    uint64_t missing = w->verdict.last_seq + 1, next_seq = 0;
    struct slice line, prev;
    enum log_read next = log_reader_next(w->reader, &line, e);
    if (next == LOG_ERROR)
        return -1;
    if (next == LOG_LINE && chain_parse(line, &next_seq, &prev) == 0 && next_seq == missing)
        broken(w, &here, "out of order: record %" PRIu64 " stands before record %" PRIu64, seq, missing);
    else if (missing == seq - 1)
        broken(w, &here, "record %" PRIu64 " is missing before this one (%" PRIu64 ")", missing, seq);
    else
        broken(w, &here, "records %" PRIu64 " to %" PRIu64 " are missing before this one (%" PRIu64 ")",
               missing, seq - 1, seq);
    return 0;
}

static bool is_start(struct slice prev)
{
    struct chain start;
    chain_start(&start);
    return slice_eq(prev, slice_str(start.hash));
}

/* The first record that is there.  Where older files were dropped, nothing before it can be checked. */
static void judge_first(struct walk *w, uint64_t seq, struct slice prev)
{
    if ((seq == 1) != is_start(prev))
        broken(w, log_reader_place(w->reader),
               seq == 1 ? "edited: record 1 names a record before it"
                        : "edited: record %" PRIu64 " names none before it",
               seq);
    w->verdict.first_seq = seq;
    w->first_place = *log_reader_place(w->reader);
    if (seq > 1)
        snprintf(w->dropped, sizeof w->dropped, " to %" PRIu64 ", head %.*s", seq - 1, SLICE_FMT(prev));
}

/* upkeep.c writes these: "dropping FILE: records A to B, head H". */
static void judge_checkpoint(struct walk *w, struct slice line)
{
    struct log_record r;
    if (!w->dropped[0] || !memmem(line.ptr, line.len, "\"kind\":\"checkpoint\"", 19) ||
        log_record_parse(line, &r) < 0)
        return;
    if (slice_eq(r.kind, SLICE("checkpoint")) && slice_starts(r.detail, SLICE("dropping ")) &&
        slice_ends(r.detail, slice_str(w->dropped)))
        w->dropped[0] = '\0';
    log_record_clear(&r);
}

static bool is_known(const struct verify_keys *keys, const uint8_t *key)
{
    for (size_t i = 0; i < keys->count; i++)
        if (memcmp(keys->at[i], key, ED25519_KEY_BYTES) == 0)
            return true;
    return keys->count == 0;
}

static bool has_hash(const struct walk *w, const struct seal *s)
{
    uint8_t hash[SHA256_BYTES];
    return s->seq >= w->verdict.first_seq && s->seq < w->verdict.last_seq && w->verdict.last_seq - s->seq < HASHES &&
           crypto_unhex(slice_str(s->hash), hash, sizeof hash) == 0 &&
           memcmp(w->hashes[s->seq % HASHES], hash, sizeof hash) == 0;
}

static void judge_seal(struct walk *w, struct slice line, uint64_t seq)
{
    struct log_record r;
    struct seal s;
    if (!memmem(line.ptr, line.len, "\"kind\":\"seal\"", 13) || log_record_parse(line, &r) < 0)
        return;
    bool is_seal = slice_eq(r.kind, SLICE("seal"));
    int parsed = log_record_seal(&r, &s);
    log_record_clear(&r);
    if (!is_seal)
        return;
    if (parsed < 0 || !seal_holds(&s))
        broken(w, &w->last_place, "the seal in record %" PRIu64 " is not signed by the key that it names", seq);
    else if (!is_known(w->keys, s.key))
        broken(w, &w->last_place, "the seal in record %" PRIu64 " is signed by a key that is not the keeper's", seq);
    else if (!has_hash(w, &s))
        broken(w, &w->last_place, "the seal in record %" PRIu64 " is for another record %" PRIu64 " than the one that is there",
               seq, s.seq);
    else {
        w->verdict.seals++;
        w->verdict.sealed = s;
    }
}

/* The record before this one has another hash than this one says: whole is what came before it. */
static void judge_edited(struct walk *w, uint64_t seq)
{
    struct log_verdict *v = &w->verdict;
    broken(w, &w->last_place, "edited: record %" PRIu64 " has another hash than record %" PRIu64 " says",
           v->last_seq, seq);
    v->last_seq--;
    v->records--;
}

static int judge_next(struct walk *w, uint64_t seq, struct slice prev, struct err *e)
{
    struct log_verdict *v = &w->verdict;
    const struct log_place *here = log_reader_place(w->reader);
    if (seq > v->last_seq + 1)
        return explain_gap(w, seq, e);
    if (seq <= v->last_seq)
        broken(w, here, "out of order: record %" PRIu64 " stands after record %" PRIu64, seq, v->last_seq);
    else if (!slice_eq(prev, slice_str(v->hash)))
        judge_edited(w, seq);
    return 0;
}

static int judge_line(struct walk *w, struct slice line, struct err *e)
{
    struct log_verdict *v = &w->verdict;
    uint64_t seq;
    struct slice prev;
    if (chain_parse(line, &seq, &prev) < 0) {
        broken(w, log_reader_place(w->reader), "edited: this line is no record");
        return 0;
    }
    if (v->records == 0)
        judge_first(w, seq, prev);
    else if (judge_next(w, seq, prev, e) < 0)
        return -1;
    if (v->broken)
        return 0;
    if (chain_hash(line, v->hash) < 0)
        return err_set(e, "cannot hash");
    v->last_seq = seq;
    v->records++;
    w->last_place = *log_reader_place(w->reader);
    if (crypto_unhex(slice_str(v->hash), w->hashes[seq % HASHES], SHA256_BYTES) < 0)
        return err_set(e, "cannot hash");
    judge_checkpoint(w, line);
    judge_seal(w, line, seq);
    if (seq == w->head_seq && !slice_eq(slice_str(v->hash), slice_str(w->head_hash)))
        broken(w, &w->last_place, "edited: record %" PRIu64 " has not the hash that was given for it", seq);
    return 0;
}

static void judge_end(struct walk *w)
{
    struct log_verdict *v = &w->verdict;
    size_t unfinished = log_reader_unfinished(w->reader);
    struct log_place place = *log_reader_place(w->reader);
    place.line++;
    if (unfinished)
        broken(w, &place, "unfinished last line of %zu bytes: a crash, or a write in progress", unfinished);
    else if (w->head_seq > v->last_seq)
        broken(w, &place, "cut: record %" PRIu64 " was written, and the log ends with record %" PRIu64,
               w->head_seq, v->last_seq);
    else if (w->dropped[0])
        broken(w, &w->first_place,
               "records 1 to %" PRIu64 " are missing, and no checkpoint record says that they were dropped",
               v->first_seq - 1);
    else if (w->head_seq && w->head_seq < v->first_seq)
        broken(w, &place, "record %" PRIu64 " is no longer kept; the oldest is %" PRIu64, w->head_seq,
               v->first_seq);
}

static int walk(struct walk *w, struct err *e)
{
    while (!w->verdict.broken) {
        struct slice line;
        enum log_read read = log_reader_next(w->reader, &line, e);
        if (read == LOG_ERROR)
            return -1;
        if (read == LOG_END) {
            judge_end(w);
            break;
        }
        if (judge_line(w, line, e) < 0)
            return -1;
    }
    return 0;
}

int log_verify(struct log_reader *r, uint64_t head_seq, const char *head_hash, const struct verify_keys *keys,
               struct log_verdict *ret, struct err *e)
{
    struct walk w = {.reader = r, .head_seq = head_seq, .head_hash = head_hash, .keys = keys};
    struct chain start;
    chain_start(&start);
    memcpy(w.verdict.hash, start.hash, sizeof start.hash);
    w.hashes = calloc(HASHES, sizeof *w.hashes);
    if (!w.hashes)
        return err_set(e, "no memory");
    int result = walk(&w, e);
    free(w.hashes);
    if (result < 0)
        return -1;
    w.verdict.files = log_reader_files(r);
    *ret = w.verdict;
    return 0;
}
