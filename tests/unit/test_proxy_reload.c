/* proxy/: policies and keepers that change while traffic runs. */
#include "base/clock.h"
#include "proxy_world.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define POLICY(rules) "exeat: 1\nallow:\n" rules
#define READ(paths)   "  - {name: read, host: api.test, scheme: http, paths: [" paths "]}\n"
#define WRITE(max)                                                                                           \
    "  - {name: write, host: api.test, scheme: http, methods: [POST], paths: [/**], body: {max: " max "}}\n"

/* A download of which the first half has come. */
static int half_a_download(struct buf *in)
{
    int fd = dial();
    get(fd, "GET", "/hold");
    read_until(fd, in, "\r\n\r\n");
    return fd;
}

static void expect_cut(int fd, struct buf *in)
{
    int64_t begin = clock_mono_ns();
    assert_int_equal(read_to_end(fd, in), ECONNRESET); /* it must not look complete */
    assert_in_range(clock_mono_ns() - begin, 0, 1000000000);
    assert_in_range(buf_len(in), 1, 2 * HALF);
    close(fd);
}

/* --- what is in progress is judged again --- */

static void a_download_that_is_no_longer_allowed_is_cut(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = half_a_download(&in);
    reload(POLICY(READ("/elsewhere")));
    expect_cut(fd, &in);
    await_record("\"reason\":\"path-not-allowed\"");
    expect_recorded("\"outcome\":\"aborted\"");
    expect_recorded("\"verdict\":\"block\"");
    assert_int_equal(fixture_lines(log_now()), 1);
}

static void a_download_that_is_still_allowed_goes_on(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = half_a_download(&in);
    reload(POLICY(READ("/other, /hold")));
    pause_ms(100);
    sem_post(&plain_origin.go);
    while (buf_len(&in) < 2 * HALF)
        assert_true(read_some(fd, &in));
    await_record("\"verdict\":\"allow\"");
    assert_false(holds(log_now(), "aborted"));
    close(fd);
}

static const struct world_plan uploads = {.policy = POLICY(WRITE("64KiB"))};

/* An upload of 2 KiB so far, of unknown length. */
static int half_an_upload(void)
{
    static const char body[2048];
    int fd = dial();
    send_text(fd, "POST http://api.test/up HTTP/1.1\r\n" TOKEN "Transfer-Encoding: chunked\r\n\r\n800\r\n");
    say(fd, slice_of(body, sizeof body));
    send_text(fd, "\r\n");
    while (atomic_load(&plain_origin.requests) == 0)
        pause_ms(5);
    pause_ms(20);
    return fd;
}

static void an_upload_over_the_new_maximum_is_cut(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = half_an_upload();
    reload(POLICY(WRITE("1KiB")));
    assert_int_equal(read_to_end(fd, &in), 0);
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 413 ")));
    await_record("\"reason\":\"body-too-large\"");
    for (int tries = 0; tries < 200 && atomic_load(&plain_origin.last_errno) == -1; tries++)
        pause_ms(10);
    assert_int_equal(atomic_load(&plain_origin.last_errno), ECONNRESET);
    assert_false(holds(buf_slice(&plain_origin.seen), "\r\n0\r\n\r\n"));
    close(fd);
}

static void an_upload_under_the_new_maximum_goes_on_up_to_it(void **state)
{
    (void)state;
    static const char body[2048];
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = half_an_upload();
    reload(POLICY(WRITE("3KiB")));
    pause_ms(100);
    assert_int_equal(atomic_load(&plain_origin.last_errno), -1);
    send_text(fd, "800\r\n");
    say(fd, slice_of(body, sizeof body));
    assert_int_equal(read_to_end(fd, &in), 0);
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 413 ")));
    await_record("\"reason\":\"body-too-large\"");
    close(fd);
}

static void a_task_that_is_taken_away_stops(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES), page = BUF_INIT(ANSWER_BYTES), refused = BUF_INIT(ANSWER_BYTES);
    int inside = dial(), idle = dial();
    AUTO(tls_conn) *tls = tunnel(inside, "api.test");
    get(idle, "GET", "/length");
    read_until(idle, &refused, "\r\n\r\nok");
    buf_clear(&refused);
    unsigned before = atomic_load(&plain_origin.requests) + 1; /* the download's */
    int fd = half_a_download(&in);
    reload(NULL);
    expect_cut(fd, &in);
    await_record("\"reason\":\"policy-unavailable\"");
    get(idle, "GET", "/length");
    read_until(idle, &refused, "exeat why ");
    assert_true(slice_starts(buf_slice(&refused), SLICE("HTTP/1.1 407 ")));
    tls_get(tls, "api.test", "/length");
    tls_read_until(tls, &page, "exeat why ");
    assert_true(slice_starts(buf_slice(&page), SLICE("HTTP/1.1 503 ")));
    assert_true(holds(buf_slice(&page), "Exeat-Reason: policy-unavailable\r\n"));
    assert_int_equal(atomic_load(&plain_origin.requests), before);
    assert_int_equal(atomic_load(&tls_origin.requests), 0);
    close(inside);
    close(idle);
}

/* A new policy is a new generation: what was connected under the old one is not used again. */
static void the_pool_does_not_outlive_its_policy(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    int fd = dial();
    for (unsigned i = 0; i < 3; i++) {
        buf_clear(&in);
        get(fd, "GET", "/length");
        read_until(fd, &in, "\r\n\r\nok");
        assert_int_equal(atomic_load(&plain_origin.count), i + 1);
        reload(POLICY(READ("/**")));
        pause_ms(50);
    }
    close(fd);
}

/* --- another keeper --- */

static void expect_unavailable(const char *name)
{
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    char text[512];
    int fd = dial();
    snprintf(text, sizeof text,
             "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\nProxy-Authorization: Basic dDp0b2s=\r\n\r\n", name,
             name);
    send_text(fd, text);
    read_until(fd, &in, "exeat why ");
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 503 ")));
    assert_true(holds(buf_slice(&in), "Exeat-Reason: keeper-unavailable\r\n"));
    close(fd);
}

/* So many connections that each worker had some. */
static void expect_tunnels(const char *name)
{
    for (int i = 0; i < 8; i++) {
        int fd = dial();
        tls_conn_free(tunnel(fd, name));
        close(fd);
    }
}

static void a_keeper_may_be_replaced_while_traffic_runs(void **state)
{
    (void)state;
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES), page = BUF_INIT(ANSWER_BYTES);
    int inside = dial(), fd = half_a_download(&in);
    AUTO(tls_conn) *tls = tunnel(inside, "api.test");
    keeper_dies();
    pause_ms(50);
    expect_unavailable("new.api.test");
    expect_recorded("\"reason\":\"keeper-unavailable\"");
    tls_get(tls, "api.test", "/length"); /* who has a certificate goes on */
    tls_read_until(tls, &page, "\r\n\r\nok");
    another_keeper();
    pause_ms(50);
    expect_tunnels("new.api.test");
    expect_tunnels("newer.api.test");
    sem_post(&plain_origin.go);
    while (buf_len(&in) < 2 * HALF)
        assert_true(read_some(fd, &in));
    close(inside);
    close(fd);
}

/* --- all at once --- */

enum { CLIENTS = 4, RELOADS = 20, WINDOW_MS = 20 };

struct client {
    pthread_t thread;
    atomic_bool *stop;
    unsigned sent, allowed, blocked;
    const char *problem;
};

/* One request on a connection of its own or on that of the last; the status, or 0. */
static unsigned ask(int *fd, const char *path)
{
    AUTO_BUF in = BUF_INIT(ANSWER_BYTES);
    char text[256];
    unsigned status = 0;
    if (*fd < 0)
        *fd = dial_with(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    snprintf(text, sizeof text, "GET http://api.test%s HTTP/1.1\r\n" TOKEN "\r\n", path);
    if (*fd < 0 || !say(*fd, slice_str(text)))
        return 0;
    while (read_some(*fd, &in)) {
        const char *got = buf_cstr(&in);
        if (got && (strstr(got, "\r\n\r\nok") || strstr(got, "exeat why "))) {
            status =
                (unsigned)(got[9] - '0') * 100 + (unsigned)(got[10] - '0') * 10 + (unsigned)(got[11] - '0');
            break;
        }
    }
    return status;
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    int fd = -1;
    while (!atomic_load(c->stop) && !c->problem) {
        bool always = c->sent % 2 == 0;
        unsigned status = ask(&fd, always ? "/length" : "/length/sometimes");
        c->sent++;
        c->allowed += status == 200;
        c->blocked += status == 403;
        if (status != 200 && (always || status != 403))
            c->problem = always ? "what is always allowed failed" : "neither allowed nor blocked";
        if (c->sent % 5 == 0)
            fd_auto_close(&fd);
    }
    fd_auto_close(&fd);
    return NULL;
}

static unsigned records(const char *words)
{
    unsigned n = 0;
    struct slice rest = log_now(), line;
    while (slice_next(&rest, '\n', &line))
        n += holds(line, "\"kind\":\"request\"") && holds(line, words);
    return n;
}

static void requests_and_reloads_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct client clients[CLIENTS] = {0};
    atomic_bool stop = false;
    unsigned sent = 0, allowed = 0, blocked = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i].stop = &stop;
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    for (int i = 0; i < RELOADS; i++) {
        reload(i % 2 ? POLICY(READ("/**")) : POLICY(READ("/length")));
        pause_ms(WINDOW_MS);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        if (clients[i].problem)
            fail_msg("%s (request %u of client %zu)", clients[i].problem, clients[i].sent, i);
        sent += clients[i].sent;
        allowed += clients[i].allowed;
        blocked += clients[i].blocked;
    }
    assert_int_equal(records(""), sent); /* each once, in the words of its own policy */
    assert_int_equal(records("\"verdict\":\"allow\""), allowed);
    assert_int_equal(records("\"reason\":\"path-not-allowed\""), blocked);
    assert_true(allowed > blocked && blocked > 0);
    unsigned unsent = records("\"sent\":0,"); /* what was cut on its way may have reached the origin */
    assert_in_range(atomic_load(&plain_origin.requests), allowed, sent - unsent);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, proxy_world_start, proxy_world_stop)
#define CASE_WITH(test, plan)                                                                                \
    cmocka_unit_test_prestate_setup_teardown(test, proxy_world_start, proxy_world_stop, (void *)&(plan))

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_download_that_is_no_longer_allowed_is_cut),
        CASE(a_download_that_is_still_allowed_goes_on),
        CASE_WITH(an_upload_over_the_new_maximum_is_cut, uploads),
        CASE_WITH(an_upload_under_the_new_maximum_goes_on_up_to_it, uploads),
        CASE(a_task_that_is_taken_away_stops),
        CASE(the_pool_does_not_outlive_its_policy),
        CASE(a_keeper_may_be_replaced_while_traffic_runs),
        CASE(requests_and_reloads_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
