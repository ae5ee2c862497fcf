/* Judges the requests of tests/cases/policy: a line `METHOD URL [body=SIZE|?] [type=TYPE]` or
 * `CONNECT host:port` in `requests`, and in `expected` what comes of it: `VERDICT REASON RULE`, "-" for
 * none; the rule is the one that decided or the nearest. */
#include "case_files.h"
#include "policy/policy.h"

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

static struct request_facts facts_of(struct slice method, struct slice rest)
{
    struct request_facts f = {.method = method};
    struct slice option;
    while (slice_next(&rest, ' ', &option)) {
        uint64_t size;
        if (slice_starts(option, SLICE("type="))) {
            f.content_type = slice_skip(option, 5);
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
                                     struct verdict *ret)
{
    struct http_authority a;
    struct http_problem problem;
    if (http_authority_parse(arena, authority, 0, &a, &problem) < 0)
        return problem.fault;
    policy_match_connect(p, &a, ret);
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
    struct http_problem problem;
    if (slice_eq(method, SLICE("CONNECT")))
        return judge_connect(p, arena, url, ret);
    if (!is_token(method))
        return HTTP_MALFORMED;
    if (http_url_parse(arena, url, &target, &problem) < 0)
        return problem.fault;
    struct request_facts f = facts_of(method, rest);
    policy_match(p, &target, &f, ret);
    return HTTP_OK;
}

static void describe(const struct verdict *v, char ret[LINE_BYTES])
{
    struct policy_rule_info info = {.name = "-"};
    const struct policy_rule *rule = v->rule ? v->rule : v->nearest;
    if (rule)
        policy_rule_info(rule, &info);
    snprintf(ret, LINE_BYTES, "%s %s %s", v->kind == VERDICT_ALLOW ? "allow" : "block",
             v->reason == REASON_NONE ? "-" : reason_id(v->reason), info.name);
}

/* What holds for every verdict, whatever the case is about. */
static void check_sense(const struct verdict *v)
{
    assert_int_equal(v->would_block, v->kind == VERDICT_ALLOW && v->reason != REASON_NONE);
    assert_true(!v->rule || !v->nearest);
    if (v->kind == VERDICT_ALLOW && !v->would_block)
        assert_non_null(v->rule);
    if (v->nearest)
        assert_true(v->mismatch != 0);
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
    if (policy_compile("policy.yaml", buf_slice(&text), "task", NULL, NULL, &policy, &e) < 0)
        fail_msg("%s", e.text);
    struct slice in = buf_slice(&requests), out = buf_slice(&expected), request, wanted;
    while (slice_next(&in, '\n', &request) && request.len) {
        assert_true(slice_next(&out, '\n', &wanted));
        check_line(policy, request, wanted);
    }
    assert_true(!slice_next(&out, '\n', &wanted) || wanted.len == 0);
}

int main(void)
{
    return case_run_all("policy", 60, requests_are_judged_as_expected);
}
