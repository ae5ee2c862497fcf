/* Handshakes between the two sides of tls/conn.h: who is let in, what is resumed, what ends cleanly. */
#include "tls_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_up(void **state)
{
    static struct tls_fixture f;
    fixture_init(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* A whole connection with the fixture's own certificate for the host; says whether it was resumed. */
static bool visit(struct tls_fixture *f, const char *host, const char *task)
{
    struct cert_source source = {.cert = fixture_cert(f, host, fixture_now())};
    struct tls_accept want = want_host(host, task, &source);
    struct tls_peer peer = peer_of(host, task);
    struct pair p;
    pair_open(f, &p, &peer, &want);
    pair_handshake(&p);
    assert_int_equal(p.client_result, 0);
    assert_int_equal(p.server_result, 0);
    pair_talk(&p);
    bool resumed = tls_resumed(p.client);
    assert_int_equal(tls_resumed(p.server), resumed);
    assert_int_equal(source.calls, resumed ? 0 : 1);
    pair_close(&p);
    tls_cert_free(source.cert);
    return resumed;
}

static void a_name_or_address_is_visited(void **state)
{
    static const char *const hosts[] = {
        "api.example.com", "192.0.2.7", "2001:db8::1", "a_b.example",
        "a-label-of-sixty-three-characters-exactly-so-that-it-fits-in-it.longer-than-a-common-name.test"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        assert_false(visit(*state, hosts[i], "t"));
}

static void a_second_visit_is_resumed_for_the_same_task_and_name_only(void **state)
{
    assert_false(visit(*state, "again.test", "one"));
    assert_true(visit(*state, "again.test", "one"));
    assert_true(visit(*state, "again.test", "one"));
    assert_false(visit(*state, "again.test", "two"));
    assert_false(visit(*state, "other.test", "one"));
    assert_true(visit(*state, "again.test", "two"));
}

/* The client would send its ticket, but the server knows the connection as another task's or name's. */
static void a_ticket_does_not_resume_elsewhere(void **state)
{
    static const struct {
        const char *host, *task;
    } others[] = {{"ticket.test", "two"}};
    struct tls_fixture *f = *state;
    assert_false(visit(f, "ticket.test", "one"));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct cert_source source = {.cert = fixture_cert(f, others[i].host, fixture_now())};
        struct tls_accept want = want_host(others[i].host, others[i].task, &source);
        struct tls_peer peer = peer_of("ticket.test", "one");
        struct pair p;
        pair_open(f, &p, &peer, &want);
        pair_handshake(&p);
        assert_int_equal(p.client_result, 0);
        assert_int_equal(p.server_result, 0);
        assert_false(tls_resumed(p.server));
        assert_int_equal(source.calls, 1);
        pair_close(&p);
        tls_cert_free(source.cert);
    }
}

static void workers_of_one_process_take_each_others_tickets(void **state)
{
    struct tls_fixture *f = *state;
    struct err e;
    assert_false(visit(f, "workers.test", "one"));
    struct tls_server *first = f->server;
    must(tls_server_new(f->key, &f->server, &e), &e);
    assert_true(visit(f, "workers.test", "one"));
    tls_server_free(first);
}

static void another_process_takes_no_ticket_of_ours(void **state)
{
    struct tls_fixture *f = *state, other;
    assert_false(visit(f, "process.test", "one"));
    fixture_init(&other);
    struct tls_server *own = f->server;
    f->server = other.server;
    struct cert_source source = {.cert = NULL};
    struct tls_accept want = want_host("process.test", "one", &source);
    struct tls_peer peer = peer_of("process.test", "one");
    struct pair p;
    pair_open(f, &p, &peer, &want);
    pair_handshake(&p);
    assert_int_equal(source.calls, 1); /* so no ticket was taken */
    pair_close(&p);
    f->server = own;
    fixture_free(&other);
}

static void the_certificate_may_come_later(void **state)
{
    struct tls_fixture *f = *state;
    struct cert_source source = {.cert = fixture_cert(f, "later.test", fixture_now()), .pending = 2};
    struct tls_accept want = want_host("later.test", "t", &source);
    struct tls_peer peer = peer_of("later.test", "t");
    struct pair p;
    pair_open(f, &p, &peer, &want);
    assert_int_equal(tls_handshake(p.client), TLS_WANT_READ);
    assert_int_equal(tls_handshake(p.server), TLS_WANT_CERT);
    assert_int_equal(tls_handshake(p.server), TLS_WANT_CERT);
    pair_handshake(&p);
    assert_int_equal(p.server_result, 0);
    assert_int_equal(source.calls, 3);
    pair_talk(&p);
    pair_close(&p);
    tls_cert_free(source.cert);
}

static void without_a_certificate_the_handshake_fails(void **state)
{
    struct cert_source none = {.cert = NULL};
    struct tls_accept want = want_host("none.test", "t", &none);
    struct tls_peer peer = peer_of("none.test", "t");
    struct pair p;
    pair_open(*state, &p, &peer, &want);
    pair_handshake(&p);
    assert_int_equal(p.server_result, TLS_FAILED);
    assert_int_equal(tls_failure(p.server), TLS_FAIL_NO_CERT);
    assert_int_equal(p.client_result, TLS_FAILED);
    pair_close(&p);
}

static void another_server_name_than_expected_is_refused(void **state)
{
    static const struct {
        const char *expected, *asked;
        bool accepted;
    } cases[] = {
        {"good.test", "good.test", true},
        {"good.test", "evil.test", false},
        {"good.test", "good.test.evil.test", false},
        {"good.test", "good.tes", false},
        {"good.test", "192.0.2.1",
         false}, /* an address is visited without SNI: none is as wrong as another */
        {"192.0.2.1", "good.test", false},
        {"192.0.2.1", "192.0.2.1", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cert_source source = {.cert = fixture_cert(*state, cases[i].expected, fixture_now())};
        struct tls_accept want = want_host(cases[i].expected, "sni", &source);
        struct tls_peer peer = peer_of(cases[i].asked, "sni");
        struct pair p;
        pair_open(*state, &p, &peer, &want);
        pair_handshake(&p);
        assert_int_equal(p.server_result, cases[i].accepted ? 0 : TLS_FAILED);
        assert_int_equal(tls_failure(p.server), cases[i].accepted ? TLS_FAIL_NONE : TLS_FAIL_SNI);
        assert_int_equal(source.calls, cases[i].accepted ? 1 : 0);
        if (!cases[i].accepted)
            assert_non_null(strstr(tls_failure_text(p.client), "unrecognized name"));
        pair_close(&p);
        tls_cert_free(source.cert);
    }
}

static void bytes_that_are_no_tls_are_told_apart(void **state)
{
    static const char *const first_bytes[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
                                              "CONNECT a:443 HTTP/1.1\r\n\r\n",
                                              "\x16\x05\x05\x05\x05\x05\x05"};
    struct tls_fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(first_bytes); i++) {
        struct cert_source none = {.cert = NULL};
        struct tls_accept want = want_host("plain.test", "t", &none);
        fixture_open_pair(f);
        AUTO(tls_conn) *server = tls_accept(f->server, f->fds[1], &want);
        size_t len = strlen(first_bytes[i]);
        assert_int_equal(write(f->fds[0], first_bytes[i], len), len);
        assert_int_equal(tls_handshake(server), TLS_FAILED);
        assert_int_equal(tls_failure(server), TLS_FAIL_NOT_TLS);
        assert_int_equal(tls_handshake(server), TLS_FAILED);
    }
}

static void a_close_during_the_handshake_is_a_cut(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_peer peer = peer_of("gone.test", "t");
    fixture_open_pair(f);
    AUTO(tls_conn) *client = tls_connect(f->client, f->fds[0], &peer);
    assert_int_equal(tls_handshake(client), TLS_WANT_READ);
    assert_int_equal(shutdown(f->fds[1], SHUT_WR), 0);
    assert_int_equal(tls_handshake(client), TLS_CUT);
    assert_string_equal(tls_failure_text(client), "connection closed during the TLS handshake");
}

static void a_client_that_leaves_at_the_sight_of_our_certificate_is_a_cut(void **state)
{
    struct tls_fixture *f = *state;
    struct cert_source source = {.cert = fixture_cert(f, "left.test", fixture_now())};
    struct tls_accept want = want_host("left.test", "t", &source);
    struct tls_peer peer = peer_of("left.test", "t");
    struct pair p;
    pair_open(f, &p, &peer, &want);
    assert_int_equal(tls_handshake(p.client), TLS_WANT_READ);
    assert_int_equal(tls_handshake(p.server), TLS_WANT_READ);
    assert_int_equal(shutdown(f->fds[0], SHUT_WR), 0);
    assert_int_equal(tls_handshake(p.server), TLS_CUT);
    assert_int_equal(tls_failure(p.server), TLS_FAIL_IO);
    assert_non_null(strstr(tls_failure_text(p.server), "do not trust the CA"));
    pair_close(&p);
    tls_cert_free(source.cert);
}

static void open_talking_pair(struct tls_fixture *f, struct pair *p)
{
    static struct cert_source source;
    struct tls_accept want = want_host("talk.test", "t", &source);
    struct tls_peer peer = peer_of("talk.test", "t");
    source = (struct cert_source){.cert = fixture_cert(f, "talk.test", fixture_now())};
    pair_open(f, p, &peer, &want);
    pair_handshake(p);
    tls_cert_free(source.cert); /* the connection has a reference of its own */
    assert_int_equal(p->client_result, 0);
    assert_int_equal(p->server_result, 0);
}

static void an_end_with_close_notify_is_clean_and_one_without_is_a_cut(void **state)
{
    struct tls_fixture *f = *state;
    char got[16];
    for (int clean = 0; clean < 2; clean++) {
        struct pair p;
        open_talking_pair(f, &p);
        assert_int_equal(tls_write(p.server, "last", 4), 4);
        if (clean)
            tls_close_notify(p.server);
        assert_int_equal(shutdown(f->fds[1], SHUT_WR), 0);
        assert_int_equal(tls_read(p.client, got, sizeof got), 4);
        assert_int_equal(tls_read(p.client, got, sizeof got), clean ? 0 : TLS_CUT);
        assert_string_equal(tls_failure_text(p.client),
                            clean ? "" : "connection closed without close_notify");
        pair_close(&p);
    }
}

static void a_cut_does_not_cost_the_session(void **state)
{
    struct tls_fixture *f = *state;
    struct pair p;
    char got[16];
    open_talking_pair(f, &p);
    pair_talk(&p);
    assert_int_equal(shutdown(f->fds[1], SHUT_WR), 0);
    assert_int_equal(tls_read(p.client, got, sizeof got), TLS_CUT);
    pair_close(&p);
    assert_true(visit(f, "talk.test", "t"));
}

static void close_notify_is_sent_once(void **state)
{
    struct tls_fixture *f = *state;
    struct pair p;
    char bytes[256];
    open_talking_pair(f, &p);
    while (recv(f->fds[0], bytes, sizeof bytes, 0) > 0)
        ; /* the ticket */
    tls_close_notify(p.server);
    tls_close_notify(p.server);
    ssize_t n = recv(f->fds[0], bytes, sizeof bytes, 0);
    assert_in_range(n, 5, 5 + 2 + 17); /* one record: header, alert, inner type and tag */
    pair_close(&p);
}

/* With read-ahead several records arrive in one read(2): they must come out without the descriptor. */
static void pending_says_when_to_read_and_when_to_wait(void **state)
{
    struct tls_fixture *f = *state;
    struct pair p;
    char got[64];
    open_talking_pair(f, &p);
    pair_talk(&p); /* the client has taken the ticket */
    assert_false(tls_has_pending(p.client));
    for (int i = 0; i < 3; i++)
        assert_int_equal(tls_write(p.server, "part", 4), 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tls_read(p.client, got, sizeof got), 4);
        assert_int_equal(tls_has_pending(p.client), i < 2);
    }
    assert_int_equal(tls_read(p.client, got, sizeof got), TLS_WANT_READ);
    assert_false(tls_has_pending(p.client));
    pair_close(&p);
}

static void half_a_record_is_not_pending(void **state)
{
    struct tls_fixture *f = *state;
    struct pair p;
    char record[256], got[64];
    open_talking_pair(f, &p);
    pair_talk(&p);
    assert_int_equal(tls_write(p.server, "whole", 5), 5);
    ssize_t n = recv(f->fds[0], record, sizeof record, 0);
    assert_true(n > 10);
    assert_int_equal(write(f->fds[1], record, (size_t)n - 3), n - 3);
    assert_int_equal(tls_read(p.client, got, sizeof got), TLS_WANT_READ);
    assert_false(tls_has_pending(p.client));
    assert_int_equal(write(f->fds[1], record + n - 3, 3), 3);
    assert_int_equal(tls_read(p.client, got, sizeof got), 5);
    pair_close(&p);
}

/* What does not fit is offered again from elsewhere in memory, with more behind it. */
static void a_write_that_waits_may_be_offered_again_from_elsewhere(void **state)
{
    enum { TOTAL = 4 << 20 };
    struct pair p;
    open_talking_pair(*state, &p);
    char *bytes = calloc(2, TOTAL), *got = malloc(TOTAL);
    size_t sent = 0, received = 0;
    for (size_t i = 0; i < TOTAL; i++)
        bytes[i] = bytes[TOTAL + i] = (char)(i * 31 >> 3);
    bool waited = false;
    while (received < TOTAL) {
        const char *copy = waited ? bytes + TOTAL : bytes;
        ssize_t n = sent < TOTAL ? tls_write(p.server, copy + sent, TOTAL - sent) : TLS_WANT_WRITE;
        if (n > 0) {
            sent += (size_t)n;
            continue;
        }
        assert_int_equal(n, TLS_WANT_WRITE);
        waited = !waited;
        while ((n = tls_read(p.client, got + received, TOTAL - received)) > 0)
            received += (size_t)n;
        assert_int_equal(n, received == TOTAL ? n : TLS_WANT_READ);
    }
    assert_memory_equal(got, bytes, TOTAL);
    free(bytes);
    free(got);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_or_address_is_visited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_visit_is_resumed_for_the_same_task_and_name_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_ticket_does_not_resume_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workers_of_one_process_take_each_others_tickets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_process_takes_no_ticket_of_ours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_certificate_may_come_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_certificate_the_handshake_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_server_name_than_expected_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_tls_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_close_during_the_handshake_is_a_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_with_close_notify_is_clean_and_one_without_is_a_cut, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_at_the_sight_of_our_certificate_is_a_cut, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_cut_does_not_cost_the_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(close_notify_is_sent_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pending_says_when_to_read_and_when_to_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(half_a_record_is_not_pending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_that_waits_may_be_offered_again_from_elsewhere, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("tls_handshake", tests, NULL, NULL);
}
