/* proxy/: each way in which a part can fail, with a whole data plane in this process.  Nothing may leave that
 * should not, nobody else may suffer, and it is on record. */
#include "base/clock.h"
#include "proxy_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS 1000000ll

static int64_t ms_since(int64_t begin)
{
    return (clock_mono_ns() - begin) / MS;
}

/* One request on a connection of its own that is answered and closed with a block page. */
static void expect_refused(const char *path, const char *status_line, const char *reason)
{
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    char field[64];
    int fd = dial();
    snprintf(field, sizeof field, "Exeat-Reason: %s\r\n", reason);
    get(fd, "GET", path);
    assert_int_equal(read_to_end(fd, &in), 0);
    if (!slice_starts(buf_slice(&in), slice_str(status_line)) || !holds(buf_slice(&in), field))
        fail_msg("not %s with %s: %.*s", status_line, reason, SLICE_FMT(buf_slice(&in)));
    close(fd);
}

static void expect_ok(int fd, const char *path)
{
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    get(fd, "GET", path);
    const char *text = read_until(fd, &in, "\r\n\r\nok");
    assert_true(slice_starts(slice_str(text), SLICE("HTTP/1.1 200 ")));
}

static void expect_ok_anew(const char *path)
{
    int fd = dial();
    expect_ok(fd, path);
    close(fd);
}

/* A download of which the first half has come. */
static int half_a_download(struct buf *in)
{
    int fd = dial();
    get(fd, "GET", "/hold");
    read_until(fd, in, "\r\n\r\n");
    return fd;
}

/* --- origins --- */

static void a_flood_of_interim_responses_is_a_broken_protocol(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    get(fd, "GET", "/flood");
    read_until(fd, &in, "exeat why ");
    assert_true(holds(buf_slice(&in), "HTTP/1.1 502 "));
    assert_true(holds(buf_slice(&in), "Exeat-Reason: upstream-protocol\r\n"));
    expect_recorded("\"reason\":\"upstream-protocol\"");
    unsigned interims = 0;
    for (const char *at = buf_cstr(&in); (at = strstr(at, " 103 ")); at++)
        interims++;
    assert_in_range(interims, 1, 16);
    close(fd);
}

static void a_response_that_cannot_be_trusted_is_not_passed_on(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    get(fd, "GET", "/broken");
    read_until(fd, &in, "exeat why ");
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 502 ")));
    assert_true(holds(buf_slice(&in), "Exeat-Reason: upstream-protocol\r\n"));
    expect_recorded("\"reason\":\"upstream-protocol\"");
    close(fd);
}

static void hurried(struct proxy_settings *s)
{
    s->timeouts.response_head = 400 * MS;
}

static const struct world_plan hurry = {.settle = hurried};

/* Single bytes would start a timer that counts silence again and again. */
static void a_response_head_that_drips_has_no_more_time_than_another(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    int64_t begin = clock_mono_ns();
    get(fd, "GET", "/drip");
    read_until(fd, &in, "exeat why ");
    assert_in_range(ms_since(begin), 390, 3000);
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 504 ")));
    expect_recorded("\"reason\":\"upstream-timeout\"");
    close(fd);
}

/* What is said on a connection between two requests was not asked for: it may answer nobody. */
static void surplus_behind_an_answer_is_never_the_next_one(void **state)
{
    (void)state;
    int fd = dial();
    expect_ok(fd, "/twice");
    expect_ok(fd, "/length");
    assert_int_equal(atomic_load(&plain_origin.count), 2);
    close(fd);
}

static void bytes_on_an_idle_connection_close_it(void **state)
{
    (void)state;
    for (long pause = 0; pause < 30; pause += 10) { /* at once the loop may not have seen them yet */
        int fd = dial();
        expect_ok(fd, "/speak-up");
        unsigned before = atomic_load(&plain_origin.count);
        sem_post(&plain_origin.go);
        sem_wait(&plain_origin.spoken);
        pause_ms(pause);
        expect_ok(fd, "/length");
        assert_int_equal(atomic_load(&plain_origin.count), before + 1);
        close(fd);
    }
}

static void a_pooled_connection_that_the_origin_closed_is_not_noticed(void **state)
{
    (void)state;
    int fd = dial();
    for (int i = 0; i < 10; i++) {
        expect_ok(fd, "/leave");
        pause_ms(10);
    }
    assert_int_equal(atomic_load(&plain_origin.requests), 10);
    assert_int_equal(atomic_load(&plain_origin.count), 10);
    assert_false(holds(log_now(), "upstream-closed"));
    close(fd);
}

/* --- origins with TLS --- */

static void an_origin_is_reached_through_a_tunnel(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    AUTO(tls_conn) *tls = tunnel(fd, "api.test");
    tls_get(tls, "api.test", "/length");
    tls_read_until(tls, &in, "\r\n\r\nok");
    tls_get(tls, "api.test", "/chunked");
    tls_read_until(tls, &in, "0\r\n\r\n");
    expect_recorded("\"url\":\"https://api.test/chunked\"");
    expect_recorded("\"tls\":\"TLSv1.3\"");
    assert_int_equal(atomic_load(&tls_origin.count), 1); /* pooled */
    assert_int_equal(atomic_load(&plain_origin.count), 0);
    close(fd);
}

/* RFC 8446 6.1: without close_notify the end may be an attacker's. */
static void only_an_end_with_close_notify_ends_a_body_without_length(void **state)
{
    static const struct {
        const char *path;
        bool whole;
    } rows[] = {{"/close", true}, {"/cut-open", false}, {"/cut", false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
        char record[128];
        int fd = dial();
        AUTO(tls_conn) *tls = tunnel(fd, "api.test");
        tls_get(tls, "api.test", rows[i].path);
        if (rows[i].whole)
            tls_read_until(tls, &in, "0\r\n\r\n");
        else
            assert_true(tls_read_to_end(tls, &in) < 0);
        assert_int_equal(holds(buf_slice(&in), "\r\n0\r\n\r\n"), rows[i].whole);
        snprintf(record, sizeof record, "\"url\":\"https://api.test%s\"", rows[i].path);
        await_record(record);
        close(fd);
    }
    expect_recorded("\"reason\":\"upstream-closed\"");
    expect_recorded("\"outcome\":\"aborted\"");
}

/* --- the log --- */

static void when_the_log_fails_what_runs_stops_and_is_recorded_later(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = half_a_download(&in);
    assert_int_equal(fixture_lines(log_now()), 0);
    fill_the_disk();
    int64_t begin = clock_mono_ns();
    expect_refused("/length", "HTTP/1.1 503 ", "audit-unavailable"); /* which finds it out */
    assert_int_equal(read_to_end(fd, &in), ECONNRESET);
    assert_in_range(ms_since(begin), 0, 1000);
    assert_true(buf_len(&in) < 2 * HALF);
    assert_false(holds(log_now(), "/hold"));
    empty_the_disk();
    await_record("/hold\"");
    expect_recorded("\"outcome\":\"aborted\"");
    expect_recorded("\"reason\":\"audit-unavailable\"");
    expect_recorded("\"kind\":\"checkpoint\"");
    expect_ok_anew("/length");
    close(fd);
}

static const struct world_plan uploads = {.policy =
                                              "exeat: 1\n"
                                              "allow:\n"
                                              "  - {host: api.test, scheme: http, methods: [GET, POST],\n"
                                              "     paths: [/**], body: {max: 1MiB}}\n"};

static void what_sends_much_is_recorded_before_its_end(void **state)
{
    static const char body[100 << 10];

    (void)state;
    int fd = dial();
    int64_t begin = clock_mono_ns();
    send_text(fd, "POST http://api.test/up HTTP/1.1\r\n" TOKEN "Content-Length: 1000000\r\n\r\n");
    say(fd, slice_of(body, 1 << 10));
    while (atomic_load(&plain_origin.requests) == 0)
        pause_ms(5);
    assert_int_equal(fixture_lines(log_now()), 0);
    say(fd, slice_of(body, sizeof body));
    await_record("\"kind\":\"open\"");
    if (ms_since(begin) >= 900)
        fail_msg("it may have been the time and not the bytes");
    expect_recorded("\"url\":\"http://api.test/up\"");
    close(fd);
    await_record("\"outcome\":\"aborted\"");
    assert_int_equal(fixture_lines(log_now()), 2);
}

static void what_lasts_is_recorded_before_its_end(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int64_t begin = clock_mono_ns();
    int fd = half_a_download(&in);
    await_record("\"kind\":\"open\"");
    assert_in_range(ms_since(begin), 990, 2500);
    assert_int_equal(fixture_lines(log_now()), 1);
    sem_post(&plain_origin.go);
    await_record("\"kind\":\"request\"");
    assert_int_equal(fixture_lines(log_now()), 2);
    close(fd);
}

/* --- clients that hold what others need --- */

static void who_says_nothing_is_let_go(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int64_t begin = clock_mono_ns();
    int fd = dial();
    assert_int_equal(read_to_end(fd, &in), 0);
    assert_in_range(ms_since(begin), 290, 3000);
    assert_int_equal(buf_len(&in), 0);
    close(fd);
}

/* A 407 leaves the connection open, for the credentials; but not for long. */
static void who_does_not_say_who_it_is_is_let_go(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    send_text(fd, "GET http://api.test/length HTTP/1.1\r\nHost: api.test\r\n\r\n");
    read_until(fd, &in, "exeat why ");
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 407 ")));
    assert_false(holds(buf_slice(&in), "Connection: close\r\n"));
    int64_t begin = clock_mono_ns();
    assert_int_equal(read_to_end(fd, &in), 0);
    assert_in_range(ms_since(begin), 250, 3000);
    close(fd);
}

static void narrowed(struct proxy_settings *s)
{
    s->limits.connections_per_task = 3;
}

static const struct world_plan narrow = {.settle = narrowed};

static void a_task_has_so_many_connections_and_no_more(void **state)
{
    (void)state;
    int fds[3];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial();
        expect_ok(fds[i], "/length");
    }
    unsigned before = atomic_load(&plain_origin.requests);
    expect_refused("/length", "HTTP/1.1 429 ", "too-many-connections");
    expect_recorded("\"reason\":\"too-many-connections\"");
    assert_int_equal(atomic_load(&plain_origin.requests), before);
    expect_ok(fds[0], "/length"); /* those that are in do not suffer */
    close(fds[1]);
    pause_ms(50);
    fds[1] = dial();
    expect_ok(fds[1], "/length");
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

static const struct world_plan few_slots = {.slots = 4};

static void what_cannot_be_noted_as_in_flight_does_not_start(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fds[4];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        buf_clear(&in);
        fds[i] = half_a_download(&in);
    }
    expect_refused("/length", "HTTP/1.1 503 ", "overloaded");
    expect_recorded("\"reason\":\"overloaded\"");
    assert_int_equal(atomic_load(&plain_origin.requests), ARRAY_LEN(fds));
    assert_int_equal(atomic_load(&plain_origin.count), ARRAY_LEN(fds));
    close(fds[0]);
    await_record("\"outcome\":\"aborted\"");
    expect_ok_anew("/length");
    for (size_t i = 1; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

/* --- out of descriptors --- */

static int dups[1024];
static size_t dup_count;

static void take_all_descriptors(void)
{
    for (dup_count = 0; dup_count < ARRAY_LEN(dups); dup_count++) {
        int fd = fcntl(world.listener, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            break;
        dups[dup_count] = fd;
    }
    assert_int_equal(fcntl(world.listener, F_DUPFD_CLOEXEC, 0), -1);
    assert_int_equal(errno, EMFILE);
}

static void give_descriptors_back(void)
{
    while (dup_count)
        close(dups[--dup_count]);
}

static void without_descriptors_nothing_leaves_and_it_recovers(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES), late = BUF_INIT(ANSWER_BYTES);
    struct rlimit old, few;
    int known = dial(), newcomer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    getrlimit(RLIMIT_NOFILE, &old);
    few = (struct rlimit){.rlim_cur = 256, .rlim_max = old.rlim_max};
    expect_ok(known, "/leave"); /* its connection upstream is gone: the next needs one */
    pause_ms(20);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    take_all_descriptors();
    get(known, "GET", "/length");
    read_until(known, &in, "exeat why ");
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 503 ")));
    assert_true(holds(buf_slice(&in), "Exeat-Reason: overloaded\r\n"));
    assert_int_equal(atomic_load(&plain_origin.requests), 1);
    assert_true(dial_with(newcomer) >= 0); /* in the backlog */
    get(newcomer, "GET", "/length");
    pause_ms(50);
    assert_int_equal(recv(newcomer, buf_reserve(&late, 1), 1, MSG_DONTWAIT), -1);
    assert_int_equal(atomic_load(&plain_origin.requests), 1);
    give_descriptors_back();
    setrlimit(RLIMIT_NOFILE, &old);
    read_until(newcomer, &late, "\r\n\r\nok");
    expect_ok_anew("/length");
    expect_recorded("\"reason\":\"overloaded\"");
    close(known);
    close(newcomer);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, proxy_world_start, proxy_world_stop)
#define CASE_WITH(test, plan)                                                                                \
    cmocka_unit_test_prestate_setup_teardown(test, proxy_world_start, proxy_world_stop, (void *)&(plan))

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_flood_of_interim_responses_is_a_broken_protocol),
        CASE(a_response_that_cannot_be_trusted_is_not_passed_on),
        CASE_WITH(a_response_head_that_drips_has_no_more_time_than_another, hurry),
        CASE(surplus_behind_an_answer_is_never_the_next_one),
        CASE(bytes_on_an_idle_connection_close_it),
        CASE(a_pooled_connection_that_the_origin_closed_is_not_noticed),
        CASE(an_origin_is_reached_through_a_tunnel),
        CASE(only_an_end_with_close_notify_ends_a_body_without_length),
        CASE(when_the_log_fails_what_runs_stops_and_is_recorded_later),
        CASE_WITH(what_sends_much_is_recorded_before_its_end, uploads),
        CASE(what_lasts_is_recorded_before_its_end),
        CASE(who_says_nothing_is_let_go),
        CASE(who_does_not_say_who_it_is_is_let_go),
        CASE_WITH(a_task_has_so_many_connections_and_no_more, narrow),
        CASE_WITH(what_cannot_be_noted_as_in_flight_does_not_start, few_slots),
        CASE(without_descriptors_nothing_leaves_and_it_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
