/* proxy/: what is hard to see from outside, with a whole data plane in this process. */
#include "proxy_world.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* --- the record comes first --- */

/* To add a case: a row.  `last` is the end of the answer. */
static const struct {
    const char *method, *path, *last;
} answers[] = {
    {"GET", "/length", "\r\n\r\nok"},  {"GET", "/chunked", "0\r\n\r\n"},
    {"GET", "/interim", "\r\n\r\nok"}, {"GET", "/none", "204 No Content\r\n\r\n"},
    {"HEAD", "/length", "\r\n\r\n"},   {"DELETE", "/length", "exeat why "},
};

static void when_the_last_byte_comes_the_record_is_on_file(void **state)
{
    (void)state;
    int fd = dial();
    for (unsigned i = 0; i < 20 * ARRAY_LEN(answers); i++) {
        AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
        char path[64], url[128];
        snprintf(path, sizeof path, "%s/%u", answers[i % ARRAY_LEN(answers)].path, i);
        snprintf(url, sizeof url, "\"url\":\"http://api.test%s\"", path);
        get(fd, answers[i % ARRAY_LEN(answers)].method, path);
        read_until(fd, &in, answers[i % ARRAY_LEN(answers)].last);
        expect_recorded(url);
        if (strcmp(answers[i % ARRAY_LEN(answers)].method, "DELETE") == 0) { /* whose end is not known here */
            close(fd);
            fd = dial();
        }
    }
    close(fd);
}

static void when_the_log_fails_nothing_passes(void **state)
{
    (void)state;
    AUTO_BUF first = BUF_INIT(ANSWER_BYTES), second = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    fill_the_disk();
    get(fd, "GET", "/length"); /* judged while the log was still thought to be well */
    assert_int_equal(read_to_end(fd, &first), 0);
    assert_true(slice_starts(buf_slice(&first), SLICE("HTTP/1.1 503 ")));
    assert_true(holds(buf_slice(&first), "Exeat-Reason: audit-unavailable\r\n"));
    assert_false(holds(buf_slice(&first), "\r\n\r\nok"));
    close(fd);
    unsigned before = atomic_load(&plain_origin.requests);
    fd = dial();
    get(fd, "GET", "/length");
    assert_int_equal(read_to_end(fd, &second), 0);
    assert_true(slice_starts(buf_slice(&second), SLICE("HTTP/1.1 503 ")));
    assert_int_equal(atomic_load(&plain_origin.requests), before);
    close(fd);
}

static void when_the_log_fails_in_the_middle_the_end_is_never_sent(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    get(fd, "GET", "/hold");
    read_until(fd, &in, "\r\n\r\n");
    fill_the_disk();
    sem_post(&plain_origin.go);
    assert_int_equal(read_to_end(fd, &in), ECONNRESET); /* it must not look complete */
    assert_in_range(buf_len(&in), 1, 2 * HALF);         /* with its head, the whole is longer */
    close(fd);
}

/* --- order and ends --- */

static void pipelined_requests_are_answered_in_their_order(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    AUTO_BUF all = BUF_INIT(1 << 16);
    static const char *const paths[] = {"/length/a", "/chunked/b", "/none/c", "/length/d", "/interim/e"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        assert_int_equal(buf_printf(&all, "GET http://api.test%s HTTP/1.1\r\n" TOKEN "%s\r\n", paths[i],
                                    i + 1 == ARRAY_LEN(paths) ? "Connection: close\r\n" : ""),
                         0);
    say(fd, buf_slice(&all));
    assert_int_equal(read_to_end(fd, &in), 0);
    const char *text = buf_cstr(&in);
    static const char *const parts[] = {"Content-Length: 2", "chunked", "0\r\n\r\n", "204 No",
                                        "Content-Length: 2", "103 "};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        text = strstr(text, parts[i]);
        if (!text)
            fail_msg("no `%s` in its place", parts[i]);
        text += strlen(parts[i]);
    }
    struct slice rest = log_now();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const char *found = memmem(rest.ptr, rest.len, paths[i], strlen(paths[i]));
        assert_non_null(found);
        rest = slice_skip(rest, (size_t)(found - rest.ptr));
    }
    close(fd);
}

static void a_body_over_the_rules_maximum_is_cut_with_the_origin_aborted(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    char chunk[3 + 2 + 0x300 + 3] = "300\r\n";
    memset(chunk + 5, 'x', 0x300);
    memcpy(chunk + 5 + 0x300, "\r\n", 3);
    int fd = dial();
    send_text(fd, "POST http://api.test/up HTTP/1.1\r\n" TOKEN "Transfer-Encoding: chunked\r\n\r\n");
    send_text(fd, chunk);
    while (atomic_load(&plain_origin.requests) == 0)
        pause_ms(5);
    send_text(fd, chunk); /* 1536 of 1024 */
    send_text(fd, "0\r\n\r\n");
    assert_int_equal(read_to_end(fd, &in), 0);
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 413 ")));
    assert_true(holds(buf_slice(&in), "Exeat-Reason: body-too-large\r\n"));
    expect_recorded("\"reason\":\"body-too-large\"");
    for (int tries = 0; tries < 200 && atomic_load(&plain_origin.last_errno) == -1; tries++)
        pause_ms(10);
    assert_int_equal(atomic_load(&plain_origin.last_errno), ECONNRESET);
    assert_false(holds(buf_slice(&plain_origin.seen), "\r\n0\r\n\r\n"));
    assert_in_range(buf_len(&plain_origin.seen), 1, 1024 + 512); /* never more than the maximum and a head */
    close(fd);
}

static void a_response_that_the_origin_cuts_is_cut(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    get(fd, "GET", "/cut");
    assert_int_equal(read_to_end(fd, &in), ECONNRESET);
    await_record("\"reason\":\"upstream-closed\"");
    expect_recorded("\"outcome\":\"aborted\"");
    close(fd);
}

static void a_client_that_leaves_is_recorded_once_and_its_origin_aborted(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "POST http://api.test/up HTTP/1.1\r\n" TOKEN "Content-Length: 100\r\n\r\nhalf");
    while (atomic_load(&plain_origin.requests) == 0)
        pause_ms(5);
    close(fd);
    await_record("\"outcome\":\"aborted\"");
    for (int tries = 0; tries < 200 && atomic_load(&plain_origin.last_errno) == -1; tries++)
        pause_ms(10);
    assert_int_equal(atomic_load(&plain_origin.last_errno), ECONNRESET);
    assert_int_equal(fixture_lines(log_now()), 1);
}

static void a_client_that_half_closes_gets_its_answer(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    get(fd, "GET", "/length");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(read_to_end(fd, &in), 0);
    assert_true(holds(buf_slice(&in), "\r\n\r\nok"));
    close(fd);
}

static void a_head_that_does_not_come_to_its_end_gets_408(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    send_text(fd, "GET http://api.test/length HT");
    assert_int_equal(read_to_end(fd, &in), 0);
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 408 ")));
    expect_recorded("\"reason\":\"head-timeout\"");
    close(fd);
}

/* --- a blocked name behind TLS --- */

static void a_blocked_name_is_explained_inside_its_tunnel(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    struct tls_peer peer = peer_of("evil.test", "t");
    static const char request[] = "GET /x HTTP/1.1\r\nHost: evil.test\r\nAccept: application/json\r\n\r\n";
    char page[8192];
    int fd = dial();
    send_text(fd, CONNECT("evil.test"));
    read_until(fd, &in, "\r\n\r\n");
    AUTO(tls_conn) *tls = tls_connect(world.tls.client, fd, &peer);
    assert_int_equal(tls_handshake(tls), 0);
    assert_int_equal(tls_write(tls, request, sizeof request - 1), sizeof request - 1);
    ssize_t n = tls_read(tls, page, sizeof page);
    assert_true(n > 0);
    assert_true(slice_starts(slice_of(page, (size_t)n), SLICE("HTTP/1.1 403 ")));
    assert_true(holds(slice_of(page, (size_t)n), "\"reason\":\"host-not-allowed\""));
    assert_int_equal(tls_read(tls, page, sizeof page), 0); /* and the end, cleanly */
    expect_recorded("\"url\":\"https://evil.test/x\"");
    assert_int_equal(fixture_lines(log_now()), 1);
    assert_int_equal(atomic_load(&plain_origin.count), 0);
    close(fd);
}

static void a_tunnel_without_tls_is_recorded(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    send_text(fd, CONNECT("api.test"));
    read_until(fd, &in, "\r\n\r\n");
    send_text(fd, "SSH-2.0-OpenSSH_9.2\r\n");
    read_to_end(fd, &in);
    await_record("\"reason\":\"tunnel-not-tls\"");
    assert_int_equal(atomic_load(&plain_origin.count), 0);
    close(fd);
}

/* The record of a tunnel does not depend on what its connection was used for before. */
static void a_tunnel_after_a_request_is_recorded_all_the_same(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    get(fd, "GET", "/length");
    read_until(fd, &in, "\r\n\r\nok");
    send_text(fd, CONNECT("api.test"));
    read_until(fd, &in, "established\r\n\r\n");
    send_text(fd, "SSH-2.0-OpenSSH_9.2\r\n");
    read_to_end(fd, &in);
    await_record("\"reason\":\"tunnel-not-tls\"");
    close(fd);
}

static void a_pipelined_head_has_no_more_time_than_another(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    send_text(fd, "GET http://api.test/length HTTP/1.1\r\n" TOKEN "\r\nGET http://api.te");
    assert_int_equal(read_to_end(fd, &in), 0);
    assert_true(holds(buf_slice(&in), "\r\n\r\nokHTTP/1.1 408 "));
    close(fd);
}

/* --- draining --- */

static void a_drained_proxy_says_so_once_and_after_the_last_answer(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES), nothing = BUF_INIT(ANSWER_BYTES);
    int busy = dial(), idle = dial();
    get(busy, "GET", "/hold");
    read_until(busy, &in, "\r\n\r\n");
    get(idle, "GET", "/none");
    read_until(idle, &nothing, "204 No Content\r\n\r\n");
    proxy_drain(world.proxy);
    assert_int_equal(read_to_end(idle, &nothing), 0); /* idle ones end at once */
    pause_ms(50);
    assert_int_equal(atomic_load(&world.drained), 0);
    sem_post(&plain_origin.go);
    assert_int_equal(read_to_end(busy, &in), 0);
    assert_true(buf_len(&in) > 2 * HALF); /* whole */
    close(busy);                          /* ends the lingering */
    close(idle);
    for (int tries = 0; tries < 300 && atomic_load(&world.drained) == 0; tries++)
        pause_ms(10);
    assert_int_equal(atomic_load(&world.drained), 1);
    proxy_drain(world.proxy); /* again */
    pause_ms(50);
    assert_int_equal(atomic_load(&world.drained), 1);
}

/* With answers half sent, uploads half received, tunnels half open and heads half read. */
static void a_proxy_can_be_stopped_in_the_middle_of_everything(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fds[8];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = dial();
    get(fds[0], "GET", "/hold");
    read_until(fds[0], &in, "\r\n\r\n");
    send_text(fds[1], "POST http://api.test/up HTTP/1.1\r\n" TOKEN "Content-Length: 100\r\n\r\nhalf");
    send_text(fds[2], "GET http://api.te");
    send_text(fds[3], CONNECT("evil.test"));
    get(fds[4], "GET", "/hold");
    while (atomic_load(&plain_origin.requests) < 3)
        pause_ms(5);
    proxy_stop(TAKE(world.proxy));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    /* each request that went out has its record */
    assert_true(fixture_has(log_now(), "/up"));
    assert_true(fixture_has(log_now(), "/hold"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, proxy_world_start, proxy_world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(when_the_last_byte_comes_the_record_is_on_file),
        CASE(when_the_log_fails_nothing_passes),
        CASE(when_the_log_fails_in_the_middle_the_end_is_never_sent),
        CASE(pipelined_requests_are_answered_in_their_order),
        CASE(a_body_over_the_rules_maximum_is_cut_with_the_origin_aborted),
        CASE(a_response_that_the_origin_cuts_is_cut),
        CASE(a_client_that_leaves_is_recorded_once_and_its_origin_aborted),
        CASE(a_client_that_half_closes_gets_its_answer),
        CASE(a_head_that_does_not_come_to_its_end_gets_408),
        CASE(a_blocked_name_is_explained_inside_its_tunnel),
        CASE(a_tunnel_without_tls_is_recorded),
        CASE(a_tunnel_after_a_request_is_recorded_all_the_same),
        CASE(a_pipelined_head_has_no_more_time_than_another),
        CASE(a_drained_proxy_says_so_once_and_after_the_last_answer),
        CASE(a_proxy_can_be_stopped_in_the_middle_of_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
