#include "app/run_summary.h"

#include "audit/reader.h"
#include "audit/record.h"

#include <stdio.h>

static bool is_judgement(const struct log_record *r)
{
    return slice_eq(r->kind, SLICE("request")) || slice_eq(r->kind, SLICE("connect")) ||
           slice_eq(r->kind, SLICE("tunnel"));
}

static void count_opaque(struct run_opaque *o, const struct log_record *r)
{
    o->count++;
    o->out += r->sent > 0 ? (uint64_t)r->sent : 0;
    o->in += r->received > 0 ? (uint64_t)r->received : 0;
}

static void count_block(struct run_summary *s, const struct log_record *r)
{
    s->blocked++;
    s->by_reason[reason_of_id(r->reason)]++;
}

/* One that was refused has moved nothing; one that a reload cut may have. */
static void count_service(struct run_summary *s, const struct log_record *r)
{
    bool blocked = slice_eq(r->verdict, SLICE("block"));
    if (blocked)
        count_block(s, r);
    if (!blocked || r->sent > 0 || r->received > 0)
        count_opaque(&s->services, r);
    if (reason_of_id(r->reason) != REASON_UPSTREAM_REFUSED)
        return;
    s->unanswered++;
    snprintf(s->unanswered_url, sizeof s->unanswered_url, "%.*s", SLICE_FMT(r->url));
}

static void count(struct run_summary *s, const struct log_record *r)
{
    if (slice_eq(r->kind, SLICE("service")))
        count_service(s, r);
    if (slice_eq(r->kind, SLICE("tunnel")))
        count_opaque(&s->tunnels, r);
    if (!is_judgement(r))
        return;
    s->sent += r->sent > 0 ? (uint64_t)r->sent : 0;
    if (slice_eq(r->verdict, SLICE("allow")))
        s->allowed++;
    if (slice_eq(r->would, SLICE("block")))
        s->would_block++;
    if (!slice_eq(r->verdict, SLICE("block")))
        return;
    count_block(s, r);
}

int run_summary_read(const char *log_path, const char *run, struct run_summary *ret, struct err *e)
{
    AUTO(log_reader) *reader = NULL;
    struct run_summary s = {0};
    struct slice line;
    enum log_read got;
    if (log_reader_open(log_path, &reader, e) < 0)
        return -1;
    while ((got = log_reader_next(reader, &line, e)) == LOG_LINE) {
        struct log_record record;
        if (log_record_parse(line, &record) < 0)
            continue; /* `exeat log --verify` says what is wrong with it */
        if (slice_eq(record.run, slice_str(run)))
            count(&s, &record);
        log_record_clear(&record);
    }
    if (got == LOG_ERROR)
        return -1;
    *ret = s;
    return 0;
}

void run_summary_reasons(const struct run_summary *s, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = '\0';
    for (enum reason r = (enum reason)(REASON_NONE + 1); r < REASON_COUNT; r++) {
        if (!s->by_reason[r])
            continue;
        int n = snprintf(ret + used, size - used, "%s%s %llu", used ? ", " : "", reason_id(r),
                         (unsigned long long)s->by_reason[r]);
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}
