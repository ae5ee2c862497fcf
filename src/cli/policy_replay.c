/* exeat policy test --replay: which recorded requests would get another verdict by this policy.
 *
 * A record does not hold all that a verdict may depend on: header fields, bodies, query values that were hidden or
 * shortened.  Where the verdict depends on what is not there, the request is counted as one that cannot be replayed;
 * nothing is guessed. */
#include "audit/reader.h"
#include "audit/record.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/judging.h"
#include "cli/logs.h"
#include "cli/policy_actions.h"
#include "cli/project.h"
#include "policy/parts.h"

#include <inttypes.h>
#include <stdio.h>

enum { LINE_BYTES = 256 << 10, TARGET_BYTES = 1 << 20 };

/* Why a record cannot be replayed.  To add one: a row, and where it is found out. */
enum unknown { UNKNOWN_NONE, UNKNOWN_QUERY, UNKNOWN_CUT, UNKNOWN_HEADERS, UNKNOWN_BODY, UNKNOWN_URL, UNKNOWN_COUNT };
static const char *const unknown_words[UNKNOWN_COUNT] = {
    [UNKNOWN_QUERY] = "a query value is hidden or shortened in the log, and the policy asks for it",
    [UNKNOWN_CUT] = "the URL is cut in the log",
    [UNKNOWN_HEADERS] = "the policy asks for header fields, which the log does not hold",
    [UNKNOWN_BODY] = "the policy asks for the body, which the log does not hold",
    [UNKNOWN_URL] = "what was asked for has no canonical form",
};

struct replay {
    const struct policy_options *o;
    const struct policy *policy;
    int64_t now_ms;
    uint64_t judged, changed, other, broken, unknown[UNKNOWN_COUNT]; /* broken: lines that are no records */
    struct log_place first_broken;
    struct buf url; /* of the record that is judged */
};

/* --- what a record says --- */

/* Refused or ended for what no policy says: budgets, the keeper, the origin. */
static bool is_about_policy(const struct log_record *r)
{
    enum reason reason = reason_of_id(r->reason);
    return slice_eq(r->verdict, SLICE("allow")) || reason_is_missing_rule(reason) || reason == REASON_DENIED_BY_RULE ||
           reason == REASON_RULE_EXPIRED || reason == REASON_BODY_TOO_LARGE || reason == REASON_AMBIGUOUS_TARGET;
}

static bool passed(const struct log_record *r)
{
    return slice_eq(r->verdict, SLICE("allow")) && !slice_eq(r->would, SLICE("block"));
}

static bool has_text(struct slice s, struct slice what)
{
    return s.len >= what.len && memmem(s.ptr, s.len, what.ptr, what.len) != NULL;
}

/* Marks of audit/redact.h, which are no part of any URL, become a letter. */
static int plain_url(struct replay *p, struct slice url, bool *ret_hidden)
{
    bool hidden = false;
    buf_clear(&p->url);
    while (url.len) {
        struct slice mark = slice_starts(url, SLICE("[len=")) || slice_starts(url, SLICE("[redacted]")) ? url : SLICE("");
        ptrdiff_t end = slice_find(mark, ']');
        if (end >= 0 && buf_append(&p->url, SLICE("x")) < 0)
            return -1;
        if (end < 0 && buf_append(&p->url, slice_first(url, 1)) < 0)
            return -1;
        hidden |= end >= 0;
        url = slice_skip(url, end < 0 ? 1 : (size_t)end + 1);
    }
    *ret_hidden = hidden;
    return 0;
}

/* --- judging it again --- */

static bool only_reads(struct slice method)
{
    return slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD")) || slice_eq(method, SLICE("OPTIONS"));
}

static bool judge_once(const struct replay *p, const struct log_record *r, bool body, struct verdict *ret,
                       bool *ret_malformed)
{
    struct arena arena = ARENA_INIT(TARGET_BYTES);
    const struct judging judging = {.policy = p->policy,
                                    .facts = {.has_body = body, .body_size = body ? -1 : 0, .now_ms = p->now_ms}};
    struct judgement j;
    judge_request(&judging, &arena, r->method, buf_slice(&p->url), &j);
    *ret = j.verdict;
    *ret_malformed = j.malformed;
    judgement_clear(&j);
    arena_free(&arena);
    return verdict_passes(ret);
}

/* Whether the verdict came about because the fields are not known (policy.h: facts.headers). */
static bool hangs_on_headers(const struct verdict *v)
{
    return v->reason == REASON_HEADER_NOT_ALLOWED || (v->rule && policy_rule_asks(v->rule, PART_HEADERS)) ||
           (v->nearest && v->mismatch & 1u << PART_HEADERS);
}

static enum unknown judge(const struct replay *p, const struct log_record *r, bool hidden, struct verdict *ret)
{
    struct verdict with_body;
    bool malformed;
    bool now = judge_once(p, r, false, ret, &malformed);
    if (malformed)
        return UNKNOWN_URL;
    if (hidden && policy_asks(p->policy, PART_QUERY))
        return UNKNOWN_QUERY;
    if (!now && hangs_on_headers(ret))
        return UNKNOWN_HEADERS;
    if (!only_reads(r->method) && judge_once(p, r, true, &with_body, &malformed) != now)
        return UNKNOWN_BODY;
    return UNKNOWN_NONE;
}

/* --- output --- */

static int write_json(const struct log_record *r, const struct verdict *v, struct buf *line)
{
    struct json j = JSON_INIT(line);
    json_object(&j);
    json_kv_int(&j, "seq", (int64_t)r->seq);
    json_kv_slice(&j, "id", r->id);
    json_kv_slice(&j, "time", r->time);
    json_kv_slice(&j, "task", r->task);
    json_kv_slice(&j, "method", r->method);
    json_kv_slice(&j, "url", r->url);
    json_kv_str(&j, "was", passed(r) ? "allow" : "block");
    json_kv_str(&j, "now", verdict_passes(v) ? "allow" : "block");
    json_kv_str(&j, "reason", reason_id(v->reason));
    json_object_end(&j);
    return j.failed ? -1 : buf_append(line, SLICE("\n"));
}

static int write_text(const struct log_record *r, const struct verdict *v, struct buf *line)
{
    size_t columns = 0;
    const char *change = passed(r) ? "allow -> block" : "block -> allow";
    if (buf_printf(line, "%s: ", change) < 0 || printable_append(line, r->method, CAP_METHOD_BYTES, &columns) < 0 ||
        buf_append(line, SLICE(" ")) < 0 || printable_url(line, r->url, SIZE_MAX, !verdict_passes(v), &columns) < 0)
        return -1;
    if (v->reason != REASON_NONE && buf_printf(line, " (%s)", reason_id(v->reason)) < 0)
        return -1;
    if (buf_append(line, SLICE(" ")) < 0 || printable_append(line, r->id, 30, &columns) < 0)
        return -1;
    return buf_append(line, SLICE("\n"));
}

static void print_change(struct replay *p, const struct log_record *r, const struct verdict *v)
{
    AUTO_BUF line = BUF_INIT(LINE_BYTES);
    p->changed++;
    if ((p->o->json ? write_json(r, v, &line) : write_text(r, v, &line)) < 0)
        fprintf(stderr, "exeat policy test: record %" PRIu64 " is too long to print\n", r->seq);
    else
        fwrite(line.data + line.start, 1, buf_len(&line), stdout);
}

static void sum_up(const struct replay *p)
{
    fprintf(stderr, "exeat policy test: %" PRIu64 " requests replayed, %" PRIu64 " would get another verdict\n", p->judged,
            p->changed);
    if (p->other)
        fprintf(stderr, "  %" PRIu64 " left out: they ended for what no policy says (budgets, origins, malformed requests)\n",
                p->other);
    for (size_t i = 0; i < UNKNOWN_COUNT; i++)
        if (p->unknown[i])
            fprintf(stderr, "  %" PRIu64 " cannot be replayed: %s\n", p->unknown[i], unknown_words[i]);
    if (p->broken)
        fprintf(stderr, "%s:%" PRIu64 ": not a record%s: what it said is not judged; look at it with `exeat log --verify`\n",
                p->first_broken.file, p->first_broken.line, p->broken > 1 ? ", nor are others" : "");
}

/* --- the logs --- */

static void replay_record(struct replay *p, const struct log_record *r)
{
    struct verdict v;
    bool hidden;
    if (!slice_eq(r->kind, SLICE("request")) || (p->o->task && !slice_eq(r->task, slice_str(p->o->task))))
        return;
    if (!is_about_policy(r)) {
        p->other++;
        return;
    }
    if (has_text(r->url, SLICE("\xe2\x80\xa6[len=")) || plain_url(p, r->url, &hidden) < 0) {
        p->unknown[UNKNOWN_CUT]++;
        return;
    }
    enum unknown unknown = judge(p, r, hidden, &v);
    if (unknown != UNKNOWN_NONE) {
        p->unknown[unknown]++;
        return;
    }
    p->judged++;
    if (verdict_passes(&v) != passed(r))
        print_change(p, r, &v);
}

static void note_broken(struct replay *p, const struct log_place *place)
{
    if (p->broken++ == 0)
        p->first_broken = *place;
}

static int replay_log(struct replay *p, const char *path, struct err *e)
{
    AUTO(log_reader) *reader = NULL;
    struct slice line;
    enum log_read got;
    if (log_reader_open(path, &reader, e) < 0)
        return -1;
    while ((got = log_reader_next(reader, &line, e)) == LOG_LINE) {
        struct log_record record;
        if (log_record_parse(line, &record) < 0) {
            note_broken(p, log_reader_place(reader));
            continue;
        }
        replay_record(p, &record);
        log_record_clear(&record);
    }
    return got == LOG_ERROR ? -1 : 0;
}

int policy_replay(const struct policy_options *o)
{
    AUTO(policy) *policy = NULL;
    struct logs logs;
    struct err e;
    if (project_load_policy(o->policy, NULL, &policy) != 0)
        return EXIT_ERROR;
    if (logs_find(NULL, o->replay, &logs, &e) < 0) {
        fprintf(stderr, "exeat policy test: %s\n", e.text);
        return EXIT_ERROR;
    }
    struct replay p = {.o = o, .policy = policy, .now_ms = clock_wall_ms(), .url = BUF_INIT(JUDGED_URL_BYTES)};
    int result = 0;
    for (size_t i = 0; i < logs.count && result == 0; i++)
        result = replay_log(&p, logs.paths[i], &e);
    logs_clear(&logs);
    buf_free(&p.url);
    if (result < 0) {
        fprintf(stderr, "exeat policy test: %s\n", e.text);
        return EXIT_ERROR;
    }
    sum_up(&p);
    return p.broken ? EXIT_ERROR : p.changed ? EXIT_FINDINGS : EXIT_OK;
}
