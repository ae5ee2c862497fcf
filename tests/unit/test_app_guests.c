/* Tasks that come by themselves: what their policies may say, whose word is the last, and what they have
 * spent. */
#include "app/config_control.h"
#include "app/proxy_guests.h"
#include "policy/model.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { BYTES = 1 << 20, COUNTERS = 16 };

static const char config_text[] =
    "exeat: 1\ncontrol: {socket: ./exeat.sock, addresses: [10.1.0.0/16, 'fd00::/8']}\n";
static const char site_text[] =
    "exeat: 1\ndeny: [{name: not there, host: denied.test}]\nlimits: {requests: 9/hour}\n";
static const char policy_text[] =
    "exeat: 1\nallow:\n  - {host: a.test, paths: [/**]}\n  - {host: denied.test, paths: [/**]}\n";

/* A daemon as far as guests see it. */
struct daemon {
    struct bundle *site;
    struct load *load;
    void *memory;
    struct budgets *budgets;
    struct proxy_guests guests;
};

static int pack(enum bundle_kind kind, const char *name, const char *text)
{
    AUTO_BUF out = BUF_INIT(BYTES);
    struct err e;
    assert_int_equal(bundle_append(&out, kind, name, slice_str(text), &e), 0);
    int fd = bundle_seal(&out, &e);
    assert_true(fd >= 0);
    return fd;
}

static struct bundle *site_of(const char *text)
{
    struct bundle *b;
    struct err e;
    AUTO_FD int fd = pack(BUNDLE_SITE, "site.yaml", text);
    assert_int_equal(bundle_open(fd, &b, &e), 0);
    return b;
}

static struct load *load_of(const char *text)
{
    struct load *l;
    struct bundle *b;
    struct err e = {0};
    AUTO_FD int fd = pack(BUNDLE_CONFIG, "exeat.yaml", text);
    assert_int_equal(bundle_open(fd, &b, &e), 0);
    if (load_bundle(b, LOAD_CHECK, NULL, NULL, &l, &e) < 0)
        fail_msg("%s", e.text);
    bundle_free(b);
    return l;
}

static int set_up(void **state)
{
    struct daemon *d = calloc(1, sizeof *d);
    struct err e;
    assert_non_null(d);
    d->site = site_of(site_text);
    d->load = load_of(config_text);
    d->memory = calloc(1, budgets_bytes(COUNTERS));
    assert_int_equal(budgets_attach(d->memory, budgets_bytes(COUNTERS), &d->budgets, &e), 0);
    proxy_guests_init(&d->guests);
    *state = d;
    return 0;
}

static int tear_down(void **state)
{
    struct daemon *d = *state;
    proxy_guests_clear(&d->guests);
    budgets_free(d->budgets);
    free(d->memory);
    load_free(d->load);
    bundle_free(d->site);
    free(d);
    return 0;
}

static struct guest_options options_of(const struct daemon *d, unsigned id, const char *task, int bundle)
{
    return (struct guest_options){.id = id,
                                  .task = task,
                                  .uid = 1000,
                                  .bundle = bundle,
                                  .load = d->load,
                                  .site = d->site,
                                  .budgets = d->budgets};
}

static int add(struct daemon *d, unsigned id, const char *task, const char *text, struct err *e)
{
    AUTO_FD int fd = pack(BUNDLE_POLICY, "policy.yaml", text);
    const struct guest_options o = options_of(d, id, task, fd);
    return proxy_guests_add(&d->guests, &o, e);
}

/* What the proxy gets to know of the one with this name. */
static struct proxy_task_settings settings_of(const struct daemon *d, const char *task)
{
    struct proxy_settings all;
    struct proxy_task_settings *tasks, found = {.name = NULL};
    struct err e;
    assert_int_equal(proxy_guests_settings(&d->guests, &d->load->settings, &all, &tasks, &e), 0);
    for (size_t i = 0; i < all.task_count; i++)
        if (strcmp(all.tasks[i].name, task) == 0)
            found = all.tasks[i];
    free(tasks);
    return found;
}

static bool allows(const struct policy *p, const char *url)
{
    struct arena arena = ARENA_INIT(BYTES);
    struct http_target target;
    struct http_problem problem;
    struct verdict v;
    assert_int_equal(http_url_parse(&arena, slice_str(url), &target, &problem), 0);
    const struct request_facts facts = {.method = SLICE("GET")};
    policy_match(p, &target, &facts, &v);
    arena_free(&arena);
    return v.kind == VERDICT_ALLOW;
}

static void a_guest_is_a_task_under_the_sites_word(void **state)
{
    struct daemon *d = *state;
    struct err e;
    assert_int_equal(add(d, 1, "1000/a", policy_text, &e), 0);
    const struct proxy_task_settings t = settings_of(d, "1000/a");
    assert_true(t.jailed);
    assert_false(t.has_token);
    assert_string_equal(t.owner, "1000/");
    assert_int_equal(t.heads, LIMIT_HEADS_BYTES);
    assert_true(allows(t.policy, "https://a.test/x"));
    assert_false(allows(t.policy, "https://denied.test/x"));
    assert_true(policy_limits(t.policy)->requests[LIMIT_HOUR].written);
    assert_int_equal(policy_limits(t.policy)->requests[LIMIT_HOUR].amount, 9);
    assert_true(proxy_guests_remove(&d->guests, 1));
    assert_false(proxy_guests_remove(&d->guests, 1));
    assert_null(settings_of(d, "1000/a").name);
}

static void a_name_is_taken_once(void **state)
{
    struct daemon *d = *state;
    struct err e;
    assert_int_equal(add(d, 1, "1000/a", policy_text, &e), 0);
    assert_int_equal(add(d, 2, "1000/a", policy_text, &e), -1);
    assert_non_null(strstr(e.text, "1000/a runs already"));
    assert_int_equal(add(d, 3, "1001/a", policy_text, &e), 0);
    assert_string_equal(proxy_guests_task(&d->guests, 3), "1001/a");
    assert_null(proxy_guests_task(&d->guests, 2));
}

static void what_a_stranger_may_not_say_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"exeat: 1\nservices: [127.0.0.1:22]\n", "policy.yaml:2:12: `services`"},
        {"exeat: 1\npublish: [3000]\n", "policy.yaml:2:11: `publish`"},
        {"exeat: 1\nallow:\n  - {name: x, host: a.test, paths: [/**], addresses: [10.2.0.0/16]}\n",
         "policy.yaml:3:1: rule \"x\": `addresses`"},
        {"exeat: 1\nallow:\n  - {host: a.test, paths: [/**], addresses: [10.1.0.0/16, 10.0.0.0/8]}\n",
         "`addresses`"},
        {"exeat: 1\nallow:\n  - {host: a.test, paths: [/**], addresses: ['fc00::/7']}\n", "`addresses`"},
        {"exeat: 1\nallow: [{hosts: x}]\n", "policy.yaml:2:"},
        {"exeat: 2\n", "policy.yaml:1:"},
    };
    struct daemon *d = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {0};
        assert_int_equal(add(d, 1, "1000/a", rows[i].text, &e), -1);
        if (!strstr(e.text, rows[i].said))
            fail_msg("row %zu: %s", i, e.text);
        assert_int_equal(d->guests.count, 0);
    }
}

static void networks_that_are_lent_hold_what_lies_in_them(void **state)
{
    struct daemon *d = *state;
    struct err e;
    assert_int_equal(
        add(d, 1, "1000/a",
            "exeat: 1\nallow:\n  - {host: a.test, paths: [/**], addresses: [10.1.0.0/16, 10.1.2.0/24, "
            "10.1.255.255, 'fd12::/16', 'fdff::1']}\n",
            &e),
        0);
}

/* The operator changes his mind while it runs: nothing of it is let through, and it is told when he does
 * again. */
static void a_policy_that_holds_no_more_is_as_none(void **state)
{
    struct daemon *d = *state;
    struct err e;
    assert_int_equal(add(d, 1, "1000/a",
                         "exeat: 1\nallow:\n  - {host: a.test, paths: [/**], addresses: [10.1.0.0/16]}\n",
                         &e),
                     0);
    struct load *stricter = load_of("exeat: 1\ncontrol: ./exeat.sock\n");
    proxy_guests_judge_again(&d->guests, stricter, d->site);
    assert_null(settings_of(d, "1000/a").policy);
    proxy_guests_judge_again(&d->guests, d->load, d->site);
    assert_non_null(settings_of(d, "1000/a").policy);
    load_free(stricter);
}

static void another_site_holds_at_once(void **state)
{
    struct daemon *d = *state;
    struct err e;
    AUTO(bundle) *other = site_of("exeat: 1\ndeny: [{host: a.test}]\n");
    assert_int_equal(add(d, 1, "1000/a", policy_text, &e), 0);
    proxy_guests_judge_again(&d->guests, d->load, other);
    const struct policy *p = settings_of(d, "1000/a").policy;
    assert_false(allows(p, "https://a.test/x"));
    assert_true(allows(p, "https://denied.test/x"));
}

static int change(struct daemon *d, unsigned id, const char *text, struct err *e)
{
    AUTO_FD int fd = pack(BUNDLE_POLICY, "policy.yaml", text);
    const struct guest_options o = options_of(d, id, NULL, fd);
    return proxy_guests_change(&d->guests, &o, e);
}

static void a_change_keeps_what_was_spent_and_a_wrong_one_changes_nothing(void **state)
{
    struct daemon *d = *state;
    struct err e;
    assert_int_equal(add(d, 1, "1000/a", policy_text, &e), 0);
    const struct proxy_task_settings before = settings_of(d, "1000/a");
    assert_int_equal(change(d, 1, "exeat: 1\npublish: [80]\n", &e), -1);
    assert_ptr_equal(settings_of(d, "1000/a").policy, before.policy);
    assert_int_equal(change(d, 2, policy_text, &e), -1);
    assert_int_equal(change(d, 1, "exeat: 1\nallow: [{host: b.test, paths: [/**]}]\n", &e), 0);
    const struct proxy_task_settings after = settings_of(d, "1000/a");
    assert_true(allows(after.policy, "https://b.test/"));
    assert_ptr_equal(after.budgets, before.budgets);
}

/* They would be in the way of every other task's snapshot. */
static void more_limits_than_counters_are_refused(void **state)
{
    struct daemon *d = *state;
    struct err e;
    AUTO_BUF text = BUF_INIT(BYTES);
    assert_int_equal(add(d, 1, "1000/a", policy_text, &e), 0);
    assert_int_equal(buf_append(&text, SLICE("exeat: 1\nallow:\n")), 0);
    for (int i = 0; i < 121; i++)
        assert_int_equal(
            buf_printf(&text, "  - {name: r%d, host: a.test, paths: [/**], limits: {requests: 1}}\n", i), 0);
    assert_int_equal(change(d, 1, buf_cstr(&text), &e), -1);
    assert_non_null(strstr(e.text, "more than 120 rules with `limits`"));
    assert_true(allows(settings_of(d, "1000/a").policy, "https://a.test/x"));
}

/* What still counts in them holds them: an exchange that is being cut gives back what it did not send. */
static void budgets_outlive_their_guest(void **state)
{
    struct daemon *d = *state;
    struct err e;
    struct budget_key key;
    assert_int_equal(add(d, 1, "1000/a", policy_text, &e), 0);
    const struct proxy_task_settings t = settings_of(d, "1000/a");
    struct policy *held = policy_ref(t.policy);
    assert_int_equal(budget_key("1000/a", "requests", "policy.yaml", "", &key), 0);
    struct budget_hold hold = {.counter = budgets_get(t.budgets, &key)};
    assert_true(proxy_guests_remove(&d->guests, 1));
    assert_true(budget_take(&hold, &BUDGET_NO_LIMITS, 1000, 5));
    budget_return(&hold, 5);
    assert_int_equal(budget_used(hold.counter, BUDGET_LIFE), 0);
    policy_free(held);
}

static void a_policy_that_is_not_sealed_is_none(void **state)
{
    struct daemon *d = *state;
    struct err e;
    AUTO_FD int plain = open("/dev/null", O_RDONLY);
    const struct guest_options o = options_of(d, 1, "1000/a", plain);
    assert_int_equal(proxy_guests_add(&d->guests, &o, &e), -1);
    assert_string_equal(e.text, "bundle: not sealed");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_guest_is_a_task_under_the_sites_word),
        TEST(a_name_is_taken_once),
        TEST(what_a_stranger_may_not_say_is_refused_with_its_place),
        TEST(networks_that_are_lent_hold_what_lies_in_them),
        TEST(a_policy_that_holds_no_more_is_as_none),
        TEST(another_site_holds_at_once),
        TEST(a_change_keeps_what_was_spent_and_a_wrong_one_changes_nothing),
        TEST(more_limits_than_counters_are_refused),
        TEST(budgets_outlive_their_guest),
        TEST(a_policy_that_is_not_sealed_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
