/* A snapshot as a whole: what it says of itself, how it is shared, what judging costs. */
#include "base/caps.h"
#include "policy/expires.h"
#include "policy/explain.h"
#include "policy/glob.h"
#include "policy/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

enum { TEXT_BYTES = 1 << 20 };

static struct policy *compile(struct slice text)
{
    struct policy *p = NULL;
    struct err e = {0};
    if (policy_compile(".exeat.yaml", text, "folder", NULL, NULL, &p, &e) < 0)
        fail_msg("%s", e.text);
    return p;
}

static struct http_target target_of(struct arena *arena, const char *url)
{
    struct http_target t;
    struct http_problem problem;
    assert_int_equal(http_url_parse(arena, slice_str(url), &t, &problem), 0);
    return t;
}

static void a_snapshot_says_what_it_is(void **state)
{
    (void)state;
    AUTO(policy) *p =
        compile(SLICE("exeat: 1\ntask: t-1\nmode: monitor\nallow:\n  - GET https://a.test/x\n"));
    AUTO(policy) *empty = compile(SLICE(""));
    assert_string_equal(policy_task(p), "t-1");
    assert_string_equal(policy_task(empty), "folder");
    assert_string_equal(policy_file(p), ".exeat.yaml");
    assert_int_equal(policy_mode(p), POLICY_MONITOR);
    assert_int_equal(policy_rule_count(p), 1);
    assert_int_equal(policy_rule_count(empty), 0);
    assert_string_equal(policy_digest(empty),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* One that is small as text and takes seconds and gigabytes: policies come from strangers, too. */
static void expressions_that_grow_when_compiled_are_bounded(void **state)
{
    (void)state;
    static const char head[] = "exeat: 1\nallow:\n  - host: a.test\n    path_regex:\n";
    static const char one[] = "      - '/((a{1,99}){1,99}){1,6}'\n";
    enum { COUNT = CAP_RULE_VALUES };
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    struct policy *p = NULL;
    struct err e = {0};
    for (unsigned rule = 0; rule < 10; rule++) {
        assert_int_equal(buf_append(&text, slice_str(rule ? head + strlen("exeat: 1\nallow:\n") : head)), 0);
        for (unsigned i = 0; i < COUNT; i++)
            assert_int_equal(buf_append(&text, slice_str(one)), 0);
    }
    assert_int_equal(policy_compile("f", buf_slice(&text), "t", NULL, NULL, &p, &e), -1);
    assert_null(p);
    assert_non_null(strstr(e.text, "the regular expressions of this policy take more than 32 MiB"));
}

static void broken_text_leaves_the_output_alone(void **state)
{
    (void)state;
    struct policy *p = (struct policy *)(void *)state;
    struct err e = {0};
    assert_int_equal(policy_compile("f", SLICE("exeat: 2\n"), "t", NULL, NULL, &p, &e), -1);
    assert_ptr_equal(p, state);
    assert_string_equal(e.text, "f:1:8: format 2 is not known; this version of exeat reads format 1");
}

static void *share(void *arg)
{
    for (int i = 0; i < 1000; i++)
        policy_free(policy_ref(arg));
    return NULL;
}

static void threads_share_a_snapshot(void **state)
{
    (void)state;
    AUTO(policy) *p = compile(SLICE("exeat: 1\n"));
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, share, p), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_string_equal(policy_task(p), "folder");
}

/* ---- cost ---- */

static struct policy *many_rules(unsigned hosts, unsigned rules)
{
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    assert_int_equal(buf_printf(&text, "exeat: 1\nallow:\n"), 0);
    for (unsigned i = 0; i < rules; i++)
        assert_int_equal(buf_printf(&text, "- GET https://h%u.example.com/p%u/**\n", i % hosts, i), 0);
    assert_int_equal(buf_printf(&text, "deny:\n- {host: \"**.evil.test\", paths: [/x/**]}\n"), 0);
    return compile(buf_slice(&text));
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The best of several rounds: what else runs here only ever adds. */
static int64_t cost_ns(const struct policy *p, const struct http_target *target)
{
    const struct request_facts facts = {.method = SLICE("GET")};
    int64_t best = INT64_MAX;
    for (int round = 0; round < 9; round++) {
        struct verdict v;
        int64_t start = now_ns();
        for (int i = 0; i < 500; i++)
            policy_match(p, target, &facts, &v);
        int64_t took = now_ns() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void ten_thousand_rules_cost_what_ten_cost(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT(1 << 16);
    AUTO(policy) *few = many_rules(2, 10);
    AUTO(policy) *many = many_rules(2000, 10000);
    const char *const urls[] = {"https://h1.example.com/p1/x", "https://h1.example.com/none",
                                "https://other.example.com/", "https://a.evil.test/x"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct http_target t = target_of(&arena, urls[i]);
        assert_in_range(cost_ns(many, &t), 0, 4 * cost_ns(few, &t) + 20000); /* a walk: a thousand times */
    }
    arena_free(&arena);
}

static void judging_allocates_nothing(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT(1 << 16);
    AUTO(policy) *p =
        compile(SLICE("exeat: 1\nallow: [{host: a.test, path_regex: ['/x+.*'], query: {q: a*}}]\n"
                      "deny: [{host: a.test, paths: [/y], path_regex: ['/z+']},\n"
                      "  {host: a.test, query: {q: {regex: b+}}, headers: {x: y}}]\n"));
    struct http_target t = target_of(&arena, "https://a.test/xxx%2520y?q=a%2541+;&q=a");
    const struct http_headers headers = {.at = {{SLICE("X"), SLICE("a, b"), HTTP_H_OTHER, false}},
                                         .count = 1};
    const struct request_facts facts = {.method = SLICE("GET"), .headers = &headers};
    struct verdict v;
    policy_match(p, &t, &facts, &v); /* the thread's match data comes with the first */
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 100; i++)
        policy_match(p, &t, &facts, &v);
    assert_int_equal(mallinfo2().uordblks, before);
    arena_free(&arena);
}

static void hostile_globs_end_soon(void **state)
{
    (void)state;
    static char pattern[CAP_GLOB_BYTES], path[CAP_TARGET_BYTES];
    size_t n = 0;
    pattern[n++] = '/';
    while (n + 2 < sizeof pattern)
        n += (size_t)snprintf(pattern + n, 3, "*a");
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 'b';
    int64_t start = now_ns();
    assert_false(glob_match(slice_of(pattern, n), slice_of(path, sizeof path), false));
    for (n = 1; n + 5 < sizeof pattern;)
        n += (size_t)snprintf(pattern + n, 6, "**/a/");
    for (size_t i = 0; i < sizeof path - 1; i += 2)
        path[i] = '/';
    assert_false(glob_match(slice_of(pattern, n - 1), slice_of(path, sizeof path), false));
    assert_in_range(now_ns() - start, 0, 3000000000); /* with sanitizers; exponential would never end */
}

static void hostile_queries_end_soon(void **state)
{
    (void)state;
    static char url[CAP_TARGET_BYTES];
    struct arena arena = ARENA_INIT(1 << 20);
    AUTO(policy) *p =
        compile(SLICE("exeat: 1\nallow: [{host: a.test, paths: [/**], query: {a: '*a*a*a*b'}}]\n"
                      "deny: [{host: a.test, query: {b: '*a*a*a*a*b', c: {regex: '(a+)+b'}}}]\n"));
    size_t n = (size_t)snprintf(url, sizeof url, "https://a.test/?a=+%%61;c=");
    memset(url + n, 'a', sizeof url - n - 1);
    for (size_t i = n; i + 8 < sizeof url; i += 7)
        memcpy(url + i, i % 2 ? "&a=%25;" : "a&c=aa+", 7);
    struct http_target t = target_of(&arena, url);
    struct verdict v;
    const struct request_facts facts = {.method = SLICE("GET")};
    int64_t start = now_ns();
    policy_match(p, &t, &facts, &v);
    assert_in_range(now_ns() - start, 0, 3000000000); /* with sanitizers; exponential would never end */
    assert_int_equal(v.reason, REASON_QUERY_NOT_ALLOWED);
    arena_free(&arena);
}

/* ---- words ---- */

static const char policy_text[] =
    "exeat: 1\n"
    "allow:\n"
    "  - {name: read, host: a.test, methods: [GET, HEAD], paths: [/secret-plan/**]}\n"
    "  - {name: write, host: \"*.b.test\", methods: [POST], paths: [/x], body: {max: 64KiB}}\n"
    "deny:\n"
    "  - {host: c.test, message: Not for work data.}\n";

static void explain(const char *method, const char *url, bool agent, struct buf *out)
{
    struct arena arena = ARENA_INIT(1 << 16);
    AUTO(policy) *p = compile(slice_str(policy_text));
    struct http_target t = target_of(&arena, url);
    const struct request_facts facts = {.method = slice_str(method)};
    struct verdict v;
    policy_match(p, &t, &facts, &v);
    assert_int_equal(agent ? explain_agent(&v, out) : explain_person(&t, &facts, &v, out), 0);
    arena_free(&arena);
}

static void the_agent_reads_names_and_no_content(void **state)
{
    static const struct {
        const char *method, *url, *text;
    } rows[] = {
        {"POST", "https://a.test/secret-plan/1",
         "The host is allowed, but not this method. Nearest rule: \"read\"."},
        {"GET", "https://c.test/", "A deny rule of this task forbids it. Not for work data."},
        {"GET", "https://d.test/", "No rule of this task allows this host."},
        {"GET", "https://a.test/secret-plan/1", "A rule allows it."},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF out = BUF_INIT(TEXT_BYTES);
        explain(rows[i].method, rows[i].url, true, &out);
        assert_string_equal(buf_cstr(&out), rows[i].text);
    }
}

static void a_person_reads_what_the_nearest_rule_allows(void **state)
{
    (void)state;
    AUTO_BUF out = BUF_INIT(TEXT_BYTES);
    explain("POST", "https://a.test/plan", false, &out);
    assert_string_equal(buf_cstr(&out), "The host is allowed, but not this method.\n"
                                        "nearest rule: \"read\" (.exeat.yaml:3)\n"
                                        "  method: allows GET, HEAD; the request has POST\n"
                                        "  path: allows /secret-plan/**; the request has /plan");
}

static void a_person_reads_what_is_asked_of_query_and_fields(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT(1 << 16);
    AUTO_BUF out = BUF_INIT(TEXT_BYTES);
    AUTO(policy) *p = compile(
        SLICE("exeat: 1\nallow:\n  - {host: a.test, paths: [/], query: {page: '*', n: [a, {regex: '[0-9]'}]},"
              " headers: {x-mode: safe, x-key?: '*'}}\n"));
    struct http_target t = target_of(&arena, "https://a.test/?n=b");
    const struct http_headers headers = {.at = {{SLICE("Accept"), SLICE("a"), HTTP_H_ACCEPT, false},
                                                {SLICE("TE"), SLICE("a"), HTTP_H_TE, true},
                                                {SLICE("X-Token"), SLICE("s3cret"), HTTP_H_OTHER, false}},
                                         .count = 3};
    const struct request_facts facts = {.method = SLICE("GET"), .headers = &headers};
    struct verdict v;
    policy_match(p, &t, &facts, &v);
    assert_int_equal(explain_person(&t, &facts, &v, &out), 0);
    assert_string_equal(buf_cstr(&out),
                        "The path is allowed, but not with these query parameters.\n"
                        "nearest rule: \"rule 1\" (.exeat.yaml:3)\n"
                        "  query: allows page=*, n=a|regex [0-9]; the request has n=b\n"
                        "  headers: allows x-mode=safe, x-key?=*; the request has Accept, X-Token");
    arena_free(&arena);
}

static void a_person_reads_when_a_rule_has_expired(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"exeat: 1\nallow: [{host: a.test, paths: [/], expires: 2030-01-01}]\n",
         "the rule expired: 2030-01-01"},
        {"exeat: 1\nexpires: 2029-01-01\nallow: [{host: a.test, paths: [/], expires: 2030-01-01}]\n",
         "the policy expired: 2029-01-01"},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct arena arena = ARENA_INIT(1 << 16);
        AUTO_BUF out = BUF_INIT(TEXT_BYTES);
        AUTO(policy) *p = compile(slice_str(texts[i][0]));
        struct http_target t = target_of(&arena, "https://a.test/");
        const struct request_facts facts = {.method = SLICE("GET"), .now_ms = INT64_C(2000000000000)};
        struct verdict v;
        policy_match(p, &t, &facts, &v);
        assert_int_equal(explain_person(&t, &facts, &v, &out), 0);
        assert_non_null(strstr(buf_cstr(&out), texts[i][1]));
        buf_clear(&out);
        assert_int_equal(explain_agent(&v, &out), 0);
        assert_string_equal(buf_cstr(&out),
                            "The rule that allowed this has expired. Nearest rule: \"rule 1\".");
        arena_free(&arena);
    }
}

static void times_are_read_as_rfc_3339_has_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"1970-01-01", 86400000},
        {"1970-01-01T00:00:00Z", 0},
        {"2000-02-29", INT64_C(951868800000)},
        {"2026-11-21T08:00:00.123Z", INT64_C(1795248000123)},
        {"2026-11-21t10:30:00.1239+02:30", INT64_C(1795248000123)},
        {"2026-11-20T22:00:00-10:00", INT64_C(1795248000000)},
        {"2016-12-31T23:59:60z", INT64_C(1483228800000)},
        {"9999-12-31", INT64_C(253402300800000)},
    };
    static const char *const wrong[] = {
        "",
        "2026",
        "2026-11",
        "2026-11-2",
        "26-11-21",
        "2026-00-01",
        "2026-13-01",
        "2026-01-00",
        "2026-04-31",
        "2100-02-29",
        "1969-12-31",
        "2026-11-21T",
        "2026-11-21T08:00Z",
        "2026-11-21T08:00:00",
        "2026-11-21 08:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T08:60:00Z",
        "2026-11-21T08:00:61Z",
        "2026-11-21T08:00:00.Z",
        "2026-11-21T08:00:00+0200",
        "2026-11-21T08:00:00+24:00",
        "2026-11-21T08:00:00Zx",
        "2026-11-21x",
        "+026-11-21",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ms = -1;
        assert_int_equal(expires_parse(slice_str(rows[i].text), &ms), 0);
        if (ms != rows[i].ms)
            fail_msg("%s: %lld", rows[i].text, (long long)ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        int64_t ms = -7;
        if (expires_parse(slice_str(wrong[i]), &ms) == 0 || ms != -7)
            fail_msg("%s", wrong[i]);
    }
}

static void a_policy_is_shown_with_its_warnings(void **state)
{
    (void)state;
    AUTO_BUF out = BUF_INIT(TEXT_BYTES);
    AUTO(policy) *p = compile(SLICE(
        "exeat: 1\nexpires: 2031-01-01\nallow:\n  - {host: '*.github.io', broad: true, paths: [/], encoded_slash: true,"
        " expires: 2030-01-01, query: {}, headers: {x?: {regex: a}}}\n"));
    assert_int_equal(show_text(p, &out), 0);
    static const char *const lines[] = {
        "\nexpires 2031-01-01\n",   "\n  query   none\n",
        "\n  headers x?=regex a\n", "\n  expires 2030-01-01\n",
        "\n  encoded_slash true\n", "\n  warning names below a public suffix belong to anybody\n"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!strstr(buf_cstr(&out), lines[i]))
            fail_msg("%s is not in %s", lines[i], buf_cstr(&out));
    buf_clear(&out);
    assert_int_equal(show_json(p, &out), 0);
    assert_non_null(strstr(buf_cstr(&out), "\"expires\":\"2031-01-01\",\"summary\""));
    assert_non_null(strstr(buf_cstr(&out), "\"query\":{},\"headers\":{\"x?\":[{\"regex\":\"a\"}]},"));
    assert_non_null(
        strstr(buf_cstr(&out), "\"expires\":\"2030-01-01\",\"encoded_slash\":true,\"broad\":true}"));
}

static void names_of_parameters_are_escaped_in_json(void **state)
{
    (void)state;
    AUTO_BUF out = BUF_INIT(TEXT_BYTES);
    AUTO(policy) *p =
        compile(SLICE("exeat: 1\nallow: [{host: a.test, paths: [/], query: {'a\"b\\c': x}}]\n"));
    assert_int_equal(show_json(p, &out), 0);
    assert_non_null(strstr(buf_cstr(&out), "\"query\":{\"a\\\"b\\\\c\":[\"x\"]},"));
}

static void a_snapshot_says_whether_fields_matter(void **state)
{
    (void)state;
    AUTO(policy) *without = compile(SLICE("exeat: 1\nallow: [{host: a.test, paths: [/], query: {}}]\n"));
    AUTO(policy) *with = compile(SLICE("exeat: 1\ndeny: [{host: a.test, headers: {x: y}}]\n"));
    assert_false(policy_needs_headers(without));
    assert_true(policy_needs_headers(with));
}

static void a_policy_is_summed_up_in_a_sentence(void **state)
{
    (void)state;
    AUTO_BUF out = BUF_INIT(TEXT_BYTES);
    AUTO(policy) *p = compile(slice_str(policy_text));
    AUTO(policy) *empty = compile(SLICE(""));
    assert_int_equal(show_summary(p, &out), 0);
    assert_string_equal(buf_cstr(&out), "2 hosts, 1 may be written to, at most 64 KiB a request; "
                                        "what the agent reads can reach *.b.test");
    buf_clear(&out);
    assert_int_equal(show_summary(empty, &out), 0);
    assert_string_equal(buf_cstr(&out), "nothing is allowed");
}

static void a_policy_is_shown_as_json(void **state)
{
    (void)state;
    AUTO_BUF out = BUF_INIT(TEXT_BYTES);
    AUTO(policy) *p = compile(SLICE("exeat: 1\nallow:\n  - GET https://a.test/x\n"));
    assert_int_equal(show_json(p, &out), 0);
    const char *rules = strstr(buf_cstr(&out), "\"rules\":");
    assert_non_null(rules);
    assert_string_equal(rules, "\"rules\":[{\"name\":\"rule 1\",\"file\":\".exeat.yaml\",\"line\":3,"
                               "\"action\":\"allow\",\"host\":[\"a.test\"],\"ports\":[443],"
                               "\"scheme\":\"https\",\"methods\":[\"GET\"],\"paths\":[\"/x\"],"
                               "\"path_regex\":[],\"body\":{\"max\":0}}]}\n");
}

static void every_reason_has_an_id_and_is_found_by_it(void **state)
{
    (void)state;
    for (enum reason r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        assert_int_equal(reason_of_id(slice_str(reason_id(r))), r);
        assert_true(reason_status(r) == 0 || (reason_status(r) >= 400 && reason_status(r) < 600));
    }
    assert_int_equal(reason_of_id(SLICE("no-such-reason")), REASON_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_says_what_it_is),
        cmocka_unit_test(expressions_that_grow_when_compiled_are_bounded),
        cmocka_unit_test(broken_text_leaves_the_output_alone),
        cmocka_unit_test(threads_share_a_snapshot),
        cmocka_unit_test(ten_thousand_rules_cost_what_ten_cost),
        cmocka_unit_test(judging_allocates_nothing),
        cmocka_unit_test(hostile_globs_end_soon),
        cmocka_unit_test(hostile_queries_end_soon),
        cmocka_unit_test(the_agent_reads_names_and_no_content),
        cmocka_unit_test(a_person_reads_what_the_nearest_rule_allows),
        cmocka_unit_test(a_person_reads_what_is_asked_of_query_and_fields),
        cmocka_unit_test(a_person_reads_when_a_rule_has_expired),
        cmocka_unit_test(times_are_read_as_rfc_3339_has_them),
        cmocka_unit_test(a_policy_is_shown_with_its_warnings),
        cmocka_unit_test(names_of_parameters_are_escaped_in_json),
        cmocka_unit_test(a_snapshot_says_whether_fields_matter),
        cmocka_unit_test(a_policy_is_summed_up_in_a_sentence),
        cmocka_unit_test(a_policy_is_shown_as_json),
        cmocka_unit_test(every_reason_has_an_id_and_is_found_by_it),
    };
    return cmocka_run_group_tests_name("policy_snapshot", tests, NULL, NULL);
}
