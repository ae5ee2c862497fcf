/* Judges the requests of tests/cases/policy: a line `METHOD URL [OPTION]...` or `CONNECT host:port
 * [now=TIME]` in `requests`, with body=SIZE or body=?, type=TYPE, now=TIME, a field=NAME:VALUE or
 * dropped=NAME:VALUE each, and `fields=?` where they are not known; and in `expected` what comes of it:
 * `VERDICT REASON RULE[ opaque][ @FILE]`, "-" for none; the rule is the one that decided or the nearest, FILE
 * where it stands if not in policy.yaml itself.  What the policies extend lies in tests/cases/extends. */
#include "case_files.h"
#include "policy/expires.h"
#include "policy/policy.h"
#include "policy_texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { LINE_BYTES = 1024 };

static struct slice word(struct slice *line)
{
    struct slice w = slice_of(NULL, 0);
    if (!slice_next(line, ' ', &w))
        w = SLICE("");
    return w;
}

static void add_field(struct http_headers *headers, struct slice text, bool drop)
{
    ptrdiff_t colon = slice_find(text, ':');
    assert_true(colon > 0 && headers->count < CAP_HEADERS);
    struct slice name = slice_first(text, (size_t)colon);
    headers->at[headers->count++] = (struct http_header){
        .name = name, .value = slice_skip(text, name.len + 1), .id = http_header_id_of(name), .drop = drop};
}

static int64_t time_of(struct slice option)
{
    int64_t ms = 0;
    if (option.len)
        assert_int_equal(expires_parse(slice_skip(option, strlen("now=")), &ms), 0);
    return ms;
}

static struct request_facts facts_of(struct slice method, struct slice rest, struct http_headers *headers)
{
    struct request_facts f = {.method = method, .headers = headers};
    struct slice option;
    while (slice_next(&rest, ' ', &option)) {
        uint64_t size;
        if (slice_starts(option, SLICE("type="))) {
            f.content_type = slice_skip(option, 5);
        } else if (slice_starts(option, SLICE("now="))) {
            f.now_ms = time_of(option);
        } else if (slice_starts(option, SLICE("field="))) {
            add_field(headers, slice_skip(option, 6), false);
        } else if (slice_starts(option, SLICE("dropped="))) {
            add_field(headers, slice_skip(option, 8), true);
        } else if (slice_eq(option, SLICE("fields=?"))) {
            f.headers = NULL;
        } else if (slice_eq(option, SLICE("body=?"))) {
            f.has_body = true;
            f.body_size = -1;
        } else {
            assert_true(slice_starts(option, SLICE("body=")));
            assert_int_equal(slice_to_u64(slice_skip(option, 5), INT64_MAX, &size), 0);
            f.has_body = true;
            f.body_size = (int64_t)size;
        }
    }
    return f;
}

static enum http_fault judge_connect(const struct policy *p, struct arena *arena, struct slice authority,
                                     int64_t now_ms, struct verdict *ret)
{
    struct http_authority a;
    struct http_problem problem;
    if (http_authority_parse(arena, authority, 0, &a, &problem) < 0)
        return problem.fault;
    policy_match_connect(p, &a, now_ms, ret);
    return HTTP_OK;
}

static bool is_token(struct slice method)
{
    return slice_find(method, '(') < 0; /* the only bad byte in the cases; h1 has a test of its own */
}

static enum http_fault judge(const struct policy *p, struct arena *arena, struct slice line,
                             struct verdict *ret)
{
    struct slice rest = line, method = word(&rest), url = word(&rest);
    struct http_target target;
    struct http_headers headers = {.count = 0};
    struct http_problem problem;
    if (slice_eq(method, SLICE("CONNECT")))
        return judge_connect(p, arena, url, time_of(rest), ret);
    if (!is_token(method))
        return HTTP_MALFORMED;
    if (http_url_parse(arena, url, &target, &problem) < 0)
        return problem.fault;
    struct request_facts f = facts_of(method, rest, &headers);
    policy_match(p, &target, &f, ret);
    return HTTP_OK;
}

static void describe(const struct verdict *v, char ret[LINE_BYTES])
{
    struct policy_rule_info info = {.name = "-", .file = "policy.yaml"};
    const struct policy_rule *rule = v->rule ? v->rule : v->nearest;
    if (rule)
        policy_rule_info(rule, &info);
    bool own = strcmp(info.file, "policy.yaml") == 0;
    snprintf(ret, LINE_BYTES, "%s %s %s%s%s%s", v->kind == VERDICT_ALLOW ? "allow" : "block",
             v->reason == REASON_NONE ? "-" : reason_id(v->reason), info.name, v->opaque ? " opaque" : "",
             own ? "" : " @", own ? "" : info.file);
}

/* What holds for every verdict, whatever the case is about. */
static void check_sense(const struct verdict *v)
{
    assert_int_equal(v->would_block, v->kind == VERDICT_ALLOW && v->reason != REASON_NONE);
    assert_true(!v->rule || !v->nearest);
    if (v->kind == VERDICT_ALLOW && !v->would_block)
        assert_non_null(v->rule);
    assert_true(!v->opaque || policy_rule_passthrough(v->rule));
    if (v->nearest)
        assert_int_equal(v->mismatch == 0, v->reason == REASON_RULE_EXPIRED);
}

static void check_line(const struct policy *p, struct slice request, struct slice expected)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct verdict v = {.kind = VERDICT_BLOCK};
    char got[LINE_BYTES], wanted[LINE_BYTES];
    enum http_fault fault = judge(p, &arena, request, &v);
    if (fault != HTTP_OK)
        v.reason = reason_of_fault(fault);
    describe(&v, got);
    snprintf(wanted, sizeof wanted, "%.*s", SLICE_FMT(expected));
    if (strcmp(got, wanted) != 0)
        fail_msg("%.*s: got \"%s\", expected \"%s\"", SLICE_FMT(request), got, wanted);
    check_sense(&v);
    arena_free(&arena);
}

static void requests_are_judged_as_expected(void **state)
{
    AUTO_BUF text = BUF_INIT(CASE_FILE_BYTES);
    AUTO_BUF requests = BUF_INIT(CASE_FILE_BYTES);
    AUTO_BUF expected = BUF_INIT(CASE_FILE_BYTES);
    AUTO(policy) *policy = NULL;
    struct err e = {0};
    case_read(*state, "policy.yaml", &text);
    case_read(*state, "requests", &requests);
    case_read(*state, "expected", &expected);
    struct policy_texts texts = {.count = 0};
    const struct policy_source from = {"policy.yaml", buf_slice(&text), "task", policy_texts_find, &texts};
    if (policy_compile_source(&from, NULL, NULL, &policy, &e) < 0)
        fail_msg("%s", e.text);
    policy_texts_clear(&texts);
    struct slice in = buf_slice(&requests), out = buf_slice(&expected), request, wanted;
    while (slice_next(&in, '\n', &request) && request.len) {
        assert_true(slice_next(&out, '\n', &wanted));
        check_line(policy, request, wanted);
    }
    assert_true(!slice_next(&out, '\n', &wanted) || wanted.len == 0);
}

int main(void)
{
    return case_run_all("policy", 100, requests_are_judged_as_expected);
}
