/* proxy/blockpage: the answer to a request that does not pass (interfaces.md 2), word for word. */
#include "proxy/exchange.h"
#include "proxy/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { ANSWER_BYTES = 64 << 10 };

#define ID "01HXYZ0123456789ABCDEFGHJK"

/* The words that an agent must never read: what the rules hold. */
static const char *const secrets[] = {
    "secret-path", "secret-type", "10.9.8.7", "443", "policy.yaml", "GET, HEAD",
};

static const char policy_text[] = "exeat: 1\n"
                                  "allow:\n"
                                  "  - name: read our issues\n"
                                  "    host: api.test\n"
                                  "    paths: [/repos/**, /secret-path/*]\n"
                                  "  - name: upload\n"
                                  "    host: up.test\n"
                                  "    methods: [POST]\n"
                                  "    paths: [/**]\n"
                                  "    body: {max: 1KiB, types: [application/secret-type]}\n"
                                  "deny:\n"
                                  "  - name: no pastes\n"
                                  "    host: \"**.paste.test\"\n"
                                  "    message: Paste sites are not for work data.\n";

static struct policy *policy;

static int set_up(void **state)
{
    struct err e;
    (void)state;
    int result = policy_compile("policy.yaml", slice_str(policy_text), "t", NULL, NULL, &policy, &e);
    if (result < 0)
        print_error("%s\n", e.text);
    return result;
}

static int tear_down(void **state)
{
    (void)state;
    policy_free(policy);
    return 0;
}

/* An exchange as it is when the answer is written. */
struct asked {
    struct exchange x;
    struct buf answer;
};

static void ask(struct asked *a, const char *method, const char *url)
{
    struct http_problem problem;
    *a = (struct asked){.answer = BUF_INIT(ANSWER_BYTES)};
    struct exchange *x = &a->x;
    x->arena = ARENA_INIT(EXCHANGE_ARENA_BYTES);
    memcpy(x->id, ID, sizeof ID);
    x->method = slice_str(method);
    x->url = slice_str(url);
    x->url_canonical = true;
    x->head_request = strcmp(method, "HEAD") == 0;
    if (http_url_parse(&x->arena, x->url, &x->target, &problem) < 0)
        fail_msg("%s: %s", url, problem.detail);
    struct request_facts facts = {.method = x->method};
    policy_match(policy, &x->target, &facts, &x->verdict);
    /* what else the exchange knows, and the page may not say */
    snprintf(x->detail, sizeof x->detail, "10.9.8.7 is an internal address");
    snprintf(x->up_address, sizeof x->up_address, "10.9.8.7");
}

static void end(struct asked *a)
{
    buf_free(&a->answer);
    arena_free(&a->x.arena);
}

static const char *answer(struct asked *a, enum reason reason, bool close)
{
    assert_int_equal(blockpage_write(&a->x, reason, close, &a->answer), 0);
    const char *text = buf_cstr(&a->answer);
    assert_non_null(text);
    return text;
}

static const char *body_of(const char *text)
{
    const char *body = strstr(text, "\r\n\r\n");
    assert_non_null(body);
    return body + 4;
}

static void expect_length(const char *text, size_t length)
{
    char line[64];
    snprintf(line, sizeof line, "\r\nContent-Length: %zu\r\n", length);
    if (!strstr(text, line))
        fail_msg("no%s in:\n%s", line, text);
}

static void the_text_says_what_why_and_how_to_go_on(void **state)
{
    struct asked a;
    (void)state;
    ask(&a, "DELETE", "https://api.test/repos/acme");
    const char *text = answer(&a, REASON_METHOD_NOT_ALLOWED, false);
    const char *body =
        "exeat: this request was blocked. The host is allowed, but not this method. Nearest rule: "
        "\"read our issues\".\n"
        "\n"
        "  request: DELETE https://api.test/repos/acme\n"
        "  reason:  method-not-allowed\n"
        "\n"
        "If the task needs to write there, ask a person to add a rule for it.\n"
        "More: exeat why " ID "\n";
    char head[512];
    snprintf(head, sizeof head,
             "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
             "Cache-Control: no-store\r\nExeat-Reason: method-not-allowed\r\n\r\n",
             strlen(body));
    assert_string_equal(body_of(text), body);
    assert_memory_equal(text, head, strlen(head));
    end(&a);
}

static void the_json_has_exactly_the_agreed_fields(void **state)
{
    struct asked a;
    (void)state;
    ask(&a, "DELETE", "https://api.test/repos/acme?page=2&token=hunter2hunter2");
    a.x.wants_json = true;
    const char *text = answer(&a, REASON_METHOD_NOT_ALLOWED, true);
    assert_non_null(strstr(text, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(text, "\r\nConnection: close\r\n\r\n"));
    assert_null(strstr(text, "hunter2"));
    const char *body = body_of(text);
    expect_length(text, strlen(body));
    static const char *const fields[] = {"{\"error\":\"exeat\"",
                                         ",\"reason\":\"method-not-allowed\"",
                                         ",\"message\":\"",
                                         ",\"method\":\"DELETE\"",
                                         ",\"url\":\"https://api.test/repos/acme?page=",
                                         ",\"nearest\":\"read our issues\"",
                                         ",\"hint\":\"exeat why " ID "\"",
                                         ",\"id\":\"" ID "\"",
                                         ",\"pending\":null}\n"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) { /* in this order */
        const char *found = strstr(body, fields[i]);
        if (!found || (i == 0 && found != body))
            fail_msg("no %s where it should be:\n%s", fields[i], body_of(text));
        body = found + 1;
    }
    assert_int_equal(strlen(body), strlen(fields[ARRAY_LEN(fields) - 1]) - 1); /* and nothing behind */
    end(&a);
}

static void unknown_parts_are_null(void **state)
{
    struct asked a;
    (void)state;
    ask(&a, "GET", "https://api.test/repos/x");
    a.x.wants_json = true;
    a.x.url_canonical = false; /* a target that was refused is not repeated */
    a.x.method = slice_of(NULL, 0);
    const char *body = body_of(answer(&a, REASON_MALFORMED_REQUEST, true));
    assert_non_null(strstr(body, "\"method\":null,\"url\":null,\"nearest\":null,"));
    end(&a);
}

static void a_head_request_gets_the_length_but_no_body(void **state)
{
    struct asked with, without;
    (void)state;
    ask(&with, "GET", "https://evil.test/");
    ask(&without, "HEAD", "https://evil.test/");
    const char *text = answer(&with, REASON_HOST_NOT_ALLOWED, false);
    size_t length = strlen(body_of(text)) + 1; /* HEAD is one longer than GET, and is named in it */
    text = answer(&without, REASON_HOST_NOT_ALLOWED, false);
    assert_string_equal(body_of(text), "");
    expect_length(text, length);
    end(&with);
    end(&without);
}

static void a_deny_rules_message_is_passed_on(void **state)
{
    (void)state;
    for (int json = 0; json < 2; json++) {
        struct asked a;
        ask(&a, "GET", "https://www.paste.test/x");
        a.x.wants_json = json;
        assert_int_equal(a.x.verdict.reason, REASON_DENIED_BY_RULE);
        const char *text = answer(&a, REASON_DENIED_BY_RULE, false);
        assert_non_null(strstr(text, "Paste sites are not for work data."));
        assert_non_null(strstr(text, "\r\nExeat-Reason: denied-by-rule\r\n"));
        assert_null(strstr(text, "**"));
        end(&a);
    }
}

/* When something else than the rules stopped it, their words do not stand in the answer. */
static void the_message_is_that_of_the_reason_that_stopped_it(void **state)
{
    struct asked a;
    (void)state;
    ask(&a, "GET", "https://www.paste.test/x");
    const char *text = answer(&a, REASON_AUDIT_UNAVAILABLE, true);
    assert_null(strstr(text, "Paste sites"));
    assert_non_null(strstr(text, "exeat: this request failed. The audit log cannot be written"));
    end(&a);
}

/* To add a case: a row. */
static const struct {
    enum reason reason;
    const char *line; /* of the head */
} heads[] = {
    {REASON_MALFORMED_REQUEST, "HTTP/1.1 400 Bad Request\r\n"},
    {REASON_CREDENTIALS_MISSING, "HTTP/1.1 407 Proxy Authentication Required\r\n"},
    {REASON_CREDENTIALS_MISSING, "\r\nProxy-Authenticate: Basic realm=\"exeat\"\r\n"},
    {REASON_CREDENTIALS_WRONG, "\r\nProxy-Authenticate: Basic realm=\"exeat\"\r\n"},
    {REASON_HEAD_TIMEOUT, "HTTP/1.1 408 Request Timeout\r\n"},
    {REASON_BODY_TOO_LARGE, "HTTP/1.1 413 Content Too Large\r\n"},
    {REASON_AUTHORITY_MISMATCH, "HTTP/1.1 421 Misdirected Request\r\n"},
    {REASON_TOO_MANY_CONNECTIONS, "HTTP/1.1 429 Too Many Requests\r\n"},
    {REASON_TOO_MANY_CONNECTIONS, "\r\nRetry-After: "},
    {REASON_HEAD_TOO_LARGE, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
    {REASON_UPSTREAM_TLS, "HTTP/1.1 502 Bad Gateway\r\n"},
    {REASON_OVERLOADED, "HTTP/1.1 503 Service Unavailable\r\n"},
    {REASON_UPSTREAM_TIMEOUT, "HTTP/1.1 504 Gateway Timeout\r\n"},
};

static void each_reason_has_its_status_and_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct asked a;
        ask(&a, "GET", "https://api.test/repos/x");
        const char *text = answer(&a, heads[i].reason, false);
        if (!strstr(text, heads[i].line))
            fail_msg("no `%s` in:\n%s", heads[i].line, text);
        bool credentials = reason_status(heads[i].reason) == 407;
        assert_true((strstr(text, "Proxy-Authenticate") != NULL) == credentials);
        assert_null(strstr(text, "Connection:"));
        end(&a);
    }
}

static void every_reason_with_a_status_makes_a_whole_answer(void **state)
{
    (void)state;
    for (int reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        if (reason_status((enum reason)reason) == 0)
            continue;
        for (int json = 0; json < 2; json++) {
            struct asked a;
            char field[80];
            ask(&a, "GET", "https://api.test/repos/x");
            a.x.wants_json = json;
            const char *text = answer(&a, (enum reason)reason, true);
            snprintf(field, sizeof field, "\r\nExeat-Reason: %s\r\n", reason_id((enum reason)reason));
            assert_non_null(strstr(text, field));
            assert_null(strstr(text, "HTTP/1.1 0"));
            assert_null(strstr(text, " Error\r\n")); /* a status without its phrase */
            expect_length(text, strlen(body_of(text)));
            end(&a);
        }
    }
}

/* Requests that come close to each rule, and one that it cannot even be compared with. */
static const struct {
    const char *method, *url;
} probes[] = {
    {"POST", "https://api.test/repos/x"},     {"GET", "https://api.test/other"},
    {"GET", "https://api.test:8080/repos/x"}, {"GET", "http://api.test/repos/x"},
    {"GET", "https://evil.test/repos/x"},     {"PUT", "https://up.test/x"},
    {"GET", "https://a.paste.test/"},         {"GET", "https://api.tes/repos/x"},
};

static void no_rules_content_and_no_address_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        for (int how = 0; how < 4; how++) {
            struct asked a;
            ask(&a, probes[i].method, probes[i].url);
            a.x.wants_json = how & 1;
            assert_int_not_equal(a.x.verdict.kind, VERDICT_ALLOW);
            const char *text = answer(&a, how & 2 ? REASON_ADDRESS_BLOCKED : a.x.verdict.reason, false);
            for (size_t s = 0; s < ARRAY_LEN(secrets); s++)
                if (strstr(body_of(text), secrets[s]))
                    fail_msg("%s %s: `%s` in\n%s", probes[i].method, probes[i].url, secrets[s], text);
            end(&a);
        }
    }
}

/* Nothing that was asked for can end the head early or break the JSON. */
static void hostile_text_stays_inside_its_place(void **state)
{
    struct asked a;
    (void)state;
    ask(&a, "GET", "https://evil.test/?a=%22%0d%0aX:1");
    a.x.wants_json = true;
    a.x.method = SLICE("G\"\r\n\r\nHTTP/1.1 200 OK");
    const char *text = answer(&a, REASON_HOST_NOT_ALLOWED, false);
    assert_non_null(strstr(body_of(text), "\"method\":\"G\\\"\\r\\n\\r\\nHTTP/1.1 200 OK\""));
    assert_null(strstr(body_of(text), "\r\n"));
    end(&a);
}

static void a_long_url_is_cut(void **state)
{
    static char url[12000] = "https://evil.test/";
    struct asked a;
    (void)state;
    memset(url + strlen(url), 'a', sizeof url - strlen(url) - 1);
    for (int json = 0; json < 2; json++) {
        ask(&a, "GET", url);
        a.x.wants_json = json;
        const char *text = answer(&a, REASON_HOST_NOT_ALLOWED, false);
        assert_in_range(strlen(body_of(text)), 100, 4000);
        expect_length(text, strlen(body_of(text)));
        end(&a);
    }
}

static void an_answer_that_does_not_fit_is_an_error(void **state)
{
    struct asked a;
    (void)state;
    ask(&a, "GET", "https://evil.test/");
    a.answer.max = 100;
    assert_int_equal(blockpage_write(&a.x, REASON_HOST_NOT_ALLOWED, false, &a.answer), -1);
    end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_says_what_why_and_how_to_go_on),
        cmocka_unit_test(the_json_has_exactly_the_agreed_fields),
        cmocka_unit_test(unknown_parts_are_null),
        cmocka_unit_test(a_head_request_gets_the_length_but_no_body),
        cmocka_unit_test(a_deny_rules_message_is_passed_on),
        cmocka_unit_test(the_message_is_that_of_the_reason_that_stopped_it),
        cmocka_unit_test(each_reason_has_its_status_and_fields),
        cmocka_unit_test(every_reason_with_a_status_makes_a_whole_answer),
        cmocka_unit_test(no_rules_content_and_no_address_is_named),
        cmocka_unit_test(hostile_text_stays_inside_its_place),
        cmocka_unit_test(a_long_url_is_cut),
        cmocka_unit_test(an_answer_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
