/* What a configuration comes to: defaults, paths, overrides. */
#include "app/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SECONDS(n) ((int64_t)(n)*1000000000)

static struct config *parse(const char *file, const char *text)
{
    struct config *c = NULL;
    struct err e = {0};
    struct problems problems = {.file = file, .first = &e};
    if (config_parse(slice_str(text), &problems, &c) < 0)
        fail_msg("%s", e.text);
    return c;
}

static void what_is_not_written_has_its_default(void **state)
{
    (void)state;
    AUTO(config) *c = parse("/etc/exeat/exeat.yaml", "exeat: 1\n");
    assert_int_equal(c->listen_count, 1);
    assert_int_equal(c->listen[0].address.port, 3128);
    assert_int_equal(c->listen[0].address.family, AF_INET);
    assert_int_equal(c->listen[0].address.bytes[0], 127);
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->audit.rotate, 100 << 20);
    assert_int_equal(c->audit.keep, 30);
    assert_false(c->audit.full_urls);
    assert_int_equal(c->blocked_connect, BLOCKED_CONNECT_EXPLAIN);
    assert_int_equal(c->limits.head_size, 64 << 10);
    assert_int_equal(c->limits.connections_per_task, 1000);
    assert_int_equal(c->limits.connections_per_source, 10000);
    assert_int_equal(c->limits.task_heads, 0);
    assert_int_equal(c->limits.task_records, 0);
    assert_int_equal(c->timeouts.head, SECONDS(10));
    assert_int_equal(c->timeouts.connect, SECONDS(10));
    assert_int_equal(c->timeouts.tls_handshake, SECONDS(10));
    assert_int_equal(c->timeouts.response_head, SECONDS(120));
    assert_int_equal(c->timeouts.idle, SECONDS(300));
    assert_int_equal(c->timeouts.body_stall, SECONDS(60));
    assert_int_equal(c->timeouts.shutdown, SECONDS(30));
    assert_int_equal(c->task_count, 0);
}

static void the_configuration_of_the_manual_is_read_whole(void **state)
{
    (void)state;
    AUTO(config) *c =
        parse("/etc/exeat/exeat.yaml", "exeat: 1\n"
                                       "listen: [127.0.0.1:3128, '[::1]:3129']\n"
                                       "workers: 2\n"
                                       "state: ./state\n"
                                       "audit: {file: ./audit.jsonl, rotate: 1MiB, keep: 3}\n"
                                       "ca: {cert: ./ca.pem, key: /secret/ca.key}\n"
                                       "blocked_connect: refuse\n"
                                       "upstream:\n"
                                       "  ca_file: ./more-roots.pem\n"
                                       "  resolve: ['api.test:443:127.0.0.1:8443']\n"
                                       "timeouts: {shutdown: 250ms}\n"
                                       "tasks:\n"
                                       "  - {task: widgets, policy: ./widgets.yaml, token: s3cret}\n"
                                       "  - task: gadgets\n"
                                       "    policy: ../gadgets.yaml\n"
                                       "    token_file: ./gadgets.token\n"
                                       "    sources: [10.1.2.0/24, fd00::/8]\n"
                                       "    mode: monitor\n");
    assert_int_equal(c->listen_count, 2);
    assert_int_equal(c->listen[1].address.family, AF_INET6);
    assert_int_equal(c->workers, 2);
    assert_string_equal(c->state, "/etc/exeat/state");
    assert_string_equal(c->audit.file, "/etc/exeat/audit.jsonl");
    assert_int_equal(c->audit.rotate, 1 << 20);
    assert_int_equal(c->audit.keep, 3);
    assert_string_equal(c->ca.cert, "/etc/exeat/ca.pem");
    assert_string_equal(c->ca.key, "/secret/ca.key");
    assert_int_equal(c->blocked_connect, BLOCKED_CONNECT_REFUSE);
    assert_string_equal(c->upstream.ca_file, "/etc/exeat/more-roots.pem");
    assert_int_equal(c->timeouts.shutdown, 250000000);
    assert_int_equal(c->task_count, 2);
    assert_string_equal(c->tasks[0].policy, "/etc/exeat/widgets.yaml");
    assert_string_equal(c->tasks[0].token, "s3cret");
    assert_null(c->tasks[0].token_file);
    assert_int_equal(c->tasks[0].mode, CONFIG_MODE_POLICY);
    assert_true(c->has_tokens);
    const struct config_task *gadgets = config_find_task(c, "gadgets");
    assert_non_null(gadgets);
    assert_string_equal(gadgets->policy, "/etc/exeat/../gadgets.yaml");
    assert_string_equal(gadgets->token_file, "/etc/exeat/gadgets.token");
    assert_int_equal(gadgets->source_count, 2);
    assert_int_equal(gadgets->sources[0].prefix, 24);
    assert_int_equal(gadgets->sources[1].net.family, AF_INET6);
    assert_int_equal(gadgets->mode, CONFIG_MODE_MONITOR);
    assert_null(config_find_task(c, "others"));
}

static void a_state_folder_holds_what_has_no_place_of_its_own(void **state)
{
    (void)state;
    AUTO(config) *c = parse("exeat.yaml", "state: ./state\n");
    assert_string_equal(c->state, "state");
    assert_string_equal(c->audit.file, "state/audit.jsonl");
    assert_string_equal(c->ca.cert, "state/ca.pem");
    assert_string_equal(c->ca.key, "state/ca.key");
}

static const struct override_case {
    const char *text, *host;
    uint16_t port;
    const char *to;
    uint16_t to_port;
} override_cases[] = {
    {"api.test:443:127.0.0.1:8443", "api.test", 443, "127.0.0.1", 8443},
    {"API.Test:443:127.0.0.1:8443", "api.test", 443, "127.0.0.1", 8443},
    {"api.test:8443:127.0.0.1", "api.test", 8443, "127.0.0.1", 8443},
    {"api.test:443:[::1]:8443", "api.test", 443, "::1", 8443},
    {"api.test:443:[::1]", "api.test", 443, "::1", 443},
    {"[2001:db8::1]:443:192.0.2.1:1", "2001:db8::1", 443, "192.0.2.1", 1},
    {"192.0.2.7:443:192.0.2.1:1", "192.0.2.7", 443, "192.0.2.1", 1},
};

static void an_override_names_host_port_and_address(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(override_cases); i++) {
        const struct override_case *want = &override_cases[i];
        char text[200], address[FETCH_ADDRESS_TEXT];
        snprintf(text, sizeof text, "upstream: {resolve: [\"%s\"]}\n", want->text);
        AUTO(config) *c = parse("exeat.yaml", text);
        assert_int_equal(c->upstream.resolve_count, 1);
        const struct fetch_override *o = c->upstream.resolve;
        assert_string_equal(o->host, want->host);
        assert_int_equal(o->port, want->port);
        fetch_address_print(&o->to, address);
        assert_string_equal(address, want->to);
        assert_int_equal(o->to.port, want->to_port);
    }
}

static const struct proxy_case {
    const char *text;
    enum fetch_proxy_kind kind;
    const char *host;
    uint16_t port;
    const char *user, *password, *shown;
} proxy_cases[] = {
    {"http://proxy.test:3128", FETCH_PROXY_HTTP, "proxy.test", 3128, NULL, NULL, "http://proxy.test:3128"},
    {"HTTP://Proxy.TEST:3128/", FETCH_PROXY_HTTP, "proxy.test", 3128, NULL, NULL, "http://proxy.test:3128"},
    {"socks5://10.0.0.1:1080", FETCH_PROXY_SOCKS5, "10.0.0.1", 1080, NULL, NULL, "socks5://10.0.0.1:1080"},
    {"socks5h://u:p@[::1]:1080", FETCH_PROXY_SOCKS5, "::1", 1080, "u", "p", "socks5h://[::1]:1080"},
    {"http://u@proxy.test:1", FETCH_PROXY_HTTP, "proxy.test", 1, "u", "", "http://proxy.test:1"},
    {"http://a%40b:c%3Ad%25@proxy.test:1", FETCH_PROXY_HTTP, "proxy.test", 1, "a@b", "c:d%", "http://proxy.test:1"},
    {"http://u:p@ss:w@proxy.test:1", FETCH_PROXY_HTTP, "proxy.test", 1, "u", "p@ss:w", "http://proxy.test:1"},
};

static void assert_same_text(const char *got, const char *wanted)
{
    assert_int_equal(got == NULL, wanted == NULL);
    if (wanted)
        assert_string_equal(got, wanted);
}

static void an_upstream_proxy_names_kind_place_and_credentials(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(proxy_cases); i++) {
        const struct proxy_case *want = &proxy_cases[i];
        char text[200];
        snprintf(text, sizeof text, "upstream: {proxy: \"%s\"}\n", want->text);
        AUTO(config) *c = parse("exeat.yaml", text);
        const struct fetch_proxy *p = &c->upstream.proxy;
        assert_int_equal(p->kind, want->kind);
        assert_true(slice_eq(p->at.host, slice_str(want->host)));
        assert_int_equal(p->at.port, want->port);
        assert_same_text(p->user, want->user);
        assert_same_text(p->password, want->password);
        assert_string_equal(p->text, want->shown);
        assert_int_equal(c->has_tokens, want->user != NULL);
    }
}

static void names_of_tasks_are_plain(void **state)
{
    (void)state;
    assert_true(config_task_name_ok(SLICE("widgets-42.a_B")));
    assert_false(config_task_name_ok(SLICE("")));
    assert_false(config_task_name_ok(SLICE("a/b")));
    assert_false(config_task_name_ok(SLICE("a:b")));
    assert_false(config_task_name_ok(SLICE("w\xc3\xa9")));
    char longest[65];
    memset(longest, 'x', sizeof longest);
    assert_true(config_task_name_ok(slice_of(longest, 63)));
    assert_false(config_task_name_ok(slice_of(longest, 64)));
}

static void a_file_that_is_missing_is_an_error_with_its_name(void **state)
{
    (void)state;
    AUTO(config) *c = NULL;
    struct err e = {0};
    assert_int_equal(config_load("/nonexistent/exeat.yaml", NULL, NULL, &c, &e), -1);
    assert_non_null(strstr(e.text, "/nonexistent/exeat.yaml"));
    assert_null(c);
}

static void a_ceiling_for_each_task_is_read(void **state)
{
    (void)state;
    AUTO(config) *c = parse("/etc/exeat/exeat.yaml",
                            "exeat: 1\naudit: {rotate: 1MiB, keep: 3}\n"
                            "limits: {connections_per_source: 7, task: {upload: 200MiB/day, requests: 600/min}, task_heads: 16MiB}\n"
                            "tasks: [{task: a, policy: w.yaml, token: s}, {task: b, policy: w.yaml, token: t}]\n");
    assert_int_equal(c->limits.connections_per_source, 7);
    assert_true(c->limits.task.upload[LIMIT_DAY].written);
    assert_int_equal(c->limits.task.upload[LIMIT_DAY].amount, 200 << 20);
    assert_int_equal(c->limits.task.requests[LIMIT_MINUTE].amount, 600);
    assert_false(c->limits.task.requests[LIMIT_RUN].written);
    assert_int_equal(c->limits.task_heads, 16 << 20);
    assert_int_equal(c->limits.task_records, 2 << 20); /* a half of what the log holds */
}

static void keep_is_a_number_of_files_an_age_or_both(void **state)
{
    static const struct {
        const char *text;
        unsigned files;
        int64_t age_ms;
    } rows[] = {
        {"30", 30, 0},          {"0", 0, 0},
        {"30d", 0, 30ll * 86400000}, {"[7, 12h]", 7, 12ll * 3600000}, {"[12h, 7]", 7, 12ll * 3600000},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[200];
        snprintf(text, sizeof text, "exeat: 1\naudit: {keep: %s}\ntasks: [{task: w, policy: w.yaml, token: s}]\n",
                 rows[i].text);
        AUTO(config) *c = parse("/etc/exeat/exeat.yaml", text);
        assert_int_equal(c->audit.keep, rows[i].files);
        assert_int_equal(c->audit.keep_age_ms, rows[i].age_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_written_has_its_default),
        cmocka_unit_test(the_configuration_of_the_manual_is_read_whole),
        cmocka_unit_test(a_ceiling_for_each_task_is_read),
        cmocka_unit_test(keep_is_a_number_of_files_an_age_or_both),
        cmocka_unit_test(a_state_folder_holds_what_has_no_place_of_its_own),
        cmocka_unit_test(an_override_names_host_port_and_address),
        cmocka_unit_test(an_upstream_proxy_names_kind_place_and_credentials),
        cmocka_unit_test(names_of_tasks_are_plain),
        cmocka_unit_test(a_file_that_is_missing_is_an_error_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
