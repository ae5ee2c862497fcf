/* proxy/snapshot: who is asking, and which configurations are refused. */
#include "base/crypto.h"
#include "proxy/snapshot.h"
#include "tls/ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { TASKS_MAX = 4, SOURCES_MAX = 3 };

/* A task as a row: sources are "address/prefix". */
struct row {
    const char *name, *token;
    const char *sources[SOURCES_MAX];
};

struct world {
    struct proxy_task_settings tasks[TASKS_MAX];
    struct proxy_source sources[TASKS_MAX][SOURCES_MAX];
    struct proxy_settings settings;
};

/* Any root will do: no connection is made here. */
static struct tls_trust *trust;

static int set_up_trust(void **state)
{
    struct err e;
    struct ca *ca = NULL;
    AUTO_BUF pem = BUF_INIT(1 << 16);
    (void)state;
    if (ca_new("test CA", 30, &ca, &e) < 0)
        return -1;
    int result = ca_cert_pem(ca, &pem, &e) < 0 ? -1 : tls_trust_new(buf_slice(&pem), SLICE(""), &trust, &e);
    ca_free(ca);
    return result;
}

static int tear_down_trust(void **state)
{
    (void)state;
    tls_trust_free(trust);
    return 0;
}

static struct fetch_address address(const char *text)
{
    struct fetch_address a;
    assert_int_equal(fetch_address_parse(slice_str(text), 0, &a), 0);
    return a;
}

static struct proxy_source source(const char *text)
{
    struct slice rest = slice_str(text), net;
    uint64_t prefix;
    struct fetch_address a;
    assert_true(slice_next(&rest, '/', &net));
    assert_int_equal(slice_to_u64(rest, 128, &prefix), 0);
    assert_int_equal(fetch_address_parse(net, 0, &a), 0);
    return (struct proxy_source){.net = a, .prefix = (unsigned)prefix};
}

static void fill(struct world *w, const struct row *rows)
{
    *w = (struct world){0};
    proxy_settings_defaults(&w->settings);
    w->settings.tasks = w->tasks;
    w->settings.trust = trust;
    for (size_t i = 0; i < TASKS_MAX && rows[i].name; i++) {
        struct proxy_task_settings *t = &w->tasks[w->settings.task_count++];
        t->name = rows[i].name;
        t->has_token = rows[i].token != NULL;
        if (rows[i].token)
            assert_int_equal(crypto_sha256(slice_str(rows[i].token), t->token_sha256), 0);
        t->sources = w->sources[i];
        while (t->source_count < SOURCES_MAX && rows[i].sources[t->source_count]) {
            w->sources[i][t->source_count] = source(rows[i].sources[t->source_count]);
            t->source_count++;
        }
    }
}

static struct proxy_snapshot *snapshot_of(const struct row *rows)
{
    struct world w;
    struct proxy_snapshot *s = NULL;
    struct err e;
    fill(&w, rows);
    if (proxy_snapshot_new(&w.settings, 7, &s, &e) < 0)
        fail_msg("%s", e.text);
    /* What the snapshot was made of may go: it has copied all. */
    memset(&w, 0x5a, sizeof w);
    return s;
}

/* --- finding a task --- */

static const struct row tasks[TASKS_MAX] = {
    {"by-token", "alpha", {NULL}},
    {"by-source", NULL, {"10.0.0.0/8", "2001:db8::/32"}},
    {"nested", NULL, {"10.1.2.0/24", "2001:db8:0:1::/64", "0.0.0.0/0"}},
    {"by-both", "beta", {"192.0.2.128/25", "::1/128"}},
};

/* To add a case: a row.  `found` is a task's name, or the reason for which there is none. */
static const struct {
    const char *what, *token, *peer, *found;
} cases[] = {
    {"a token alone finds its task from anywhere", "alpha", "203.0.113.9", "by-token"},
    {"and from IPv6", "alpha", "2001:db8::1", "by-token"},
    {"a token is found before a source", "alpha", "10.1.2.3", "by-token"},
    {"a token that nobody has", "gamma", "203.0.113.9", "credentials-wrong"},
    {"a wrong token is not made good by the source", "gamma", "10.1.2.3", "credentials-wrong"},
    {"an empty token is a token", "", "10.1.2.3", "credentials-wrong"},
    {"a token's beginning is not the token", "alph", "203.0.113.9", "credentials-wrong"},
    {"a source alone", NULL, "10.200.0.1", "by-source"},
    {"the longest prefix wins", NULL, "10.1.2.3", "nested"},
    {"one address beside it belongs to the wider one", NULL, "10.1.3.3", "by-source"},
    {"a prefix of no bits takes the rest", NULL, "203.0.113.9", "nested"},
    {"IPv6 by source", NULL, "2001:db8:ffff::1", "by-source"},
    {"the longest IPv6 prefix wins", NULL, "2001:db8:0:1::5", "nested"},
    {"no IPv6 source fits, and the IPv4 default is not for it", NULL, "2001:db9::1", "credentials-missing"},
    {"with both, both must fit", "beta", "192.0.2.129", "by-both"},
    {"with both, a strange source", "beta", "192.0.2.127", "credentials-wrong"},
    {"with both, the source alone is not enough", NULL, "::1", "credentials-missing"},
    {"with both, IPv6", "beta", "::1", "by-both"},
    {"with both, the address next to it", "beta", "::2", "credentials-wrong"},
};

static void a_task_is_found_by_token_by_source_or_by_both(void **state)
{
    (void)state;
    AUTO(proxy_snapshot) *s = snapshot_of(tasks);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct snapshot_task *t = NULL;
        enum reason reason = REASON_OVERLOADED;
        struct fetch_address peer = address(cases[i].peer);
        struct slice token = slice_str(cases[i].token);
        int found = snapshot_identify(s, token, &peer, &t, &reason);
        const char *got = found == 0 ? t->name : reason_id(reason);
        if (strcmp(got, cases[i].found) != 0)
            fail_msg("%s: %s instead of %s", cases[i].what, got, cases[i].found);
        assert_int_equal(found == 0, t != NULL);
    }
}

static void a_task_is_found_by_name(void **state)
{
    (void)state;
    AUTO(proxy_snapshot) *s = snapshot_of(tasks);
    for (size_t i = 0; i < TASKS_MAX; i++)
        assert_string_equal(snapshot_task_named(s, slice_str(tasks[i].name))->name, tasks[i].name);
    assert_null(snapshot_task_named(s, SLICE("by")));
    assert_null(snapshot_task_named(s, SLICE("by-token2")));
    assert_null(snapshot_task_named(s, SLICE("")));
}

/* IPv4 with a mask inside a byte: every length from 0 to 32 finds the addresses of its own network only. */
static void every_prefix_length_is_exact(void **state)
{
    (void)state;
    for (unsigned prefix = 0; prefix <= 32; prefix++) {
        char text[32];
        snprintf(text, sizeof text, "170.170.170.170/%u", prefix);
        struct row one[TASKS_MAX] = {{"t", NULL, {text}}};
        AUTO(proxy_snapshot) *s = snapshot_of(one);
        for (unsigned flip = 0; flip < 32; flip++) {
            struct fetch_address peer = address("170.170.170.170");
            peer.bytes[flip / 8] ^= (uint8_t)(0x80u >> flip % 8);
            const struct snapshot_task *t;
            enum reason reason;
            int found = snapshot_identify(s, slice_of(NULL, 0), &peer, &t, &reason);
            assert_int_equal(found, flip < prefix ? -1 : 0);
        }
    }
}

/* --- configurations that are refused --- */

static const struct {
    const char *what;
    struct row rows[TASKS_MAX];
    const char *words; /* in the message */
} refused[] = {
    {"one name twice", {{"a", "x", {NULL}}, {"a", "y", {NULL}}}, "two tasks are called `a`"},
    {"one token twice", {{"a", "x", {NULL}}, {"b", "x", {NULL}}}, "`a` and `b` have the same token"},
    {"one token twice, from different sources",
     {{"a", "x", {"10.0.0.0/8"}}, {"b", "x", {"192.168.0.0/16"}}},
     "the same token"},
    {"one source twice without a token",
     {{"a", NULL, {"10.0.0.0/8"}}, {"b", NULL, {"192.168.0.0/16", "10.0.0.0/8"}}},
     "the same source network"},
    {"one IPv6 source twice",
     {{"a", NULL, {"2001:db8::/32"}}, {"b", NULL, {"2001:db8::/32"}}},
     "the same source network"},
    {"nobody could use it", {{"a", NULL, {NULL}}}, "neither a token nor sources"},
};

static void what_cannot_tell_tasks_apart_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct world w;
        struct proxy_snapshot *s = (struct proxy_snapshot *)&w;
        struct err e = {0};
        fill(&w, refused[i].rows);
        if (proxy_snapshot_new(&w.settings, 1, &s, &e) == 0)
            fail_msg("%s: accepted", refused[i].what);
        if (!strstr(e.text, refused[i].words))
            fail_msg("%s: %s", refused[i].what, e.text);
        assert_ptr_equal(s, &w); /* outputs are untouched on failure */
    }
}

static const struct row told_apart[][TASKS_MAX] = {
    {{"a", NULL, {"10.0.0.0/8"}}, {"b", NULL, {"10.0.0.0/9"}}}, /* a network in another */
    {{"a", "x", {"10.0.0.0/8"}}, {"b", NULL, {"10.0.0.0/8"}}},  /* one has a token */
    {{"a", "x", {"10.0.0.0/8"}}, {"b", "y", {"10.0.0.0/8"}}},   /* each has its own */
    {{"a", NULL, {"0.0.0.0/0"}}, {"b", NULL, {"::/0"}}},        /* two families */
};

static void what_can_be_told_apart_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(told_apart); i++) {
        AUTO(proxy_snapshot) *s = snapshot_of(told_apart[i]);
        assert_non_null(s);
    }
}

/* --- what it carries --- */

static void settings_are_copied_and_defaults_are_those_of_the_documentation(void **state)
{
    (void)state;
    AUTO(proxy_snapshot) *s = snapshot_of(tasks);
    assert_int_equal(snapshot_generation(s), 7);
    assert_int_equal(snapshot_limits(s)->head_size, 64 << 10);
    assert_int_equal(snapshot_limits(s)->connections_per_task, 1000);
    assert_int_equal(snapshot_timeouts(s)->head, 10000000000);
    assert_int_equal(snapshot_timeouts(s)->idle, 300000000000);
    assert_int_equal(snapshot_blocked_connect(s), BLOCKED_CONNECT_EXPLAIN);
}

static void a_snapshot_lives_as_long_as_its_last_reference(void **state)
{
    (void)state;
    struct proxy_snapshot *s = snapshot_of(tasks);
    struct proxy_snapshot *other = proxy_snapshot_ref(s);
    proxy_snapshot_free(s);
    assert_non_null(snapshot_task_named(other, SLICE("nested")));
    proxy_snapshot_free(other);
    proxy_snapshot_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_found_by_token_by_source_or_by_both),
        cmocka_unit_test(a_task_is_found_by_name),
        cmocka_unit_test(every_prefix_length_is_exact),
        cmocka_unit_test(what_cannot_tell_tasks_apart_is_refused),
        cmocka_unit_test(what_can_be_told_apart_is_accepted),
        cmocka_unit_test(settings_are_copied_and_defaults_are_those_of_the_documentation),
        cmocka_unit_test(a_snapshot_lives_as_long_as_its_last_reference),
    };
    return cmocka_run_group_tests(tests, set_up_trust, tear_down_trust);
}
