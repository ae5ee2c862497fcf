/* A change that opens something is told as one, key by key; the way back is told, and opens nothing. */
#include "base/buf.h"
#include "policy/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { TEXT_BYTES = 64 << 10 };

#define HEAD          "exeat: 1\n"
#define NONE          "allow: []\n"
#define RULE(rest)    "allow:\n- {name: n, host: [a.test], paths: [/x/**]" rest "}\n"
#define DENY(rest)    "deny:\n- {name: n, host: \"*.a.test\"" rest "}\nallow: []\n"
#define TWO(one, two) "allow:\n- {name: a, host: a.test" one "}\n- {name: b, host: a.test" two "}\n"

/* A row for each key of interfaces.md 1, and more where it can be widened in several ways. */
static const struct {
    const char *key, *narrow, *wide;
} cases[] = {
    {"allow", NONE, RULE("")},
    {"deny", DENY(""), NONE},
    {"mode", NONE, "mode: monitor\n" NONE},
    {"expires", "expires: 2098-01-01\n" NONE, "expires: 2099-01-01\n" NONE},
    {"expires", "expires: 2098-01-01\n" NONE, NONE},
    {"limits", "limits: {upload: 1MiB/day}\n" NONE, "limits: {upload: 2MiB/day}\n" NONE},
    {"limits", "limits: {requests: 3/min}\n" NONE, NONE},
    {"limits", "limits: {requests: 3/hour, upload: 1MiB}\n" NONE,
     "limits: {requests: 3/min, upload: 1MiB}\n" NONE},
    {"limits", "limits: {idle: 1min}\n" NONE, "limits: {idle: 2min}\n" NONE},
    {"files", NONE, "files: {read: [~/.ssh]}\n" NONE},
    {"files", "files: {write: [src/]}\n" NONE, NONE},
    {"files", "files: {write: []}\n" NONE, "files: {write: [src/]}\n" NONE},
    {"files", "files: {hide: [secrets/]}\n" NONE, NONE},
    {"files", NONE, "files: {agent: claude}\n" NONE},
    {"environment", NONE, "environment: {keep: [GITHUB_TOKEN]}\n" NONE},
    {"environment", NONE, "environment: {set: {NODE_OPTIONS: x}}\n" NONE},
    {"services", NONE, "services: [127.0.0.1:5432]\n" NONE},
    {"publish", NONE, "publish: [3000]\n" NONE},
    {"cache", "cache: none\n" NONE, NONE},
    {"network", "network: explicit\n" NONE, NONE},
    {"jail", NONE, "jail: {debug: true}\n" NONE},
    {"host", RULE(""), "allow:\n- {name: n, host: [a.test, b.test], paths: [/x/**]}\n"},
    {"host", RULE(""), "allow:\n- {name: n, host: \"**.a.test\", paths: [/x/**]}\n"},
    {"host", "allow:\n- {name: n, host: [], paths: [/x/**]}\n", RULE("")},
    {"ports", RULE(""), RULE(", ports: [443, 8443]")},
    {"methods", RULE(""), RULE(", methods: [GET, HEAD, OPTIONS, DELETE]")},
    {"methods", RULE(", methods: [POST]"), RULE(", methods: any")},
    {"paths", RULE(""), "allow:\n- {name: n, host: [a.test], paths: [/**]}\n"},
    {"path_regex", RULE(""), RULE(", path_regex: [\"/y.*\"]")},
    {"query", RULE(", query: {}"), RULE("")},
    {"headers", RULE(", headers: {accept: \"*\"}"), RULE("")},
    {"body", RULE(", methods: [POST], body: {max: 1KiB}"), RULE(", methods: [POST], body: {max: 2KiB}")},
    {"body", RULE(", methods: [POST], body: {types: [text/plain]}"), RULE(", methods: [POST]")},
    {"expires", RULE(", expires: 2098-01-01"), RULE("")},
    {"broad", NONE, "allow:\n- {name: n, host: \"*.github.io\", paths: [/**], broad: true}\n"},
    {"broad", RULE(""), RULE(", broad: true")},
    {"encoded_slash", RULE(""), RULE(", encoded_slash: true")},
    {"addresses", RULE(", addresses: [10.1.0.0/16]"), RULE(", addresses: [10.0.0.0/15]")},
    {"addresses", RULE(""), RULE(", addresses: [10.1.0.0/16]")},
    {"limits", RULE(", limits: {upload: 1MiB}"), RULE("")},
    {"limits", RULE(", limits: {requests: 3/min}"), RULE(", limits: {requests: 4/min}")},
    {"tls", "allow:\n- {name: n, host: a.test, paths: [/**]}\n",
     "allow:\n- {name: n, host: a.test, tls: passthrough}\n"},
    {"host", DENY(""), "deny:\n- {name: n, host: \"*.b.a.test\"}\nallow: []\n"},
    {"methods", DENY(""), DENY(", methods: [POST]")},
    {"ports", DENY(""), DENY(", ports: [443]")},
    {"paths", DENY(""), DENY(", paths: [/x]")},
    {"query", DENY(""), DENY(", query: {q: \"*\"}")},
    {"expires", DENY(""), DENY(", expires: 2099-01-01")},
};

/* No way from one to the other is only a narrower one. */
static const struct {
    const char *key, *one, *other;
} both_ways[] = {
    {"task", "task: one\n" NONE, "task: two\n" NONE},
    {"files.agent", "files: {agent: claude}\n" NONE, "files: {agent: codex}\n" NONE},
    {"files.write", "files: {write: [~/one]}\n" NONE, "files: {write: [~/two]}\n" NONE},
    {"files.write outside", NONE, "files: {write: [../other]}\n" NONE},
    {"environment.set", "environment: {set: {A: \"1\"}}\n" NONE, "environment: {set: {A: \"2\"}}\n" NONE},
    {"environment.set over one that is kept", "environment: {keep: [A]}\n" NONE,
     "environment: {keep: [A], set: {A: \"1\"}}\n" NONE},
    {"services", "services: [127.0.0.1:22]\n" NONE, "services: [{target: 127.0.0.1:23, port: 22}]\n" NONE},
    {"publish", "publish: [3000]\n" NONE, "publish: [{port: 3000, on: 3001}]\n" NONE},
    {"scheme", RULE(""), RULE(", scheme: http")},
    {"the name of a rule with limits", RULE(", limits: {requests: 3/min}"),
     "allow:\n- {name: m, host: [a.test], paths: [/x/**], limits: {requests: 3/min}}\n"},
    {"the order of rules that are not inspected", TWO(", paths: [/**]", ", tls: passthrough"),
     "allow:\n- {name: b, host: a.test, tls: passthrough}\n- {name: a, host: a.test, paths: [/**]}\n"},
    {"a rule that had a later one inspected", TWO(", paths: [/x]", ", tls: passthrough"),
     "allow:\n- {name: b, host: a.test, tls: passthrough}\n"},
    {"less of a rule that had a later one inspected", TWO(", paths: [/x], ports: [443, 8443]", ", tls: passthrough"),
     TWO(", paths: [/x]", ", tls: passthrough")},
    {"tls behind a rule that is inspected", TWO(", paths: [/x]", ", tls: passthrough"),
     TWO(", paths: [/x]", ", paths: [/y]")},
    {"a rule with limits before one without", TWO(", paths: [/x], limits: {upload: 1MiB}", ", paths: [/**]"),
     "allow:\n- {name: b, host: a.test, paths: [/**]}\n"},
    {"the order of rules with limits", TWO(", paths: [/x], limits: {upload: 1MiB}", ", paths: [/**]"),
     "allow:\n- {name: b, host: a.test, paths: [/**]}\n"
     "- {name: a, host: a.test, paths: [/x], limits: {upload: 1MiB}}\n"},
};

static struct policy *compile(const char *text)
{
    AUTO_BUF all = BUF_INIT(TEXT_BYTES);
    struct policy *p = NULL;
    struct err e;
    assert_int_equal(buf_printf(&all, HEAD "%s", text), 0);
    if (policy_compile("p", buf_slice(&all), "t", NULL, NULL, &p, &e) < 0)
        fail_msg("%s in\n%s", e.text, text);
    return p;
}

struct told {
    unsigned changes, opens, drops;
};

static int note(void *arg, const struct diff_change *c)
{
    struct told *t = arg;
    AUTO_BUF line = BUF_INIT(TEXT_BYTES);
    assert_int_equal(diff_line(c, &line), 0);
    t->changes++;
    t->opens += c->opens;
    t->drops += c->drops;
    return 0;
}

static struct told compare(const char *before, const char *after)
{
    AUTO(policy) *a = compile(before);
    AUTO(policy) *b = compile(after);
    struct told t = {0};
    assert_int_equal(policy_diff(a, b, note, &t), 0);
    return t;
}

static void what_a_change_opens_is_told_and_the_way_back_opens_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct told wider = compare(cases[i].narrow, cases[i].wide);
        if (!wider.opens)
            fail_msg("%s: nothing opens from\n%sto\n%s", cases[i].key, cases[i].narrow, cases[i].wide);
        struct told narrower = compare(cases[i].wide, cases[i].narrow);
        if (!narrower.changes)
            fail_msg("%s: not told from\n%sto\n%s", cases[i].key, cases[i].wide, cases[i].narrow);
        if (narrower.opens)
            fail_msg("%s: opens from\n%sto\n%s", cases[i].key, cases[i].wide, cases[i].narrow);
    }
}

static void what_cannot_be_compared_opens_either_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both_ways); i++)
        if (!compare(both_ways[i].one, both_ways[i].other).opens ||
            !compare(both_ways[i].other, both_ways[i].one).opens)
            fail_msg("%s", both_ways[i].key);
}

/* So that no condition is added whose change would be told as nothing. */
static void every_key_has_a_row(void **state)
{
    static const char *const keys[] = {
        "allow",   "deny",  "task",    "mode", "expires", "limits",    "files", "environment",   "services",
        "publish", "cache", "network", "jail", "tls",     "addresses", "broad", "encoded_slash",
#define COND_KEY(key, reader) key,
#include "policy/conds.def"
    };
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(cases) && !found; i++)
            found = strcmp(cases[i].key, keys[k]) == 0;
        for (size_t i = 0; i < ARRAY_LEN(both_ways) && !found; i++)
            found = strcmp(both_ways[i].key, keys[k]) == 0;
        if (!found)
            fail_msg("%s", keys[k]);
    }
}

static void a_deny_rule_that_forbids_more_drops_nothing(void **state)
{
    (void)state;
    assert_int_equal(compare(DENY(", methods: [POST]"), DENY("")).drops, 0);
    assert_int_equal(compare(DENY(""), DENY(", methods: [POST]")).drops, 1);
    assert_int_equal(compare(DENY(""), NONE).drops, 1);
    assert_int_equal(compare(RULE(", query: {}"), RULE("")).drops, 1);
    assert_int_equal(compare(RULE(""), RULE(", query: {}")).drops, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_change_opens_is_told_and_the_way_back_opens_nothing),
        cmocka_unit_test(what_cannot_be_compared_opens_either_way),
        cmocka_unit_test(every_key_has_a_row),
        cmocka_unit_test(a_deny_rule_that_forbids_more_drops_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
