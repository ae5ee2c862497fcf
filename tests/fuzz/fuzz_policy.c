/* A policy and requests to it from arbitrary bytes: the policy, a line `=====`, then `METHOD URL` lines.
 * Behind the policy may stand what it extends, each text behind a line `-----file NAME`, `-----preset NAME`
 * or
 * `-----registries NAME`.
 *
 * What must hold: no crash, no hang; a text that does not compile says why; an allowed request has an
 * allow rule unless mode monitor let it pass; what a rule decides fits each of its conditions; a block has a
 * reason; every verdict can be explained, and judging the same request again gives the same verdict. */
#include "base/caps.h"
#include "policy/cond.h"
#include "policy/explain.h"
#include "policy/show.h"

#include <stdio.h>
#include <stdlib.h>

enum { REQUESTS_MAX = 50, OUTPUT_BYTES = 64 << 20 };

static const int64_t NOW_MS = INT64_C(1800000000000); /* in 2027 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void report(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    (void)line;
    (void)column;
    must(file && message[0]);
    for (; *message; message++)
        must((unsigned char)*message >= 0x20 && *message != 0x7f);
    ++*(unsigned *)arg;
}

static bool is_deny(const struct policy_rule *r)
{
    struct policy_rule_info info;
    policy_rule_info(r, &info);
    return info.deny;
}

static void check(const struct policy *p, const struct verdict *v)
{
    must(v->kind != VERDICT_HOLD);
    must(v->kind == VERDICT_BLOCK ? v->reason != REASON_NONE : v->would_block == (v->reason != REASON_NONE));
    must(!v->would_block || (policy_mode(p) == POLICY_MONITOR && reason_is_missing_rule(v->reason)));
    must(!v->opaque || policy_rule_passthrough(v->rule));
    must((v->reason == REASON_NONE) == (v->rule && !is_deny(v->rule)));
    must((v->reason == REASON_DENIED_BY_RULE) == (v->rule && is_deny(v->rule)));
    must(!v->nearest || (!v->rule && !is_deny(v->nearest)));
    must(!v->nearest || !v->mismatch == (v->reason == REASON_RULE_EXPIRED));
}

static bool fits(const struct policy_rule *r, const struct http_target *target,
                 const struct request_facts *facts)
{
    static struct judged q; /* too large for a stack frame */
    q = (struct judged){.target = target, .facts = facts, .now_ms = facts->now_ms, .decoded_len = SIZE_MAX};
    for (enum policy_part part = 0; part < PART_COUNT; part++)
        if (r->cond[part] && conds[part]->judge(r, r->cond[part], &q) != REASON_NONE)
            return false;
    return true;
}

static void judge(const struct policy *p, struct slice line)
{
    struct arena arena = ARENA_INIT(1 << 20);
    AUTO_BUF out = BUF_INIT(OUTPUT_BYTES);
    struct http_target target;
    struct http_problem problem;
    ptrdiff_t space = slice_find(line, ' ');
    struct slice method = slice_first(line, space < 0 ? line.len : (size_t)space);
    struct request_facts facts = {
        .method = method, .has_body = method.len % 2, .body_size = -1, .now_ms = NOW_MS};
    if (http_url_parse(&arena, slice_skip(line, method.len + 1), &target, &problem) == 0) {
        struct verdict v, again, connect;
        policy_match(p, &target, &facts, &v);
        policy_match(p, &target, &facts, &again);
        check(p, &v);
        must(!v.rule || fits(v.rule, &target, &facts));
        must(v.kind == again.kind && v.reason == again.reason && v.rule == again.rule &&
             v.nearest == again.nearest && v.mismatch == again.mismatch);
        must(explain_agent(&v, &out) == 0 && explain_person(&target, &facts, &v, &out) == 0);
        policy_match_connect(p, &target.authority, facts.now_ms, &connect);
        check(p, &connect);
        /* what a CONNECT would be refused for, no https request inside could be allowed */
        if (connect.kind == VERDICT_BLOCK && target.scheme == HTTP_SCHEME_HTTPS)
            must(v.kind == VERDICT_BLOCK);
    }
    arena_free(&arena);
}

/* What the policy extends, as it stands in the input: the text behind the line with that kind and name. */
static int find_text(void *arg, enum policy_text_kind kind, const char *name, struct slice *ret_text,
                     struct err *e)
{
    static const char *const kinds[] = {"file", "preset", "registries"}; /* as enum policy_text_kind */
    struct slice rest = *(const struct slice *)arg, line;
    char wanted[300];
    snprintf(wanted, sizeof wanted, "-----%s %s", kinds[kind], name);
    while (slice_next(&rest, '\n', &line)) {
        if (!slice_eq(line, slice_str(wanted)))
            continue;
        const char *end = rest.len ? memmem(rest.ptr, rest.len, "\n-----", 6) : NULL;
        *ret_text = end ? slice_first(rest, (size_t)(end - rest.ptr) + 1) : rest;
        return 0;
    }
    return err_set(e, "not here");
}

/* The policy ends where the first text that it may extend begins. */
static struct slice without_others(struct slice text)
{
    const char *end = text.len ? memmem(text.ptr, text.len, "\n-----", 6) : NULL;
    return end ? slice_first(text, (size_t)(end - text.ptr) + 1) : text;
}

static void cut(struct slice in, struct slice *ret_policy, struct slice *ret_requests)
{
    static const char mark[] = "=====\n";
    const char *at = in.len ? memmem(in.ptr, in.len, mark, sizeof mark - 1) : NULL;
    size_t len = at ? (size_t)(at - in.ptr) : in.len;
    *ret_policy = slice_first(in, len);
    *ret_requests = at ? slice_skip(in, len + sizeof mark - 1) : slice_of(NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text, requests, line;
    AUTO(policy) *p = NULL;
    struct err e = {0};
    unsigned reported = 0;
    cut(slice_of((const char *)data, size), &text, &requests);
    const struct policy_source from = {"f", without_others(text), "task", find_text, &text};
    policy_gather(&from);
    if (policy_compile_source(&from, report, &reported, &p, &e) < 0) {
        must(reported > 0 && e.text[0] && !p);
        return 0;
    }
    must(reported == 0);
    AUTO_BUF out = BUF_INIT(OUTPUT_BYTES);
    must(show_text(p, &out) == 0 && show_json(p, &out) == 0);
    for (int i = 0; i < REQUESTS_MAX && slice_next(&requests, '\n', &line); i++)
        judge(p, line);
    return 0;
}
