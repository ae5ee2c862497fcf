/* Steps that the CA's own certificate and host certificates share. */
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { SERIAL_BITS = 127 }; /* one below 128, so that the DER integer needs no leading zero */

int tls_err(struct err *e, const char *fmt, ...)
{
    char text[sizeof e->text];
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ERR_clear_error();
    return reason ? err_set(e, "%s: %s", text, reason) : err_set(e, "%s", text);
}

int tls_no_passphrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

void tls_prepare_clock(void)
{
    tzset();
}

int x509_seconds(const ASN1_TIME *t, int64_t *ret)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return -1;
    *ret = timegm(&tm);
    return 0;
}

int x509_set_random_serial(X509 *x)
{
    AUTO_OSSL(BIGNUM) *number = BN_new();
    if (!number || BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1)
        return -1;
    return BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) ? 0 : -1;
}

int x509_set_dates(X509 *x, int64_t not_before, int64_t not_after)
{
    if (!ASN1_TIME_set(X509_getm_notBefore(x), (time_t)not_before) ||
        !ASN1_TIME_set(X509_getm_notAfter(x), (time_t)not_after))
        return -1;
    return 0;
}

int x509_add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (!extension)
        return -1;
    int added = X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    return added == 1 ? 0 : -1;
}
