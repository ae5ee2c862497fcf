/* The side towards the origin: tls_client and tls_connect of tls/conn.h. */
#include "base/caps.h"
#include "base/lru.h"
#include "tls/conn_internal.h"
#include "tls/name.h"
#include "tls/trust_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { CHAIN_DEPTH = 10, SUBJECT_BYTES = 128 };

/* RFC 9525: names stand in the SAN only (6.1), and a wildcard is a whole label (6.3). */
static const unsigned host_flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

struct tls_client {
    SSL_CTX *ctx;
    struct tls_trust *trust;
    struct lru *sessions; /* session key -> SSL_SESSION */
};

static void drop_session(void *session)
{
    SSL_SESSION_free(session);
}

/* ASCII with everything else escaped: it comes from the peer and ends in records. */
static void print_subject(X509 *cert, char ret[SUBJECT_BYTES])
{
    AUTO_OSSL(BIO) *bio = BIO_new(BIO_s_mem());
    int n = 0;
    if (bio && cert && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, TLS_NAME_FORMAT) >= 0)
        n = BIO_read(bio, ret, SUBJECT_BYTES - 1);
    ret[n > 0 ? n : 0] = '\0';
}

/* Changes no verdict: it only notes which certificate failed, and why. */
static int on_verify(int ok, X509_STORE_CTX *context)
{
    if (ok)
        return 1;
    SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_conn *t = SSL_get_app_data(ssl);
    char subject[SUBJECT_BYTES];
    print_subject(X509_STORE_CTX_get_current_cert(context), subject);
    tls_conn_fail(t, TLS_FAIL_VERIFY, "%s (subject %s)",
                  X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)),
                  *subject ? subject : "empty");
    return 0;
}

/* With TLS 1.3 tickets come after the handshake, when the certificate has been verified; with 1.2 at its end.
 *
 * What is kept is a copy: OpenSSL marks a connection's own session as not resumable when the peer cuts it
 * off, as many servers do with idle connections.  0: the reference stays the caller's. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_conn *t = SSL_get_app_data(ssl);
    struct slice key = slice_of(t->session_key, t->session_key_len);
    SSL_SESSION *copy = SSL_SESSION_is_resumable(session) ? SSL_SESSION_dup(session) : NULL;
    if (!copy || lru_put(t->client->sessions, key, copy) < 0)
        ERR_clear_error(); /* nothing to remember, or no memory: the next handshake is a full one */
    return 0;
}

static int set_up(SSL_CTX *ctx, struct tls_trust *trust)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    SSL_CTX_set1_cert_store(ctx, trust->store);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    /* What the operator names in ca_file is trusted as it is, also where it is no root (as curl does). */
    return X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
                   SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn - 1) == 0
               ? 0
               : -1;
}

int tls_client_new(struct tls_trust *trust, struct tls_client **ret, struct err *e)
{
    AUTO(tls_client) *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, "no memory for the TLS client side");
    if (tls_context_new(TLS_client_method(), &c->ctx, e) < 0)
        return -1;
    c->sessions = lru_new(CAP_SESSION_CACHE_ENTRIES, drop_session);
    if (!c->sessions || set_up(c->ctx, trust) < 0)
        return tls_err(e, "cannot set up the TLS client side");
    c->trust = tls_trust_ref(trust);
    *ret = TAKE(c);
    return 0;
}

int tls_client_ready(struct tls_client *c, struct err *e)
{
    return tls_trust_complete(c->trust, e);
}

void tls_client_free(struct tls_client *c)
{
    if (!c)
        return;
    lru_free(c->sessions);
    SSL_CTX_free(c->ctx);
    tls_trust_free(c->trust);
    free(c);
}

/* A session lives no longer than the certificate that it was verified with. */
static bool is_current(const SSL_SESSION *session)
{
    X509 *cert = SSL_SESSION_get0_peer((SSL_SESSION *)session);
    return cert && X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

static void offer_session(struct tls_conn *t)
{
    struct slice key = slice_of(t->session_key, t->session_key_len);
    SSL_SESSION *session = lru_get(t->client->sessions, key);
    if (!session)
        return;
    if (!is_current(session) || SSL_set_session(t->ssl, session) != 1)
        lru_remove(t->client->sessions, key);
}

static int expect_peer(SSL *ssl, const struct tls_name *name, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    size_t bytes = tls_name_address_bytes(name);
    if (bytes)
        return X509_VERIFY_PARAM_set1_ip(param, name->address, bytes) == 1 ? 0 : -1;
    X509_VERIFY_PARAM_set_hostflags(param, host_flags);
    if (X509_VERIFY_PARAM_set1_host(param, host, 0) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1)
        return -1;
    return 0;
}

static void write_session_key(char *to, const struct tls_peer *peer)
{
    memcpy(to, peer->host.ptr, peer->host.len);
    to += peer->host.len;
    *to++ = '\0';
    *to++ = (char)(peer->port >> 8);
    *to++ = (char)(peer->port & 0xff);
    if (peer->task.len)
        memcpy(to, peer->task.ptr, peer->task.len);
}

struct tls_conn *tls_connect(struct tls_client *c, int fd, const struct tls_peer *peer)
{
    struct tls_name name;
    if (tls_name_parse(peer->host, &name) < 0 || peer->is_address != (name.kind != TLS_NAME_DNS))
        return NULL;
    AUTO(tls_conn) *t = tls_conn_new(c->ctx, fd, peer->host.len + 3 + peer->task.len);
    if (!t)
        return NULL;
    t->client = c;
    write_session_key(t->session_key, peer);
    if (expect_peer(t->ssl, &name, t->session_key) < 0) {
        ERR_clear_error();
        return NULL;
    }
    offer_session(t);
    SSL_set_connect_state(t->ssl);
    return TAKE(t);
}
