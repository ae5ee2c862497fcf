/* A rule's line judges as its conditions do, whatever fits into it. */
#include "base/buf.h"
#include "policy/cond.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { TEXT_BYTES = 4096 };

#define LETTERS_32 "/2345678901234567890123456789012"

/* What a rule writes behind its host: a line has room for 33 bytes of a path. */
static const char *const rules[] = {
    "paths: [/]",
    "paths: [/a]",
    "paths: [/a/]",
    "paths: [/a%20b]",
    "paths: [/a/**]",
    "paths: [/**]",
    "paths: [/a*]",
    "paths: [/*]",
    "paths: [/a/*]",
    "paths: [/a/**/b]",
    "paths: [/**/b]",
    "paths: [/a/**, /b]",
    "paths: [/a, /a/b]",
    "paths: [/a*b, /ab*]",
    "paths: [/a/**, /b, '/x/*']",
    "paths: [/ab, " LETTERS_32 "]",
    "paths: []",
    "paths: [/a], path_regex: ['/b+']",
    "path_regex: ['/b+']",
    "paths: [" LETTERS_32 "x]",
    "paths: [" LETTERS_32 "xy]",
    "paths: [" LETTERS_32 "x/**]",
    "paths: [" LETTERS_32 "xy/**]",
    "paths: [" LETTERS_32 "*]",
    "paths: [" LETTERS_32 "x*]",
    "paths: [/**], methods: any",
    "paths: [/**], methods: []",
    "paths: [/**], methods: [POST]",
    "paths: [/**], methods: [PURGE]",
    "paths: [/**], methods: [GET, PURGE]",
    "paths: [/**], methods: [POST, PUT, PATCH, DELETE]",
    "paths: [/**], ports: [443]",
    "paths: [/**], ports: [8443]",
    "paths: [/**], ports: [443, 8443]",
    "paths: [/**], ports: []",
    "paths: [/**], scheme: http",
    "paths: [/**], scheme: http, ports: [443]",
    "paths: [/**], methods: [GET, POST], body: {max: 10}",
    "paths: [/**], methods: [GET, POST], body: {max: 10, types: [text/plain]}",
    "paths: [/**], query: {a: '1'}",
    "paths: [/**], headers: {accept: '*'}",
};

static const char *const urls[] = {
    "https://h.example/",
    "https://h.example/a",
    "https://h.example/A",
    "https://h.example/a/",
    "https://h.example/ab",
    "https://h.example/a%20b",
    "https://h.example/a/b",
    "https://h.example/a/c/b",
    "https://h.example/b",
    "https://h.example/bb",
    "https://h.example/x/y/b",
    "https://h.example/x/",
    "https://h.example" LETTERS_32,
    "https://h.example" LETTERS_32 "x",
    "https://h.example" LETTERS_32 "xy",
    "https://h.example" LETTERS_32 "xz",
    "https://h.example" LETTERS_32 "x/y",
    "https://h.example" LETTERS_32 "xy/z",
    "https://h.example:8443/a",
    "https://h.example:444/a",
    "http://h.example/a",
    "http://h.example:443/a",
    "https://h.example/a?a=1",
    "https://h.example/a?a=2",
};

static const struct request_facts facts[] = {
    {.method = SLICE("GET")},
    {.method = SLICE("POST")},
    {.method = SLICE("DELETE")},
    {.method = SLICE("PURGE")},
    {.method = SLICE("get")},
    {.method = SLICE("")},
    {.method = SLICE("GET"), .has_body = true},
    {.method = SLICE("GET"), .has_body = true, .body_size = 10},
    {.method = SLICE("POST"), .has_body = true, .body_size = 10, .content_type = SLICE("text/plain")},
    {.method = SLICE("POST"), .has_body = true, .body_size = 11, .content_type = SLICE("text/plain")},
    {.method = SLICE("POST"), .has_body = true, .body_size = -1},
};

static struct policy *compile(const char *list, const char *rule)
{
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    struct policy *p;
    struct err e;
    assert_return_code(buf_printf(&text, "exeat: 1\n%s:\n- {host: h.example, %s}\n", list, rule), 0);
    if (policy_compile("t.yaml", buf_slice(&text), "t", NULL, NULL, &p, &e) < 0)
        fail_msg("%s: %s", rule, e.text);
    return p;
}

static bool conditions_fit(const struct policy_rule *r, const struct http_target *target,
                           const struct request_facts *f)
{
    static struct judged q;
    q = (struct judged){.target = target, .facts = f, .decoded_len = SIZE_MAX};
    for (enum policy_part part = 0; part < PART_COUNT; part++)
        if (r->cond[part] && conds[part]->judge(r, r->cond[part], &q) != REASON_NONE)
            return false;
    return true;
}

static void compare(const struct policy *p, const char *url, const struct request_facts *f)
{
    struct arena arena = ARENA_INIT(TEXT_BYTES);
    struct http_target target;
    struct http_problem problem;
    struct verdict v;
    assert_return_code(http_url_parse(&arena, slice_str(url), &target, &problem), 0);
    policy_match(p, &target, f, &v);
    const struct policy_rule *rule = policy_rule_at(p, 0);
    if ((v.rule == rule) != conditions_fit(rule, &target, f))
        fail_msg("%.*s %s: the line says %s", SLICE_FMT(f->method), url, v.rule ? "yes" : "no");
    arena_free(&arena);
}

static void compare_all(const char *list, const char *rule)
{
    AUTO(policy) *p = compile(list, rule);
    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        for (size_t k = 0; k < ARRAY_LEN(facts); k++)
            compare(p, urls[i], &facts[k]);
}

static void a_line_judges_as_its_allow_rule_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        compare_all("allow", rules[i]);
}

static void a_line_judges_as_its_deny_rule_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        compare_all("deny", rules[i]);
}

/* What fits is told without a look at the rule: otherwise judging is slow where there are many. */
static void ordinary_rules_are_said_in_their_line(void **state)
{
    static const struct {
        const char *rule;
        unsigned ask; /* without the body, which most requests do not have */
    } cases[] = {
        {"paths: [/a/**]", 0},
        {"paths: [/a/*/b], methods: [POST, PUT]", 0},
        {"paths: [/a], methods: any, ports: [8443]", 0},
        {"paths: [/a, /b/**, /c/*/d]", 0},
        {"paths: [/a], path_regex: ['/b']", 1u << PART_PATH},
        {"paths: [/a, " LETTERS_32 "]", 1u << PART_PATH},
        {"paths: [/a], methods: [PURGE]", 1u << PART_METHOD},
        {"paths: [/a], ports: [1, 2], query: {}", 1u << PART_PORT | 1u << PART_QUERY},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(policy) *p = compile("allow", cases[i].rule);
        struct rule_gist line;
        gist_make(policy_rule_at(p, 0), &line);
        if ((line.ask & ~(1u << PART_BODY)) != cases[i].ask)
            fail_msg("%s: asks %#x", cases[i].rule, line.ask);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_judges_as_its_allow_rule_does),
        cmocka_unit_test(a_line_judges_as_its_deny_rule_does),
        cmocka_unit_test(ordinary_rules_are_said_in_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
