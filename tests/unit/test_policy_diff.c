/* What differs between two policies, as lines. */
#include "base/buf.h"
#include "policy/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { LINES_BYTES = 64 << 10 };

#define HEAD "exeat: 1\ntask: t\n"

static const struct {
    const char *name, *before, *after, *lines; /* "!" stands before what drops something */
} cases[] = {
    {"the same text", "allow:\n- GET https://a.test/x\n", "allow:\n- GET https://a.test/x\n", ""},
    {"other names, lines and order", "allow:\n- {name: a, host: a.test, paths: [/x]}\n- {name: b, host: b.test, paths: [/x]}\n",
     "allow:\n# moved\n- {name: c, host: b.test, paths: [/x]}\n\n- {name: d, host: a.test, paths: [/x]}\n", ""},
    {"a new rule", "allow: []\n", "allow:\n- {name: n, host: a.test, paths: [/x]}\n", "new: allow \"n\" (p:4)\n"},
    {"a rule that has gone", "allow:\n- {name: n, host: a.test, paths: [/x]}\n", "allow: []\n", "gone: allow \"n\" (p:4)\n"},
    {"a deny rule that has gone", "deny:\n- {name: n, host: a.test}\n", "deny: []\n", "!gone: deny \"n\" (p:4)\n"},
    {"other methods", "allow:\n- {name: n, host: a.test, paths: [/x]}\n",
     "allow:\n- {name: n, host: a.test, paths: [/x], methods: [POST]}\n",
     "changed: allow \"n\" (p:4): method: GET, HEAD, OPTIONS -> POST\nchanged: allow \"n\" (p:4): body: none -> up to 1MiB\n"},
    {"a condition that has gone", "allow:\n- {name: n, host: a.test, paths: [/x], query: {}}\n",
     "allow:\n- {name: n, host: a.test, paths: [/x]}\n", "!changed: allow \"n\" (p:4): query: none -> any\n"},
    {"a deny rule that forbids something else", "deny:\n- {name: n, host: a.test}\n",
     "deny:\n- {name: n, host: a.test, methods: [POST]}\n", "!changed: deny \"n\" (p:4): method: any -> POST\n"},
    {"a limit, an end, networks and a tunnel",
     "allow:\n- {name: n, host: a.test, paths: [/x], limits: {upload: 1MiB}}\n- {name: m, host: b.test, paths: [/x]}\n",
     "allow:\n- {name: n, host: a.test, paths: [/x], expires: 2099-01-01, addresses: [10.0.0.0/8]}\n"
     "- {name: m, host: b.test, paths: [/x], encoded_slash: true}\n",
     "changed: allow \"m\" (p:5): encoded_slash: false -> true\n"
     "changed: allow \"n\" (p:4): expires: never -> 2099-01-01\n"
     "changed: allow \"n\" (p:4): addresses: none -> 10.0.0.0/8\n"
     "changed: allow \"n\" (p:4): limits: upload 1MiB -> none\n"},
    {"the mode and the limits of the policy", "allow: []\n", "mode: monitor\nlimits: {upload: 1MiB/day}\nallow: []\n",
     "changed: mode of the policy: enforce -> monitor\nchanged: limits of the policy: none -> upload 1MiB/day\n"},
    {"the end of the policy", "allow: []\n", "expires: 2099-01-01\nallow: []\n",
     "changed: expires of the policy: never -> 2099-01-01\n"},
    {"files", "allow: []\n", "files: {read: [~/.ssh], write: [src/], hide: [secrets/], agent: claude}\nallow: []\n",
     "changed: files.agent of the policy: none -> claude\nchanged: files.read of the policy: none -> ~/.ssh\n"
     "changed: files.write of the policy: the project -> src/\nchanged: files.hide of the policy: none -> secrets/\n"},
    {"nothing to write, and a folder of that name", "files: {write: []}\nallow: []\n", "files: {write: [none]}\nallow: []\n",
     "changed: files.write of the policy: none -> \"none\"\n"},
    {"two folders instead of one with a comma", "files: {read: [\"a, b\"]}\nallow: []\n", "files: {read: [a, b]}\nallow: []\n",
     "changed: files.read of the policy: \"a, b\" -> a, b\n"},
    {"the environment", "environment: {set: {A: \"1\", B: \"2\"}}\nallow: []\n",
     "environment: {keep: [GITHUB_TOKEN], set: {A: \"1\", B: \"3\", C: \"4\"}}\nallow: []\n",
     "changed: environment.keep of the policy: none -> GITHUB_TOKEN\n"
     "changed: environment.set of the policy: A, B -> A, B (another value), C\n"},
    {"services and what is published", "services: [127.0.0.1:5432]\nallow: []\n",
     "services: [{target: 127.0.0.1:22, port: 5432}]\npublish: [{port: 3000, on: 8080}]\nallow: []\n",
     "changed: services of the policy: 127.0.0.1:5432 -> 127.0.0.1:22 at 127.0.0.1:5432\n"
     "changed: publish of the policy: none -> 3000 on the host's 127.0.0.1:8080\n"},
    {"cache, network and debug", "allow: []\n", "cache: none\nnetwork: explicit\njail: {debug: true}\nallow: []\n",
     "changed: cache of the policy: private -> none\nchanged: network of the policy: capture -> explicit\n"
     "changed: jail.debug of the policy: false -> true\n"},
    {"an allow rule that became a deny rule", "allow:\n- {name: n, host: a.test, paths: [/x]}\n",
     "deny:\n- {name: n, host: a.test, paths: [/x]}\n", "gone: allow \"n\" (p:4)\nnew: deny \"n\" (p:4)\n"},
    {"one of two equal rules", "allow:\n- {name: a, host: a.test, paths: [/x]}\n- {name: b, host: a.test, paths: [/x]}\n",
     "allow:\n- {name: a, host: a.test, paths: [/x]}\n", "gone: allow \"b\" (p:5)\n"},
};

static int note(void *arg, const struct diff_change *c)
{
    AUTO_BUF line = BUF_INIT(LINES_BYTES);
    assert_int_equal(diff_line(c, &line), 0);
    return buf_printf(arg, "%s%.*s\n", c->drops ? "!" : "", SLICE_FMT(buf_slice(&line)));
}

static struct policy *compile(const char *text)
{
    AUTO_BUF all = BUF_INIT(LINES_BYTES);
    struct policy *p = NULL;
    struct err e;
    assert_int_equal(buf_printf(&all, HEAD "%s", text), 0);
    if (policy_compile("p", buf_slice(&all), "t", NULL, NULL, &p, &e) < 0)
        fail_msg("%s", e.text);
    return p;
}

static void changes_are_told_rule_by_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(policy) *before = compile(cases[i].before);
        AUTO(policy) *after = compile(cases[i].after);
        AUTO_BUF lines = BUF_INIT(LINES_BYTES);
        assert_int_equal(policy_diff(before, after, note, &lines), 0);
        if (!slice_eq(buf_slice(&lines), slice_str(cases[i].lines)))
            fail_msg("%s:\n%.*sinstead of\n%s", cases[i].name, SLICE_FMT(buf_slice(&lines)), cases[i].lines);
    }
}

static int refuse(void *arg, const struct diff_change *c)
{
    (void)c;
    ++*(unsigned *)arg;
    return -1;
}

static void whoever_listens_may_stop(void **state)
{
    (void)state;
    AUTO(policy) *before = compile("deny: []\n");
    AUTO(policy) *after = compile("deny: [{host: a.test}, {host: b.test}]\n");
    unsigned calls = 0;
    assert_int_equal(policy_diff(before, after, refuse, &calls), -1);
    assert_int_equal(calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_told_rule_by_rule),
        cmocka_unit_test(whoever_listens_may_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
