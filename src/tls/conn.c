#include "tls/conn_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Alerts by which a client says that it does not accept our certificate (RFC 8446 6.2): what OpenSSL
 * reports, and the name in the standard.  To add one: a row. */
static const struct {
    int reason;
    const char *alert;
} rejections[] = {
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "bad_certificate"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "unsupported_certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, "certificate_revoked"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "certificate_expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "certificate_unknown"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "unknown_ca"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, "access_denied"},
    {SSL_R_TLSV1_ALERT_DECRYPT_ERROR, "decrypt_error"}, /* it trusts another CA of the same name */
};

struct tls_conn *tls_conn_new(SSL_CTX *ctx, int fd, size_t session_key_len)
{
    AUTO(tls_conn) *t = calloc(1, sizeof *t + session_key_len);
    if (!t || !(t->ssl = SSL_new(ctx)) || SSL_set_fd(t->ssl, fd) != 1 || SSL_set_app_data(t->ssl, t) != 1) {
        ERR_clear_error();
        return NULL;
    }
    t->session_key_len = session_key_len;
    return TAKE(t);
}

void tls_conn_free(struct tls_conn *t)
{
    if (!t)
        return;
    /* Without a close_notify sent, SSL_free would mark the session as not resumable: a rule of SSL 3 that
     * RFC 5246 7.2.1 took back. */
    if (t->failure == TLS_FAIL_NONE && t->established)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    free(t);
}

void tls_conn_fail(struct tls_conn *t, enum tls_failure failure, const char *fmt, ...)
{
    va_list ap;
    if (t->failure != TLS_FAIL_NONE)
        return;
    t->failure = failure;
    va_start(ap, fmt);
    vsnprintf(t->failure_text, sizeof t->failure_text, fmt, ap);
    va_end(ap);
}

static const char *rejection_alert(int reason)
{
    for (size_t i = 0; i < ARRAY_LEN(rejections); i++)
        if (rejections[i].reason == reason)
            return rejections[i].alert;
    return NULL;
}

/* From OpenSSL's error queue: the first entry is the cause. */
static int library_failure(struct tls_conn *t)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    const char *text = ERR_reason_error_string(code);
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return TLS_CUT;
    if (t->server && rejection_alert(reason))
        tls_conn_fail(t, TLS_FAIL_REJECTED, "the client does not accept our certificate (alert %s)",
                      rejection_alert(reason));
    else if (t->server && !t->hello_seen)
        tls_conn_fail(t, TLS_FAIL_NOT_TLS, "the first bytes are no TLS ClientHello (%s)",
                      text ? text : "unknown");
    else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        tls_conn_fail(t, TLS_FAIL_VERIFY, "certificate verify failed");
    else
        tls_conn_fail(t, TLS_FAIL_PROTOCOL, "%s", text ? text : "TLS protocol error");
    return TLS_FAILED;
}

static int system_failure(struct tls_conn *t, int error)
{
    if (error == 0)
        return TLS_CUT;
    char text[128];
    tls_conn_fail(t, TLS_FAIL_IO, "%s", strerror_r(error, text, sizeof text));
    return TLS_FAILED;
}

/* Node and others do not send an alert when they refuse a certificate: they go. */
static const char *cut_text(const struct tls_conn *t)
{
    if (t->established)
        return "connection closed without close_notify";
    return t->hello_seen ? "the client left during the TLS handshake, as programs do that do not trust the CA"
                         : "connection closed during the TLS handshake";
}

static int give_up(struct tls_conn *t, int ssl_error, int error)
{
    const char *text = cut_text(t);
    int r = ssl_error == SSL_ERROR_SYSCALL ? system_failure(t, error) : library_failure(t);
    if (r == TLS_CUT)
        tls_conn_fail(t, TLS_FAIL_IO, "%s", text);
    ERR_clear_error();
    return r;
}

/* What a call of OpenSSL that returned `n` <= 0 means; 0 is close_notify. */
static int outcome(struct tls_conn *t, int n)
{
    int error = errno, ssl_error = SSL_get_error(t->ssl, n);
    switch (ssl_error) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_WANT_X509_LOOKUP:
        return TLS_WANT_CERT;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return give_up(t, ssl_error, error);
    }
}

/* SSL_get_error(3) judges by the queue, so nothing may be left in it from elsewhere; it is empty nearly
 * always. */
static void clear_errors(void)
{
    if (UNLIKELY(ERR_peek_error() != 0))
        ERR_clear_error();
}

static bool is_expected_name(const struct tls_conn *t)
{
    const char *sni = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    return t->want.is_address ? sni == NULL : sni && slice_eq_nocase(slice_str(sni), t->want.host);
}

int tls_handshake(struct tls_conn *t)
{
    if (t->failure != TLS_FAIL_NONE)
        return TLS_FAILED;
    clear_errors();
    int n = SSL_do_handshake(t->ssl);
    if (n != 1) {
        int r = outcome(t, n);
        return r == 0 ? give_up(t, SSL_ERROR_SYSCALL, 0) : r;
    }
    /* The second wall behind the ClientHello callback: a resumed session has its name from the ticket. */
    if (t->server && !is_expected_name(t)) {
        tls_conn_fail(t, TLS_FAIL_SNI, "the server name of the session is another one");
        return TLS_FAILED;
    }
    t->established = true;
    return 0;
}

ssize_t tls_read(struct tls_conn *t, void *to, size_t len)
{
    size_t got;
    clear_errors();
    if (LIKELY(SSL_read_ex(t->ssl, to, len, &got) == 1)) {
        t->drained = false;
        return (ssize_t)got;
    }
    t->drained = true;
    return outcome(t, 0);
}

ssize_t tls_write(struct tls_conn *t, const void *from, size_t len)
{
    size_t put;
    if (len == 0)
        return 0;
    clear_errors();
    if (LIKELY(SSL_write_ex(t->ssl, from, len, &put) == 1))
        return (ssize_t)put;
    int r = outcome(t, 0);
    return r == 0 ? give_up(t, SSL_ERROR_SYSCALL, EPIPE) : r;
}

/* SSL_has_pending(3) is true for part of a record too, and would make a caller spin that trusts it alone. */
bool tls_has_pending(const struct tls_conn *t)
{
    return !t->drained && SSL_has_pending(t->ssl) == 1;
}

void tls_close_notify(struct tls_conn *t)
{
    if (t->failure != TLS_FAIL_NONE || !t->established || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
        return;
    clear_errors();
    if (SSL_shutdown(t->ssl) < 0)
        ERR_clear_error();
}

enum tls_failure tls_failure(const struct tls_conn *t)
{
    return t->failure;
}

const char *tls_failure_text(const struct tls_conn *t)
{
    return t->failure_text;
}

const char *tls_version_name(const struct tls_conn *t)
{
    return SSL_get_version(t->ssl);
}

bool tls_resumed(const struct tls_conn *t)
{
    return SSL_session_reused(t->ssl) == 1;
}
