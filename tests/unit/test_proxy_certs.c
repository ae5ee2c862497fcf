/* proxy/certs: a worker's line to the keeper, with a keeper of the test's own at its other end. */
#include "base/clock.h"
#include "proxy/certs.h"
#include "tls/keeper.h"
#include "tls_fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct tls_fixture fixture;
static struct loop *loop;
static struct certs *certs;
static int keeper; /* the other end */

static int connect_keeper(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    keeper = fds[0];
    return fds[1];
}

/* The next question, or false where there is none. */
static bool asked(uint8_t *message, struct keeper_request *ret)
{
    ssize_t n = recv(keeper, message, KEEPER_MESSAGE_BYTES, 0);
    if (n < 0)
        return false;
    assert_int_equal(keeper_decode_request(slice_of((char *)message, (size_t)n), ret), 0);
    return true;
}

static void expect_hello(void)
{
    uint8_t message[KEEPER_MESSAGE_BYTES];
    struct keeper_request q;
    assert_true(asked(message, &q));
    assert_int_equal(q.op, KEEPER_HELLO);
    assert_true(slice_eq(q.data, SLICE("a public key")));
}

static uint32_t expect_sign(const char *name)
{
    uint8_t message[KEEPER_MESSAGE_BYTES];
    struct keeper_request q;
    assert_true(asked(message, &q));
    assert_int_equal(q.op, KEEPER_SIGN);
    if (!slice_eq(q.data, slice_str(name)))
        fail_msg("asked for %.*s instead of %s", SLICE_FMT(q.data), name);
    return q.id;
}

static void expect_no_question(void)
{
    uint8_t message[KEEPER_MESSAGE_BYTES];
    struct keeper_request q;
    assert_false(asked(message, &q));
}

static void stop(struct loop_deadline *d)
{
    loop_stop(d->loop);
}

/* Long enough for what is ready already. */
static void turn(void)
{
    struct loop_deadline end;
    loop_deadline_init(&end, loop, stop);
    loop_deadline_set(&end, clock_mono_ns() + 10000000);
    loop_run(loop);
    loop_deadline_clear(&end);
}

static void reply(uint32_t id, enum keeper_status status, struct slice data)
{
    uint8_t message[KEEPER_MESSAGE_BYTES];
    struct keeper_reply r = {.id = id, .status = status, .data = data};
    ssize_t len = keeper_encode_reply(&r, message);
    assert_true(len > 0);
    assert_int_equal(send(keeper, message, (size_t)len, MSG_NOSIGNAL), len);
}

/* A certificate as the keeper would make it at a time. */
static void reply_cert(uint32_t id, const char *name, int64_t made)
{
    struct err e;
    AUTO_BUF der = BUF_INIT(8192);
    must(ca_mint(fixture.ca, slice_str(name), made, &der, &e), &e);
    reply(id, KEEPER_OK, buf_slice(&der));
}

static int set_up(void **state)
{
    (void)state;
    struct err e;
    fixture_init(&fixture);
    loop = loop_new(false);
    must(certs_new(loop, connect_keeper(), SLICE("a public key"), &certs, &e), &e);
    expect_hello();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    certs_free(certs);
    fd_auto_close(&keeper);
    loop_free(loop);
    fixture_free(&fixture);
    return 0;
}

/* A connection that waits. */
struct wait {
    struct certs_waiter waiter;
    unsigned calls;
    struct tls_cert *cert;
};

static void note(struct certs_waiter *waiter, struct tls_cert *cert)
{
    struct wait *w = CONTAINER_OF(waiter, struct wait, waiter);
    w->calls++;
    w->cert = cert;
}

static enum certs_result get(const char *name, bool blocked, struct wait *w)
{
    *w = (struct wait){.waiter.ready = note};
    list_init(&w->waiter.node);
    return certs_get(certs, slice_str(name), blocked, &w->waiter, &w->cert);
}

static void expect_wait(const char *name, bool blocked, struct wait *w)
{
    assert_int_equal(get(name, blocked, w), CERTS_WAIT);
    assert_int_equal(w->calls, 0);
    assert_null(w->cert);
}

/* Called once, with a certificate; the reference was its. */
static void expect_cert(struct wait *w)
{
    assert_int_equal(w->calls, 1);
    assert_non_null(w->cert);
    tls_cert_free(TAKE(w->cert));
}

static void expect_unavailable(struct wait *w)
{
    assert_int_equal(w->calls, 1);
    assert_null(w->cert);
}

static void expect_cached(const char *name, bool blocked)
{
    struct wait w;
    assert_true(certs_has(certs, slice_str(name), blocked));
    assert_int_equal(get(name, blocked, &w), CERTS_OK);
    assert_non_null(w.cert);
    assert_int_equal(w.calls, 0);
    tls_cert_free(w.cert);
    expect_no_question();
}

static void learn(const char *name, bool blocked, int64_t made)
{
    struct wait w;
    expect_wait(name, blocked, &w);
    reply_cert(expect_sign(name), name, made);
    turn();
    expect_cert(&w);
}

static void a_name_is_signed_once_and_then_cached(void **state)
{
    (void)state;
    assert_false(certs_has(certs, SLICE("a.test"), false));
    learn("a.test", false, fixture_now());
    expect_cached("a.test", false);
    assert_false(certs_has(certs, SLICE("b.test"), false));
}

static void two_that_wait_for_one_name_ask_once(void **state)
{
    (void)state;
    struct wait first, second;
    expect_wait("a.test", false, &first);
    expect_wait("a.test", false, &second);
    uint32_t id = expect_sign("a.test");
    expect_no_question();
    reply_cert(id, "a.test", fixture_now());
    turn();
    expect_cert(&first);
    expect_cert(&second);
}

static void answers_are_told_apart_by_their_question(void **state)
{
    (void)state;
    struct wait a, b;
    expect_wait("a.test", false, &a);
    expect_wait("b.test", false, &b);
    uint32_t id_a = expect_sign("a.test"), id_b = expect_sign("b.test");
    assert_int_not_equal(id_a, 0);
    assert_int_not_equal(id_a, id_b);
    reply_cert(id_b, "b.test", fixture_now());
    turn();
    assert_int_equal(a.calls, 0);
    expect_cert(&b);
    reply(id_a, KEEPER_FAILED, SLICE(""));
    turn();
    expect_unavailable(&a);
    expect_cached("b.test", false);
    assert_false(certs_has(certs, SLICE("a.test"), false));
}

static void one_that_has_gone_is_not_called_and_the_answer_is_kept(void **state)
{
    (void)state;
    struct wait gone, stays;
    expect_wait("a.test", false, &gone);
    expect_wait("a.test", false, &stays);
    certs_forget(&gone.waiter);
    certs_forget(&gone.waiter); /* harmless */
    reply_cert(expect_sign("a.test"), "a.test", fixture_now());
    turn();
    assert_int_equal(gone.calls, 0);
    expect_cert(&stays);

    expect_wait("b.test", false, &gone);
    certs_forget(&gone.waiter);
    reply_cert(expect_sign("b.test"), "b.test", fixture_now());
    turn();
    assert_int_equal(gone.calls, 0);
    expect_cached("b.test", false);
}

static void blocked_names_have_a_cache_of_their_own(void **state)
{
    (void)state;
    learn("blocked.test", true, fixture_now());
    expect_cached("blocked.test", true);
    /* what is there to explain a block is none for a name that is allowed … */
    assert_false(certs_has(certs, SLICE("blocked.test"), false));
    /* … but the other way round there is nothing to make. */
    learn("allowed.test", false, fixture_now());
    expect_cached("allowed.test", true);
}

/* Names by the dozen, in the cache of the blocked: those in use stay. */
static void blocked_names_do_not_push_out_those_in_use(void **state)
{
    (void)state;
    enum { MANY = 300 };
    char name[32];
    learn("used.test", false, fixture_now());
    for (int i = 0; i < MANY; i++) {
        struct wait w;
        snprintf(name, sizeof name, "n%d.test", i);
        expect_wait(name, true, &w);
        uint8_t message[KEEPER_MESSAGE_BYTES];
        struct keeper_request q;
        assert_true(asked(message, &q));
        /* one certificate for all: its name is not looked at here */
        reply_cert(q.id, "n.test", fixture_now());
        if (i % 50 == 49)
            turn();
        else
            certs_forget(&w.waiter);
        if (w.calls)
            tls_cert_free(w.cert);
    }
    turn();
    assert_false(certs_has(certs, SLICE("n0.test"), true)); /* the oldest has gone */
    assert_true(certs_has(certs, SLICE("n299.test"), true));
    expect_cached("used.test", false);
}

static void a_keeper_that_goes_away_answers_all_that_wait(void **state)
{
    (void)state;
    struct wait a, b, later;
    learn("cached.test", false, fixture_now());
    expect_wait("a.test", false, &a);
    expect_wait("b.test", true, &b);
    fd_auto_close(&keeper);
    keeper = -1;
    turn();
    expect_unavailable(&a);
    expect_unavailable(&b);
    assert_int_equal(get("c.test", false, &later), CERTS_UNAVAILABLE);
    assert_int_equal(later.calls, 0);
    /* what is cached needs no keeper */
    struct wait w;
    assert_int_equal(get("cached.test", false, &w), CERTS_OK);
    tls_cert_free(w.cert);
}

static void a_new_keeper_takes_over(void **state)
{
    (void)state;
    struct wait w;
    int old = keeper;
    expect_wait("a.test", false, &w);
    assert_int_equal(certs_set_keeper(certs, connect_keeper()), 0);
    expect_unavailable(&w); /* the old one will not answer any more */
    close(old);
    expect_hello();
    learn("a.test", false, fixture_now());
}

static void a_keeper_that_is_dead_already_is_refused(void **state)
{
    (void)state;
    struct wait w;
    int old = keeper, fd = connect_keeper();
    close(keeper);
    keeper = old;
    assert_int_equal(certs_set_keeper(certs, fd), -1);
    assert_int_equal(get("a.test", false, &w), CERTS_UNAVAILABLE);
}

/* --- what a keeper may say --- */

/* To add a case: a row. */
static const struct {
    const char *what;
    struct slice bytes;
} broken[] = {
    {"one byte", SLICE("\0")},
    {"a length that is not that of the data", SLICE("\0\1\0\5\0\0\0\1abc")},
    {"another version", SLICE("\0\x63\0\0\0\0\0\1")},
    {"an unknown status", SLICE("\x63\1\0\0\0\0\0\1")},
};

static void a_reply_that_is_broken_ends_the_keeper(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct wait w, later;
        int old = keeper;
        assert_int_equal(certs_set_keeper(certs, connect_keeper()), 0);
        close(old);
        expect_hello();
        expect_wait("a.test", false, &w);
        assert_int_equal(send(keeper, broken[i].bytes.ptr, broken[i].bytes.len, 0), broken[i].bytes.len);
        turn();
        if (w.calls != 1 || w.cert)
            fail_msg("%s: %u calls", broken[i].what, w.calls);
        assert_int_equal(get("b.test", false, &later), CERTS_UNAVAILABLE);
    }
}

static void a_certificate_that_is_none_is_unavailable_and_not_cached(void **state)
{
    (void)state;
    struct wait w;
    expect_wait("a.test", false, &w);
    reply(expect_sign("a.test"), KEEPER_OK, SLICE("not a certificate"));
    turn();
    expect_unavailable(&w);
    assert_false(certs_has(certs, SLICE("a.test"), false));
    learn("a.test", false, fixture_now()); /* the next one may ask again */
}

static void an_answer_to_a_question_that_nobody_asked_is_nothing(void **state)
{
    (void)state;
    struct wait w;
    expect_wait("a.test", false, &w);
    uint32_t id = expect_sign("a.test");
    reply_cert(id + 1000, "a.test", fixture_now());
    turn();
    assert_int_equal(w.calls, 0);
    reply_cert(id, "a.test", fixture_now());
    reply_cert(id, "a.test", fixture_now()); /* twice */
    turn();
    expect_cert(&w);
}

static void a_keeper_that_refuses_the_introduction_is_none(void **state)
{
    (void)state;
    struct wait w, later;
    expect_wait("a.test", false, &w);
    reply(0, KEEPER_BAD_REQUEST, SLICE(""));
    turn();
    expect_unavailable(&w);
    assert_int_equal(get("b.test", false, &later), CERTS_UNAVAILABLE);
}

static void the_introductions_good_answer_changes_nothing(void **state)
{
    (void)state;
    reply(0, KEEPER_OK, SLICE(""));
    turn();
    learn("a.test", false, fixture_now());
}

/* --- time --- */

static void a_certificate_near_its_end_is_made_anew(void **state)
{
    (void)state;
    enum { DAY = 24 * 3600, HOUR = 3600 };
    learn("old.test", false, fixture_now() - DAY + HOUR / 2); /* half an hour left */
    assert_false(certs_has(certs, SLICE("old.test"), false));
    learn("old.test", false, fixture_now());
    expect_cached("old.test", false);
}

static void a_keeper_that_does_not_read_makes_nobody_wait(void **state)
{
    (void)state;
    enum { MANY = 1200 };
    static struct wait waits[MANY];
    char name[32];
    unsigned waiting = 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d.test", i);
        waiting += get(name, false, &waits[i]) == CERTS_WAIT;
    }
    assert_in_range(waiting, 1, 1024); /* what is not taken is refused at once */
    fd_auto_close(&keeper);
    keeper = -1;
    turn();
    for (int i = 0; i < MANY; i++)
        waiting -= waits[i].calls;
    assert_int_equal(waiting, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_name_is_signed_once_and_then_cached),
        CASE(two_that_wait_for_one_name_ask_once),
        CASE(answers_are_told_apart_by_their_question),
        CASE(one_that_has_gone_is_not_called_and_the_answer_is_kept),
        CASE(blocked_names_have_a_cache_of_their_own),
        CASE(blocked_names_do_not_push_out_those_in_use),
        CASE(a_keeper_that_goes_away_answers_all_that_wait),
        CASE(a_new_keeper_takes_over),
        CASE(a_keeper_that_is_dead_already_is_refused),
        CASE(a_reply_that_is_broken_ends_the_keeper),
        CASE(a_certificate_that_is_none_is_unavailable_and_not_cached),
        CASE(an_answer_to_a_question_that_nobody_asked_is_nothing),
        CASE(a_keeper_that_refuses_the_introduction_is_none),
        CASE(the_introductions_good_answer_changes_nothing),
        CASE(a_certificate_near_its_end_is_made_anew),
        CASE(a_keeper_that_does_not_read_makes_nobody_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
