/* A law: where the difference between two policies has nothing that opens, the second lets nothing through
 * that the first did not.  Tried with policies and requests that are drawn from the tables below, always the
 * same ones. */
#include "base/buf.h"
#include "policy/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { TEXT_BYTES = 16 << 10, RULES_MAX = 4, PAIRS = 4000, REQUESTS = 150, SEED = 20261121 };
static const int64_t NOW_MS = INT64_C(1800000000000); /* in 2027 */

/* What a rule may say; "" says nothing.  To add a key: a column here, and something that differs in
 * `requests`. */
static const char *const hosts[] = {"a.test",
                                    "b.test",
                                    "\"*.a.test\"",
                                    "\"**.a.test\"",
                                    "\"*.x.a.test\"",
                                    "[a.test, b.test]",
                                    "[x.a.test, \"*.b.test\"]"};
static const char *const paths[] = {"paths: [/x]",           "paths: [/x/**]",  "paths: [/**]",
                                    "paths: [/*]",           "paths: [/x, /y]", "paths: []",
                                    "path_regex: [\"/x.*\"]"};
static const char *const rest[][8] = {
    {"", "", "scheme: http, ", "scheme: https, "},
    {"", "", "ports: [443, 8443], ", "ports: [8443], ", "ports: [80], "},
    {"", "", "methods: [GET], ", "methods: [POST], ", "methods: any, ", "methods: [GET, POST], "},
    {"", "", "", "query: {}, ", "query: {q: \"*\"}, ", "query: {q: \"1\"}, ",
     "query: {q: [\"1\", \"2\"], r: \"*\"}, "},
    {"", "", "", "headers: {accept: \"*\"}, ", "headers: {accept: \"text/*\"}, ",
     "headers: {\"accept?\": \"text/*\"}, "},
    {"", "", "body: {max: 10}, ", "body: {max: 100}, ", "body: {max: 100, types: [text/plain]}, "},
    {"", "", "", "expires: 2020-01-01, ", "expires: 2098-01-01, ", "expires: 2099-01-01, "},
    {"", "", "", "encoded_slash: true, "},
};
/* What a deny rule may not say. */
static bool fits_kind(const char *text, bool deny)
{
    bool empty = strstr(text, "{}") || strstr(text, "[]") || strchr(text, '?');
    return !deny || (!empty && !strstr(text, "encoded_slash"));
}

struct draw {
    uint64_t state;
};

/* xorshift64 (Marsaglia 2003). */
static size_t draw(struct draw *d, size_t below)
{
    d->state ^= d->state << 13;
    d->state ^= d->state >> 7;
    d->state ^= d->state << 17;
    return (size_t)(d->state >> 20) % below;
}

struct rule {
    bool deny, opaque;
    size_t name, host, path, rest[ARRAY_LEN(rest)];
};

struct text {
    struct rule rules[RULES_MAX];
    size_t count, expires;
};

static void draw_key(struct draw *d, struct rule *r, size_t key)
{
    if (key == 0)
        r->host = draw(d, ARRAY_LEN(hosts));
    else if (key == 1)
        r->path = draw(d, ARRAY_LEN(paths));
    else if (key == 2)
        r->opaque = !r->deny && draw(d, 4) == 0;
    else
        r->rest[key - 3] = draw(d, ARRAY_LEN(rest[0]));
}

enum { KEYS = 3 + ARRAY_LEN(rest) };

static void draw_rule(struct draw *d, struct rule *r, size_t name)
{
    *r = (struct rule){.deny = draw(d, 3) == 0, .name = name};
    for (size_t key = 0; key < KEYS; key++)
        if (key < 2 || draw(d, 3) == 0)
            draw_key(d, r, key);
}

static void draw_text(struct draw *d, struct text *t)
{
    *t = (struct text){.count = 1 + draw(d, RULES_MAX), .expires = draw(d, 4)};
    for (size_t i = 0; i < t->count; i++)
        draw_rule(d, &t->rules[i], i);
}

/* Another policy of the same person, a week later. */
static void change(struct draw *d, struct text *t)
{
    size_t i = draw(d, t->count), k = draw(d, t->count);
    struct rule was = t->rules[i];
    switch (draw(d, 6)) {
    case 0:
        draw_rule(d, &t->rules[i], was.name);
        break;
    case 1:
        t->rules[i] = t->rules[--t->count];
        t->count += t->count == 0;
        break;
    case 2:
        t->rules[i] = t->rules[k];
        t->rules[k] = was;
        break;
    case 3:
        t->expires = draw(d, 4);
        break;
    default:
        draw_key(d, &t->rules[i], draw(d, KEYS));
    }
}

static void print_rule(const struct rule *r, struct buf *out)
{
    assert_int_equal(buf_printf(out, "- {name: n%zu, host: %s, ", r->name, hosts[r->host]), 0);
    if (r->opaque) {
        assert_int_equal(buf_append(out, SLICE("tls: passthrough}\n")), 0);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(rest); i++) {
        const char *text = rest[i][r->rest[i]];
        if (text && fits_kind(text, r->deny))
            assert_int_equal(buf_append(out, slice_str(text)), 0);
    }
    assert_int_equal(buf_printf(out, "%s}\n", fits_kind(paths[r->path], r->deny) ? paths[r->path] : ""), 0);
}

static struct policy *compile(const struct text *t, struct buf *out)
{
    static const char *const ends[] = {"", "", "expires: 2020-01-01\n", "expires: 2098-01-01\n"};
    struct policy *p = NULL;
    struct err e;
    buf_clear(out);
    assert_int_equal(buf_printf(out, "exeat: 1\n%s", ends[t->expires]), 0);
    for (int deny = 0; deny <= 1; deny++) {
        assert_int_equal(buf_printf(out, "%s: %s\n", deny ? "deny" : "allow", ""), 0);
        size_t before = buf_len(out);
        for (size_t i = 0; i < t->count; i++)
            if (t->rules[i].deny == (deny == 1))
                print_rule(&t->rules[i], out);
        if (buf_len(out) == before)
            assert_int_equal(buf_append(out, SLICE("  []\n")), 0);
    }
    if (policy_compile("p", buf_slice(out), "t", NULL, NULL, &p, &e) < 0)
        fail_msg("%s in\n%.*s", e.text, SLICE_FMT(buf_slice(out)));
    return p;
}

/* --- requests --- */

struct request {
    struct http_target target;
    struct http_headers headers;
    struct request_facts facts;
};

static void draw_request(struct draw *d, struct arena *arena, struct request *ret)
{
    static const char *const origins[] = {"a.test",   "x.a.test",    "y.x.a.test", "b.test",
                                          "z.b.test", "a.test:8443", "b.test:80"};
    static const char *const places[] = {"/x", "/x/y", "/y", "/", "/X", "/xx", "/x%2Fy"};
    static const char *const queries[] = {"", "", "?q=1", "?q=3", "?r=1", "?q=1&r=2", "?q=1&q=3"};
    static const char *const accepts[] = {"", "text/html", "image/png"};
    static const int64_t sizes[] = {0, 5, 50, 500, -1};
    AUTO_BUF url = BUF_INIT(TEXT_BYTES);
    struct http_problem problem;
    assert_int_equal(buf_printf(&url, "%s://%s%s%s", draw(d, 4) ? "https" : "http",
                                origins[draw(d, ARRAY_LEN(origins))], places[draw(d, ARRAY_LEN(places))],
                                queries[draw(d, ARRAY_LEN(queries))]),
                     0);
    assert_int_equal(http_url_parse(arena, arena_slice(arena, buf_slice(&url)), &ret->target, &problem), 0);
    struct slice accept = slice_str(accepts[draw(d, ARRAY_LEN(accepts))]);
    ret->headers.count = accept.len > 0;
    ret->headers.at[0] = (struct http_header){.name = SLICE("Accept"), .value = accept};
    int64_t size = draw(d, 2) ? sizes[draw(d, ARRAY_LEN(sizes))] : 0;
    ret->facts = (struct request_facts){.method = draw(d, 2) ? SLICE("GET") : SLICE("POST"),
                                        .has_body = size != 0,
                                        .body_size = size,
                                        .content_type = draw(d, 2) ? SLICE("text/plain") : SLICE("image/png"),
                                        .now_ms = NOW_MS,
                                        .headers = draw(d, 8) ? &ret->headers : NULL};
}

static int count_opening(void *arg, const struct diff_change *c)
{
    unsigned *seen = arg;
    seen[0]++;
    seen[1] += c->opens;
    return 0;
}

static bool lets_more_through(const struct policy *before, const struct policy *after, struct draw *d)
{
    struct arena arena = ARENA_INIT(1 << 20);
    static struct request r; /* too large for a stack frame */
    bool found = false;
    for (unsigned i = 0; i < REQUESTS && !found; i++) {
        struct verdict a, b;
        draw_request(d, &arena, &r);
        policy_match(before, &r.target, &r.facts, &a);
        policy_match(after, &r.target, &r.facts, &b);
        found = (b.kind == VERDICT_ALLOW && (a.kind != VERDICT_ALLOW || (b.opaque && !a.opaque)));
    }
    arena_free(&arena);
    return found;
}

static void what_opens_nothing_lets_nothing_more_through(void **state)
{
    (void)state;
    struct draw d = {SEED};
    unsigned narrowed = 0, opened = 0, more = 0;
    AUTO_BUF one = BUF_INIT(TEXT_BYTES);
    AUTO_BUF two = BUF_INIT(TEXT_BYTES);
    for (unsigned i = 0; i < PAIRS; i++) {
        struct text t;
        unsigned seen[2] = {0, 0}, same[2] = {0, 0};
        draw_text(&d, &t);
        AUTO(policy) *before = compile(&t, &one);
        for (size_t n = draw(&d, 3) + 1; n > 0; n--)
            change(&d, &t);
        AUTO(policy) *after = compile(&t, &two);
        assert_int_equal(policy_diff(before, after, count_opening, seen), 0);
        assert_int_equal(policy_diff(before, before, count_opening, same), 0);
        assert_int_equal(same[0], 0);
        bool wider = lets_more_through(before, after, &d);
        if (wider && !seen[1])
            fail_msg("nothing was told to open from\n%.*s\nto\n%.*s", SLICE_FMT(buf_slice(&one)),
                     SLICE_FMT(buf_slice(&two)));
        narrowed += seen[0] && !seen[1];
        opened += seen[1] > 0;
        more += wider;
    }
    /* else nothing was tried */
    assert_true(narrowed > PAIRS / 20 && opened > PAIRS / 20 && more > PAIRS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_opens_nothing_lets_nothing_more_through)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
