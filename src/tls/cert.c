#include "tls/cert.h"
#include "base/crypto.h"
#include "tls/internal.h"

#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { CERTIFICATE_BYTES = 16384 };

int tls_key_new(struct tls_key **ret, struct err *e)
{
    AUTO(tls_key) *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(e, "no memory for the certificate key");
    k->pkey = EVP_EC_gen("P-256");
    if (!k->pkey || crypto_random(k->ticket_keys, sizeof k->ticket_keys) < 0)
        return tls_err(e, "cannot make the certificate key");
    *ret = TAKE(k);
    return 0;
}

void tls_key_free(struct tls_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey); /* overwrites the private number */
    crypto_wipe(k->ticket_keys, sizeof k->ticket_keys);
    free(k);
}

int tls_key_public(const struct tls_key *k, uint8_t *ret, size_t ret_size, size_t *ret_len)
{
    int len = i2d_PUBKEY(k->pkey, NULL);
    if (len <= 0 || (size_t)len > ret_size || i2d_PUBKEY(k->pkey, &ret) != len)
        return -1;
    *ret_len = (size_t)len;
    return 0;
}

int tls_cert_from_der(struct slice der, struct tls_cert **ret, struct err *e)
{
    AUTO(tls_cert) *c = calloc(1, sizeof *c);
    const uint8_t *at = (const uint8_t *)der.ptr;
    if (!c)
        return err_set(e, "no memory for a certificate");
    atomic_init(&c->refs, 1);
    if (der.len == 0 || der.len > CERTIFICATE_BYTES)
        return err_set(e, "a certificate of %zu bytes", der.len);
    c->x509 = d2i_X509(NULL, &at, (long)der.len);
    if (!c->x509 || at != (const uint8_t *)der.ptr + der.len)
        return tls_err(e, "not a DER certificate");
    if (x509_seconds(X509_get0_notAfter(c->x509), &c->expires) < 0)
        return tls_err(e, "a certificate without a readable end");
    /* Decodes key and extensions now, under no lock, rather than in the first handshakes. */
    if (!X509_get0_pubkey(c->x509) || X509_check_purpose(c->x509, -1, 0) != 1)
        return tls_err(e, "a certificate whose key or extensions cannot be read");
    *ret = TAKE(c);
    return 0;
}

struct tls_cert *tls_cert_ref(struct tls_cert *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_cert_free(struct tls_cert *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    X509_free(c->x509);
    free(c);
}

int64_t tls_cert_expires(const struct tls_cert *c)
{
    return c->expires;
}
