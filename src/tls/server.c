/* The side towards the agent: tls_server and tls_accept of tls/conn.h. */
#include "base/crypto.h"
#include "tls/conn_internal.h"

#include <openssl/err.h>
#include <stdlib.h>

enum { TICKET_SECONDS = 7200 };

/* Our certificates are ECDSA and every client of TLS 1.2 that is still about has one of these. */
static const char ciphers_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA256";

struct tls_server {
    SSL_CTX *ctx;
};

static bool take_u8(struct slice *in, size_t *ret)
{
    if (in->len < 1)
        return false;
    *ret = (uint8_t)in->ptr[0];
    *in = slice_skip(*in, 1);
    return true;
}

static bool take_u16(struct slice *in, size_t *ret)
{
    size_t high, low;
    if (in->len < 2 || !take_u8(in, &high) || !take_u8(in, &low))
        return false;
    *ret = high << 8 | low;
    return true;
}

/* RFC 6066 3: a list with exactly one host_name. */
static bool parse_sni(struct slice in, struct slice *ret_name)
{
    size_t list, type, name;
    if (!take_u16(&in, &list) || list != in.len || !take_u8(&in, &type) ||
        type != TLSEXT_NAMETYPE_host_name || !take_u16(&in, &name) || name != in.len || name == 0)
        return false;
    *ret_name = in;
    return true;
}

static bool is_wanted_name(SSL *ssl, const struct tls_accept *want)
{
    const unsigned char *bytes;
    struct slice name;
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &len) != 1)
        return want->is_address;
    return !want->is_address && parse_sni(slice_of((const char *)bytes, len), &name) &&
           slice_eq_nocase(name, want->host);
}

/* Before anything else is done with the ClientHello: no ticket is opened and no certificate made for another
 * name. */
static int on_client_hello(SSL *ssl, int *ret_alert, void *arg)
{
    (void)arg;
    struct tls_conn *t = SSL_get_app_data(ssl);
    t->hello_seen = true;
    if (is_wanted_name(ssl, &t->want))
        return SSL_CLIENT_HELLO_SUCCESS;
    tls_conn_fail(t, TLS_FAIL_SNI,
                  "the client asked for another server name than in its CONNECT, or for none");
    *ret_alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
}

/* Only with a callback does OpenSSL note the name in the session, where the check after the handshake finds
 * it. */
static int on_server_name(SSL *ssl, int *ret_alert, void *arg)
{
    (void)ssl;
    (void)ret_alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301 3.2: a client that offers protocols and not ours is told so, not left to speak h2 to us. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *offered,
                   unsigned offered_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
    unsigned char *selected;
    (void)arg;
    if (SSL_select_next_proto(&selected, ret_len, ours, sizeof ours - 1, offered, offered_len) ==
        OPENSSL_NPN_NEGOTIATED) {
        *ret = selected;
        return SSL_TLSEXT_ERR_OK;
    }
    tls_conn_fail(SSL_get_app_data(ssl), TLS_FAIL_PROTOCOL, "the client offers neither http/1.1 nor http/1.0 (ALPN)");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* As SSL_CTX_set_cert_cb(3) wants it: 1 go on, 0 give up, -1 ask again. */
static int on_certificate(SSL *ssl, void *arg)
{
    (void)arg;
    struct tls_conn *t = SSL_get_app_data(ssl);
    struct tls_cert *cert = NULL;
    int r = t->want.certificate(t->want.arg, &cert);
    if (r > 0)
        return -1;
    if (r == 0 && SSL_use_certificate(ssl, cert->x509) == 1)
        return 1;
    tls_conn_fail(t, TLS_FAIL_NO_CERT, "there is no certificate for this name");
    return 0;
}

/* Tickets only: a session cache would keep state for whoever connects. */
static int set_resumption(SSL_CTX *ctx, struct tls_key *leaf_key)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, TICKET_SECONDS);
    if (SSL_CTX_set_num_tickets(ctx, 1) != 1 ||
        SSL_CTX_set_tlsext_ticket_keys(ctx, leaf_key->ticket_keys, sizeof leaf_key->ticket_keys) != 1)
        return -1;
    return 0;
}

int tls_server_new(struct tls_key *leaf_key, struct tls_server **ret, struct err *e)
{
    AUTO_OSSL(SSL_CTX) *ctx = NULL;
    if (tls_context_new(TLS_server_method(), &ctx, e) < 0)
        return -1;
    if (SSL_CTX_use_PrivateKey(ctx, leaf_key->pkey) != 1 || SSL_CTX_set_cipher_list(ctx, ciphers_12) != 1 ||
        set_resumption(ctx, leaf_key) < 0)
        return tls_err(e, "cannot set up the TLS server side");
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_cert_cb(ctx, on_certificate, NULL);
    struct tls_server *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, "no memory for the TLS server side");
    s->ctx = TAKE(ctx);
    *ret = s;
    return 0;
}

void tls_server_free(struct tls_server *s)
{
    if (!s)
        return;
    SSL_CTX_free(s->ctx);
    free(s);
}

/* A ticket of one task or name is none for another: otherwise it would resume there, and the certificate
 * callback would never be asked. */
static int bind_resumption(SSL *ssl, const struct tls_accept *want)
{
    uint8_t digest[SHA256_BYTES];
    char text[1024];
    size_t len = want->task.len + 1 + want->host.len;
    if (len > sizeof text)
        return -1;
    if (want->task.len)
        memcpy(text, want->task.ptr, want->task.len);
    text[want->task.len] = '\0';
    memcpy(text + want->task.len + 1, want->host.ptr, want->host.len);
    if (crypto_sha256(slice_of(text, len), digest) < 0)
        return -1;
    return SSL_set_session_id_context(ssl, digest, sizeof digest) == 1 ? 0 : -1;
}

struct tls_conn *tls_accept(struct tls_server *s, int fd, const struct tls_accept *want)
{
    AUTO(tls_conn) *t = tls_conn_new(s->ctx, fd, 0);
    if (!t || bind_resumption(t->ssl, want) < 0)
        return NULL;
    t->server = true;
    t->want = *want;
    SSL_set_accept_state(t->ssl);
    return TAKE(t);
}
