/* fetch/: connections to origins that speak TLS. */
#include "fetch_client.h"
#include "tls/ca.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* An origin with a certificate of the test's CA; a connection at a time, in a thread. */
struct tls_origin {
    int fd, quit[2];
    uint16_t port;
    struct tls_server *server;
    struct tls_cert *cert;
    pthread_t thread;
};

static struct ca *ca;

static int give_certificate(void *arg, struct tls_cert **ret)
{
    *ret = ((struct tls_origin *)arg)->cert;
    return 0;
}

static bool wait_for(struct tls_origin *o, int fd, short events)
{
    struct pollfd p[] = {{.fd = fd, .events = events}, {.fd = o->quit[0], .events = POLLIN}};

    return poll(p, 2, -1) > 0 && !p[1].revents;
}

static void serve_tls(struct tls_origin *o, int fd)
{
    const struct tls_accept accept = {
        .host = SLICE("tls.test"), .task = SLICE("t"), .certificate = give_certificate, .arg = o};
    AUTO(tls_conn) *t = tls_accept(o->server, fd, &accept);
    char bytes[256];
    ssize_t r;

    while ((r = tls_handshake(t)) == TLS_WANT_READ || r == TLS_WANT_WRITE)
        if (!wait_for(o, fd, r == TLS_WANT_READ ? POLLIN : POLLOUT))
            return;
    while (r == 0 && wait_for(o, fd, POLLIN)) {
        ssize_t n = tls_read(t, bytes, sizeof bytes);
        if (n == 0 || (n < 0 && n != TLS_WANT_READ))
            return;
    }
}

static void *run_tls_origin(void *arg)
{
    struct tls_origin *o = arg;

    while (wait_for(o, o->fd, POLLIN)) {
        AUTO_FD int fd = accept4(o->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            serve_tls(o, fd);
    }
    return NULL;
}

/* `trusted`: the client knows the CA that made the certificate. */
static struct tls_origin *tls_origin_start(const char *name, bool trusted)
{
    struct tls_origin *o = calloc(1, sizeof *o);
    AUTO(tls_key) *key = NULL;
    AUTO(ca) *stranger = NULL;
    AUTO_BUF der = BUF_INIT(8192), pem = BUF_INIT(8192);
    uint8_t public[512];
    size_t public_len;
    struct err e;

    assert_non_null(o);
    assert_int_equal(tls_key_new(&key, &e), 0);
    assert_int_equal(tls_key_public(key, public, sizeof public, &public_len), 0);
    assert_int_equal(ca_set_leaf(ca, slice_of((char *)public, public_len), &e), 0);
    assert_int_equal(ca_mint(ca, slice_str(name), time(NULL), &der, &e), 0);
    assert_int_equal(tls_cert_from_der(buf_slice(&der), &o->cert, &e), 0);
    assert_int_equal(tls_server_new(key, &o->server, &e), 0);
    assert_int_equal(ca_new("a stranger", 2, &stranger, &e), 0);
    assert_int_equal(ca_cert_pem(trusted ? ca : stranger, &pem, &e), 0);
    assert_int_equal(tls_trust_new(buf_slice(&pem), SLICE(""), &settings.trust, &e), 0);
    o->fd = world_listen("127.0.0.1", 0, 16, &o->port);
    assert_true(o->fd >= 0 && pipe(o->quit) == 0);
    assert_int_equal(pthread_create(&o->thread, NULL, run_tls_origin, o), 0);
    override("tls.test", 443, "127.0.0.1", o->port);
    return o;
}

static void tls_origin_stop(struct tls_origin *o)
{
    close(o->quit[1]);
    pthread_join(o->thread, NULL);
    close(o->quit[0]);
    close(o->fd);
    tls_cert_free(o->cert);
    tls_server_free(o->server);
    free(o);
}

static void a_good_certificate_is_accepted_and_its_tickets_do_not_end_the_pooling(void **state)
{
    struct tls_origin *o = tls_origin_start("tls.test", true);
    struct fetch_want w = want("t", HTTP_SCHEME_HTTPS, "tls.test", 443);

    (void)state;
    struct fetch_conn *c = connected(&w);
    assert_string_equal(tls_version_name(c->tls), "TLSv1.3");
    fetch_release(fetch, c, true);
    run_for(50 * MS); /* the tickets come and are read */
    assert_ptr_equal(acquire_pooled(&w), c);
    fetch_release(fetch, c, false);
    c = connected(&w);
    assert_true(tls_resumed(c->tls));
    fetch_release(fetch, c, true);
    run_for(50 * MS); /* a ticket serves once (RFC 8446 C.4): here comes the next */
    configure();      /* the same trust: the sessions are kept, the connection is not */
    assert_null(acquire_pooled(&w));
    c = connected(&w);
    assert_true(tls_resumed(c->tls));
    fetch_release(fetch, c, false);
    tls_origin_stop(o);
}

static void a_certificate_for_another_name_or_of_a_stranger_is_refused(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTPS, "tls.test", 443);
    struct tls_origin *o = tls_origin_start("other.test", true);

    (void)state;
    struct asked a = ask(&w);
    assert_int_equal(a.result.fault, FETCH_TLS);
    assert_true(a.result.detail[0]);
    tls_origin_stop(o);
    tls_trust_free(TAKE(settings.trust));
    settings.override_count = 0;
    o = tls_origin_start("tls.test", false);
    a = ask(&w);
    assert_int_equal(a.result.fault, FETCH_TLS);
    tls_origin_stop(o);
}

static void a_silent_tls_origin_is_waited_for_within_limits(void **state)
{
    struct tls_origin *o = tls_origin_start("tls.test", true);
    struct fetch_want w = want("t", HTTP_SCHEME_HTTPS, "tls.test", 443);
    uint16_t port;
    int silent = world_listen("127.0.0.1", 0, 4, &port);

    (void)state;
    settings.override_count = 0;
    settings.handshake_ns = 100 * MS;
    override("tls.test", 443, "127.0.0.1", port);
    expect(&w, FETCH_TIMEOUT, NULL);
    close(silent);
    tls_origin_stop(o);
}

static void an_origin_that_hangs_up_in_the_handshake_is_a_tls_fault(void **state)
{
    struct tls_origin *o = tls_origin_start("tls.test", true);
    struct fetch_want w = want("t", HTTP_SCHEME_HTTPS, "tls.test", 443);
    struct asked a;
    uint16_t port;
    int rude = world_listen("127.0.0.1", 0, 4, &port);

    (void)state;
    settings.override_count = 0;
    override("tls.test", 443, "127.0.0.1", port);
    start(&a, &w);
    awaited++;
    run_for(20 * MS);
    close(accept(rude, NULL, NULL));
    awaited--;
    if (a.calls == 0)
        await_all();
    assert_int_equal(a.result.fault, FETCH_TLS);
    assert_true(a.result.detail[0]);
    close(rude);
    tls_origin_stop(o);
}

static void cancelling_at_any_moment_calls_nobody_and_leaves_nothing(void **state)
{
    struct tls_origin *o = tls_origin_start("tls.test", true);
    struct fetch_want wants[] = {
        want("t", HTTP_SCHEME_HTTP, "silent.test", 80),
        want("t", HTTP_SCHEME_HTTP, "private.test", 80),
        want("t", HTTP_SCHEME_HTTP, "10.0.0.1", 80),
        want("t", HTTP_SCHEME_HTTPS, "tls.test", 443),
    };

    (void)state;
    for (int64_t wait = 0; wait < 5; wait++) {
        for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
            struct asked a;
            start(&a, &wants[i]);
            awaited++; /* so that a result does not stop the loop */
            if (wait)
                run_for(wait * wait * MS / 4);
            if (a.calls == 0)
                fetch_cancel(a.op);
            else if (a.result.conn)
                fetch_release(fetch, a.result.conn, false);
            unsigned calls = a.calls;
            run_for(2 * MS);
            assert_int_equal(a.calls, calls);
            awaited = 0;
        }
    }
    tls_origin_stop(o);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_good_certificate_is_accepted_and_its_tickets_do_not_end_the_pooling),
        CASE(a_certificate_for_another_name_or_of_a_stranger_is_refused),
        CASE(a_silent_tls_origin_is_waited_for_within_limits),
        CASE(an_origin_that_hangs_up_in_the_handshake_is_a_tls_fault),
        CASE(cancelling_at_any_moment_calls_nobody_and_leaves_nothing),
    };
    struct err e;

    signal(SIGPIPE, SIG_IGN); /* of the TLS origin, whose visitors leave when they like */
    if (ca_new("test CA", 2, &ca, &e) < 0)
        return 1;
    int failed = run_fetch_tests(tests, ARRAY_LEN(tests));
    ca_free(ca);
    return failed;
}
