/* What a snapshot hands on to others: limits, addresses, the jail, tests, files. */
#include "policy/jail.h"
#include "policy/limits.h"
#include "policy/nets.h"
#include "policy/policy.h"
#include "policy/show.h"
#include "policy/tests.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MIB = 1 << 20, OUTPUT_BYTES = 1 << 20 };

struct text {
    enum policy_text_kind kind;
    const char *name, *text;
};

/* Ends with a name of NULL. */
static int find(void *arg, enum policy_text_kind kind, const char *name, struct slice *ret_text,
                struct err *e)
{
    for (const struct text *t = arg; t->name; t++)
        if (t->kind == kind && strcmp(t->name, name) == 0) {
            *ret_text = slice_str(t->text);
            return 0;
        }
    return err_set(e, "%s: not here", name);
}

static struct policy *compile(const char *text, const struct text *others)
{
    struct policy *p = NULL;
    struct err e = {0};
    const struct policy_source from = {".exeat.yaml", slice_str(text), "t", find, (void *)others};
    if (policy_compile_source(&from, NULL, NULL, &p, &e) < 0)
        fail_msg("%s", e.text);
    return p;
}

static const struct policy_rule *rule_for(const struct policy *p, const char *url)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct http_target target;
    struct http_problem problem;
    struct verdict v;
    const struct request_facts facts = {.method = SLICE("GET")};
    assert_int_equal(http_url_parse(&arena, slice_str(url), &target, &problem), 0);
    policy_match(p, &target, &facts, &v);
    arena_free(&arena);
    assert_non_null(v.rule);
    return v.rule;
}

static const struct text files[] = {
    {POLICY_TEXT_FILE, "team.yaml",
     "exeat: 1\nlimits: {upload: 1MiB/day, requests: 100/hour, idle: 1min}\nextends: [./more.yaml]\n"
     "allow: [GET https://b.test/x]\n"},
    {POLICY_TEXT_FILE, "more.yaml", "exeat: 1\nlimits: {upload: 5MiB/day, requests: 30/min}\n"},
    {POLICY_TEXT_PRESET, "p",
     "exeat: 1\nmain: host\nparameters: {host: {kind: url}}\nallow: [\"GET ${host}/x\"]\n"},
    {POLICY_TEXT_FILE, NULL, NULL},
};

static void the_smaller_limit_counts_in_each_window(void **state)
{
    (void)state;
    AUTO(policy) *p = compile(
        "exeat: 1\nlimits: {upload: 2MiB/day, requests: 7, idle: 2min}\nextends: [./team.yaml]\n", files);
    const struct policy_limits *l = policy_limits(p);
    assert_int_equal(l->upload[LIMIT_DAY].amount, MIB);
    assert_false(l->upload[LIMIT_RUN].written);
    assert_int_equal(l->requests[LIMIT_RUN].amount, 7);
    assert_int_equal(l->requests[LIMIT_HOUR].amount, 100);
    assert_int_equal(l->requests[LIMIT_MINUTE].amount, 30);
    assert_int_equal(l->idle_ns, INT64_C(60) * 1000000000);
}

static void limits_of_a_rule_are_its_own(void **state)
{
    (void)state;
    AUTO(policy) *p = compile("exeat: 1\nlimits: {upload: 1MiB}\nallow:\n"
                              "  - {host: a.test, paths: [/x], limits: {upload: 3MiB/hour, idle: 250ms}}\n"
                              "  - GET https://b.test/x\n",
                              files);
    const struct policy_limits *l = policy_rule_limits(rule_for(p, "https://a.test/x"));
    assert_int_equal(l->upload[LIMIT_HOUR].amount, 3 * MIB);
    assert_false(l->upload[LIMIT_RUN].written);
    assert_int_equal(l->idle_ns, 250 * 1000000);
    assert_false(limits_any(policy_rule_limits(rule_for(p, "https://b.test/x"))->upload));
    assert_false(limits_any(policy_rule_limits(NULL)->requests));
}

static void addresses_of_a_rule_are_networks(void **state)
{
    (void)state;
    AUTO(policy) *p = compile("exeat: 1\nallow:\n"
                              "  - {host: a.test, paths: [/x], addresses: [10.1.0.0/16, \"fd00::/8\"]}\n"
                              "  - GET https://b.test/x\n"
                              "extends: [{p: c.test, addresses: 192.0.2.7}]\n",
                              files);
    size_t count;
    const struct policy_net *n = policy_rule_addresses(rule_for(p, "https://a.test/x"), &count);
    assert_int_equal(count, 2);
    assert_int_equal(n[0].family, 4);
    assert_int_equal(n[0].prefix, 16);
    assert_memory_equal(n[0].bytes, ((uint8_t[]){10, 1, 0, 0}), 4);
    assert_int_equal(n[1].family, 6);
    assert_int_equal(n[1].prefix, 8);
    assert_null(policy_rule_addresses(rule_for(p, "https://b.test/x"), &count));
    assert_int_equal(count, 0);
    n = policy_rule_addresses(rule_for(p, "https://c.test/x"), &count);
    assert_int_equal(count, 1);
    assert_int_equal(n[0].prefix, 32);
    assert_null(policy_rule_addresses(NULL, &count));
}

static void a_policy_without_keys_of_the_jail_asks_for_nothing(void **state)
{
    (void)state;
    AUTO(policy) *p = compile("exeat: 1\n", files);
    const struct policy_jail *j = policy_jail(p);
    assert_false(j->files.write_written);
    assert_null(j->files.agent);
    assert_true(j->cache);
    assert_int_equal(j->network, POLICY_NETWORK_CAPTURE);
    assert_false(j->debug);
    assert_int_equal(j->keep_count + j->set_count + j->service_count + j->publish_count, 0);
}

static void the_jail_is_told_what_is_written(void **state)
{
    (void)state;
    AUTO(policy) *p = compile("exeat: 1\n"
                              "files: {read: [~/data, /srv], write: [], hide: [.env], agent: claude}\n"
                              "environment: {keep: [TERM], set: {CI: \"1\", EMPTY: \"\"}}\n"
                              "services: [127.0.0.1:5432, {target: \"[::1]:6379\", port: 16379}]\n"
                              "publish: [3000, {port: 3001, on: 8080}]\n"
                              "cache: none\nnetwork: explicit\njail: {debug: true}\n",
                              files);
    const struct policy_jail *j = policy_jail(p);
    assert_int_equal(j->files.read_count, 2);
    assert_string_equal(j->files.read[1], "/srv");
    assert_true(j->files.write_written);
    assert_int_equal(j->files.write_count, 0);
    assert_string_equal(j->files.hide[0], ".env");
    assert_string_equal(j->files.agent, "claude");
    assert_string_equal(j->keep[0], "TERM");
    assert_string_equal(j->set[1].name, "EMPTY");
    assert_string_equal(j->set[1].value, "");
    assert_string_equal(j->services[0].address, "127.0.0.1");
    assert_int_equal(j->services[0].port, 5432);
    assert_string_equal(j->services[1].address, "::1");
    assert_int_equal(j->services[1].port, 16379);
    assert_int_equal(j->services[1].host_port, 6379);
    assert_int_equal(j->publish[0].host_port, 3000);
    assert_int_equal(j->publish[1].port, 3001);
    assert_int_equal(j->publish[1].host_port, 8080);
    assert_int_equal(j->publish[1].line, 5);
    assert_false(j->cache);
    assert_int_equal(j->network, POLICY_NETWORK_EXPLICIT);
    assert_true(j->debug);
}

static void tests_are_handed_on_as_written(void **state)
{
    (void)state;
    AUTO(policy) *p = compile("exeat: 1\ntests:\n  - allow GET https://a.test/x\n"
                              "  - block   POST   https://a.test/x?q=1\n",
                              files);
    const struct policy_tests *t = policy_tests(p);
    assert_int_equal(t->count, 2);
    assert_true(t->at[0].allow);
    assert_false(t->at[1].allow);
    assert_true(slice_eq(t->at[1].method, SLICE("POST")));
    assert_true(slice_eq(t->at[1].url, SLICE("https://a.test/x?q=1")));
    assert_int_equal(t->at[1].line, 4);
}

static void the_digest_covers_every_text(void **state)
{
    (void)state;
    static const struct text changed[] = {{POLICY_TEXT_FILE, "team.yaml", "exeat: 1\n# changed\n"},
                                          {POLICY_TEXT_FILE, NULL, NULL}};
    static const struct text same[] = {{POLICY_TEXT_FILE, "team.yaml", "exeat: 1\n"},
                                       {POLICY_TEXT_FILE, NULL, NULL}};
    static const char text[] = "exeat: 1\nextends: [./team.yaml]\n";
    AUTO(policy) *a = compile(text, same);
    AUTO(policy) *b = compile(text, same);
    AUTO(policy) *c = compile(text, changed);
    assert_string_equal(policy_digest(a), policy_digest(b));
    assert_string_not_equal(policy_digest(a), policy_digest(c));
}

static void extends_needs_someone_who_looks_up(void **state)
{
    (void)state;
    struct policy *p = NULL;
    struct err e;
    assert_int_equal(
        policy_compile("f", SLICE("exeat: 1\nextends: [./team.yaml]\n"), "t", NULL, NULL, &p, &e), -1);
    assert_string_equal(e.text, "f:2:11: `extends` is not possible here");
}

static void the_summary_says_how_much_may_leave(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *summary;
    } cases[] = {
        {"exeat: 1\nlimits: {upload: 200MiB/day}\nallow: [POST https://a.test/x, GET https://b.test/x]\n",
         "2 hosts, 1 may be written to, at most 200 MiB a day; what the agent reads can reach a.test"},
        {"exeat: 1\nallow:\n"
         "  - {rule: POST https://a.test/x, limits: {upload: 1MiB}}\n"
         "  - {rule: POST https://b.test/x, limits: {upload: 2MiB}}\n",
         "2 hosts, 2 may be written to, at most 3 MiB a run; what the agent reads can reach a.test, b.test"},
        {"exeat: 1\nallow: [{host: a.test, tls: passthrough}]\n",
         "1 host, 1 may be written to, as much as is sent, 1 not inspected; what the agent reads can reach "
         "a.test"},
        {"exeat: 1\n", "nothing is allowed"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(policy) *p = compile(cases[i].policy, files);
        AUTO_BUF out = BUF_INIT(OUTPUT_BYTES);
        assert_int_equal(show_summary(p, &out), 0);
        assert_string_equal(buf_cstr(&out), cases[i].summary);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smaller_limit_counts_in_each_window),
        cmocka_unit_test(limits_of_a_rule_are_its_own),
        cmocka_unit_test(addresses_of_a_rule_are_networks),
        cmocka_unit_test(a_policy_without_keys_of_the_jail_asks_for_nothing),
        cmocka_unit_test(the_jail_is_told_what_is_written),
        cmocka_unit_test(tests_are_handed_on_as_written),
        cmocka_unit_test(the_digest_covers_every_text),
        cmocka_unit_test(extends_needs_someone_who_looks_up),
        cmocka_unit_test(the_summary_says_how_much_may_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
