/* The side towards the agent (tls_accept of tls/conn.h) against a client of OpenSSL's own, which does what
 * ours never would: old versions, other names with old tickets, other protocols, renegotiation. */
#include "tls_fixture.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

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

struct visit {
    int version;          /* TLS1_2_VERSION, … */
    const char *sni;      /* NULL: none */
    const char *alpn;     /* in wire form; NULL: none */
    bool verify;          /* with no roots at all: every certificate is refused */
    SSL_SESSION *session; /* offered; NULL: none */
    const char *host;     /* what the server expects */
    const char *task;
};

struct outcome {
    int client, server; /* results of the handshake: the client's is 1 where it is done */
    enum tls_failure failure;
    bool resumed;
    int certificates; /* how often one was asked for */
    char alpn[16];
    SSL_SESSION *session; /* the last one given out; the caller's */
};

static SSL_CTX *client_context(const struct visit *v)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, v->version);
    SSL_CTX_set_max_proto_version(ctx, v->version);
    SSL_CTX_set_verify(ctx, v->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    return ctx;
}

static SSL *new_client(SSL_CTX *ctx, int fd, const struct visit *v)
{
    SSL *ssl = SSL_new(ctx);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    if (v->sni)
        assert_int_equal(SSL_set_tlsext_host_name(ssl, v->sni), 1);
    if (v->alpn)
        assert_int_equal(SSL_set_alpn_protos(ssl, (const uint8_t *)v->alpn, (unsigned)strlen(v->alpn)), 0);
    if (v->session)
        assert_int_equal(SSL_set_session(ssl, v->session), 1);
    SSL_set_connect_state(ssl);
    return ssl;
}

static void shake_hands(SSL *client, struct tls_conn *server, struct outcome *o)
{
    o->server = TLS_WANT_READ;
    o->client = 0;
    for (int turn = 0; turn < 10; turn++) {
        if (o->client != 1)
            o->client = SSL_do_handshake(client);
        if (o->server == TLS_WANT_READ)
            o->server = tls_handshake(server);
    }
}

static struct outcome make_visit(struct tls_fixture *f, const struct visit *v)
{
    struct outcome o = {0};
    struct cert_source source = {.cert = fixture_cert(f, v->host, fixture_now())};
    struct tls_accept want = want_host(v->host, v->task, &source);
    char byte;
    fixture_open_pair(f);
    SSL_CTX *ctx = client_context(v);
    SSL *client = new_client(ctx, f->fds[0], v);
    AUTO(tls_conn) *server = tls_accept(f->server, f->fds[1], &want);
    shake_hands(client, server, &o);
    if (o.client == 1 && o.server == 0) {
        const unsigned char *alpn;
        unsigned len;
        assert_int_equal(tls_write(server, "x", 1), 1);
        assert_int_equal(SSL_read(client, &byte, 1), 1); /* takes the ticket of TLS 1.3, too */
        SSL_get0_alpn_selected(client, &alpn, &len);
        memcpy(o.alpn, alpn ? (const char *)alpn : "", len);
        o.resumed = SSL_session_reused(client) == 1;
        assert_int_equal(tls_resumed(server), o.resumed);
        SSL_shutdown(client);
        o.session = SSL_get1_session(client);
    } else if (o.server == TLS_WANT_READ || o.server == 0) {
        o.server = (int)tls_read(server, &byte, 1); /* an alert that came after our side was done */
    }
    o.failure = tls_failure(server);
    o.certificates = source.calls;
    SSL_free(client);
    SSL_CTX_free(ctx);
    tls_cert_free(source.cert);
    ERR_clear_error();
    return o;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void tickets_resume_for_the_same_task_and_name_only(void **state)
{
    static const struct {
        const char *host, *task;
        bool resumed;
    } seconds[] = {
        {"one.test", "one", true},  {"one.test", "two", false}, {"two.test", "one", false},
        {"two.test", "two", false}, {"one.test", "one", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct visit v = {.version = versions[i], .sni = "one.test", .host = "one.test", .task = "one"};
        struct outcome first = make_visit(*state, &v);
        assert_int_equal(first.server, 0);
        assert_false(first.resumed);
        assert_int_equal(first.certificates, 1);
        for (size_t j = 0; j < ARRAY_LEN(seconds); j++) {
            v.session = first.session;
            v.sni = v.host = seconds[j].host;
            v.task = seconds[j].task;
            struct outcome o = make_visit(*state, &v);
            assert_int_equal(o.server, 0);
            assert_int_equal(o.resumed, seconds[j].resumed);
            assert_int_equal(o.certificates, seconds[j].resumed ? 0 : 1);
            SSL_SESSION_free(o.session);
        }
        SSL_SESSION_free(first.session);
    }
}

static void a_resumed_session_needs_the_right_server_name_too(void **state)
{
    static const char *const names[] = {"two.test", NULL};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct visit v = {.version = versions[i], .sni = "one.test", .host = "one.test", .task = "one"};
        struct outcome first = make_visit(*state, &v);
        v.session = first.session;
        for (size_t j = 0; j < ARRAY_LEN(names); j++) {
            v.sni = names[j];
            struct outcome o = make_visit(*state, &v);
            assert_int_equal(o.server, TLS_FAILED);
            assert_int_equal(o.failure, TLS_FAIL_SNI);
        }
        SSL_SESSION_free(first.session);
    }
}

static void server_names_are_compared_without_case(void **state)
{
    struct visit v = {.version = TLS1_3_VERSION, .sni = "ONE.Test", .host = "one.test", .task = "t"};
    struct outcome o = make_visit(*state, &v);
    assert_int_equal(o.server, 0);
    SSL_SESSION_free(o.session);
}

static void a_name_needs_sni_and_an_address_has_none(void **state)
{
    static const struct {
        const char *host, *sni;
        bool accepted;
    } cases[] = {
        {"a.test", NULL, false},     {"192.0.2.1", NULL, true},      {"192.0.2.1", "192.0.2.1", false},
        {"2001:db8::1", NULL, true}, {"192.0.2.1", "a.test", false}, {"a.test", "a.test.", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct visit v = {.version = TLS1_3_VERSION, .sni = cases[i].sni, .host = cases[i].host, .task = "t"};
        struct outcome o = make_visit(*state, &v);
        assert_int_equal(o.failure, cases[i].accepted ? TLS_FAIL_NONE : TLS_FAIL_SNI);
        assert_int_equal(o.certificates, cases[i].accepted);
        SSL_SESSION_free(o.session);
    }
}

static void only_tls_1_2_and_1_3_are_spoken(void **state)
{
    static const struct {
        int version;
        bool spoken;
    } cases[] = {
        {TLS1_VERSION, false}, {TLS1_1_VERSION, false}, {TLS1_2_VERSION, true}, {TLS1_3_VERSION, true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct visit v = {.version = cases[i].version, .sni = "a.test", .host = "a.test", .task = "t"};
        struct outcome o = make_visit(*state, &v);
        assert_int_equal(o.failure, cases[i].spoken ? TLS_FAIL_NONE : TLS_FAIL_PROTOCOL);
        SSL_SESSION_free(o.session);
    }
}

static void http_1_is_what_is_spoken_and_1_1_preferred(void **state)
{
    static const struct {
        const char *offered, *selected; /* selected NULL: refused */
    } cases[] = {
        {"\x02h2\x08http/1.1", "http/1.1"},
        {"\x08http/1.1", "http/1.1"},
        {"\x08http/1.0\x08http/1.1", "http/1.1"},
        {NULL, ""},
        {"\x02h2", NULL},
        {"\x02h2\x08http/1.0", "http/1.0"},
        {"\x07http/1.", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct visit v = {.version = TLS1_3_VERSION,
                          .sni = "a.test",
                          .alpn = cases[i].offered,
                          .host = "a.test",
                          .task = "t"};
        struct outcome o = make_visit(*state, &v);
        assert_int_equal(o.failure, cases[i].selected ? TLS_FAIL_NONE : TLS_FAIL_PROTOCOL);
        if (cases[i].selected)
            assert_string_equal(o.alpn, cases[i].selected);
        SSL_SESSION_free(o.session);
    }
}

static void a_client_that_does_not_trust_us_is_recognised(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct visit v = {
            .version = versions[i], .sni = "a.test", .verify = true, .host = "a.test", .task = "t"};
        struct outcome o = make_visit(*state, &v);
        assert_int_not_equal(o.client, 1);
        assert_int_equal(o.failure, TLS_FAIL_REJECTED);
    }
}

static void nobody_renegotiates(void **state)
{
    struct tls_fixture *f = *state;
    struct visit v = {.version = TLS1_2_VERSION, .sni = "a.test", .host = "a.test", .task = "t"};
    struct outcome o = {0};
    struct cert_source source = {.cert = fixture_cert(f, v.host, fixture_now())};
    struct tls_accept want = want_host(v.host, v.task, &source);
    char byte;
    fixture_open_pair(f);
    SSL_CTX *ctx = client_context(&v);
    SSL *client = new_client(ctx, f->fds[0], &v);
    AUTO(tls_conn) *server = tls_accept(f->server, f->fds[1], &want);
    shake_hands(client, server, &o);
    assert_int_equal(o.server, 0);
    assert_int_equal(SSL_renegotiate(client), 1);
    assert_int_not_equal(SSL_do_handshake(client), 1);
    assert_int_equal(tls_read(server, &byte, 1),
                     TLS_WANT_READ); /* a warning goes back, nothing else happens */
    assert_int_not_equal(SSL_do_handshake(client), 1);
    assert_int_equal(source.calls, 1);
    SSL_free(client);
    SSL_CTX_free(ctx);
    tls_cert_free(source.cert);
    ERR_clear_error();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_resume_for_the_same_task_and_name_only),
        cmocka_unit_test(a_resumed_session_needs_the_right_server_name_too),
        cmocka_unit_test(server_names_are_compared_without_case),
        cmocka_unit_test(a_name_needs_sni_and_an_address_has_none),
        cmocka_unit_test(only_tls_1_2_and_1_3_are_spoken),
        cmocka_unit_test(http_1_is_what_is_spoken_and_1_1_preferred),
        cmocka_unit_test(a_client_that_does_not_trust_us_is_recognised),
        cmocka_unit_test(nobody_renegotiates),
    };
    return cmocka_run_group_tests_name("tls_server", tests, set_up, tear_down);
}
