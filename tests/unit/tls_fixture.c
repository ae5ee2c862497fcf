#include "tls_fixture.h"

#include "base/clock.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void must(int result, const struct err *e)
{
    if (result < 0)
        fail_msg("%s", e->text);
}

int64_t fixture_now(void)
{
    return clock_wall_ms() / 1000;
}

static void introduce(struct tls_fixture *f)
{
    struct err e;
    uint8_t spki[128];
    size_t len;
    assert_int_equal(tls_key_public(f->key, spki, sizeof spki, &len), 0);
    must(ca_set_leaf(f->ca, slice_of((char *)spki, len), &e), &e);
}

void fixture_init(struct tls_fixture *f)
{
    struct err e;
    AUTO_BUF pem = BUF_INIT(1 << 16);
    *f = (struct tls_fixture){.fds = {-1, -1}};
    must(ca_new("test CA", 30, &f->ca, &e), &e);
    must(tls_key_new(&f->key, &e), &e);
    introduce(f);
    must(ca_cert_pem(f->ca, &pem, &e), &e);
    must(tls_trust_new(buf_slice(&pem), SLICE(""), &f->trust, &e), &e);
    must(tls_server_new(f->key, &f->server, &e), &e);
    must(tls_client_new(f->trust, &f->client, &e), &e);
}

void fixture_free(struct tls_fixture *f)
{
    fd_auto_close(&f->fds[0]);
    fd_auto_close(&f->fds[1]);
    tls_client_free(f->client);
    tls_server_free(f->server);
    tls_trust_free(f->trust);
    tls_key_free(f->key);
    ca_free(f->ca);
}

void fixture_open_pair(struct tls_fixture *f)
{
    for (int i = 0; i < 2; i++)
        if (f->fds[i] >= 0)
            close(f->fds[i]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, f->fds), 0);
}

struct tls_cert *fixture_cert(struct tls_fixture *f, const char *name, int64_t now)
{
    struct err e;
    struct tls_cert *cert = NULL;
    AUTO_BUF der = BUF_INIT(8192);
    must(ca_mint(f->ca, slice_str(name), now, &der, &e), &e);
    must(tls_cert_from_der(buf_slice(&der), &cert, &e), &e);
    return cert;
}

int cert_source_get(void *arg, struct tls_cert **ret)
{
    struct cert_source *source = arg;
    source->calls++;
    if (source->pending > 0) {
        source->pending--;
        return 1;
    }
    if (!source->cert)
        return -1;
    *ret = source->cert;
    return 0;
}

static bool is_address(const char *host)
{
    return strchr(host, ':') || strspn(host, "0123456789.") == strlen(host);
}

struct tls_accept want_host(const char *host, const char *task, struct cert_source *source)
{
    return (struct tls_accept){
        .host = slice_str(host),
        .is_address = is_address(host),
        .task = slice_str(task),
        .certificate = cert_source_get,
        .arg = source,
    };
}

struct tls_peer peer_of(const char *host, const char *task)
{
    return (struct tls_peer){
        .host = slice_str(host), .is_address = is_address(host), .port = 443, .task = slice_str(task)};
}

void pair_open(struct tls_fixture *f, struct pair *p, const struct tls_peer *peer,
               const struct tls_accept *want)
{
    fixture_open_pair(f);
    p->client = tls_connect(f->client, f->fds[0], peer);
    p->server = tls_accept(f->server, f->fds[1], want);
    assert_non_null(p->client);
    assert_non_null(p->server);
    p->client_result = p->server_result = TLS_WANT_READ;
}

static bool is_waiting(int result)
{
    return result == TLS_WANT_READ || result == TLS_WANT_WRITE || result == TLS_WANT_CERT;
}

void pair_handshake(struct pair *p)
{
    for (int turn = 0; turn < 20; turn++) {
        if (is_waiting(p->client_result))
            p->client_result = tls_handshake(p->client);
        if (is_waiting(p->server_result))
            p->server_result = tls_handshake(p->server);
        if (!is_waiting(p->client_result) && !is_waiting(p->server_result))
            return;
    }
}

static void say(struct tls_conn *from, struct tls_conn *to, struct slice word)
{
    char got[64];
    assert_int_equal(tls_write(from, word.ptr, word.len), word.len);
    ssize_t n = tls_read(to, got, sizeof got);
    assert_int_equal(n, word.len);
    assert_memory_equal(got, word.ptr, word.len);
}

void pair_talk(struct pair *p)
{
    say(p->client, p->server, SLICE("question"));
    say(p->server, p->client, SLICE("answer"));
}

void pair_close(struct pair *p)
{
    tls_conn_free(p->client);
    tls_conn_free(p->server);
    p->client = p->server = NULL;
}
