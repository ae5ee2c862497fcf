#include "base/clock.h"
#include "tls/internal.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum {
    DAY = 86400,
    HOUR = 3600,
    COMMON_NAME_CHARS = 64, /* ub-common-name, RFC 5280 appendix A */
    MAX_DAYS = 36500,
};

void ca_free(struct ca *ca)
{
    if (!ca)
        return;
    prepared_free_all(ca->prepared);
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key); /* overwrites the private number */
    free(ca);
}

static int set_subject(X509 *x, const char *common_name)
{
    size_t len = strlen(common_name);
    X509_NAME *name = X509_get_subject_name(x);
    if (len > COMMON_NAME_CHARS)
        len = COMMON_NAME_CHARS;
    if (X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_ASC, (const uint8_t *)"exeat", -1, -1,
                                   0) != 1 ||
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const uint8_t *)common_name,
                                   (int)len, -1, 0) != 1)
        return -1;
    return 0;
}

/* RFC 5280 4.2.1.9: a CA that signs hosts only needs no CA below it, hence pathlen:0. */
static int fill_certificate(X509 *x, EVP_PKEY *key, const char *common_name, int64_t now, unsigned days)
{
    if (X509_set_version(x, X509_VERSION_3) != 1 || x509_set_random_serial(x) < 0 ||
        x509_set_dates(x, now - HOUR, now + (int64_t)days * DAY) < 0 || set_subject(x, common_name) < 0 ||
        X509_set_issuer_name(x, X509_get_subject_name(x)) != 1 || X509_set_pubkey(x, key) != 1)
        return -1;
    if (x509_add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") < 0 ||
        x509_add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") < 0 ||
        x509_add_extension(x, x, NID_subject_key_identifier, "hash") < 0)
        return -1;
    return X509_sign(x, key, EVP_sha256()) > 0 ? 0 : -1;
}

int ca_new(const char *common_name, unsigned days, struct ca **ret, struct err *e)
{
    AUTO(ca) *ca = calloc(1, sizeof *ca);
    if (!ca)
        return err_set(e, "no memory for the CA");
    if (days == 0 || days > MAX_DAYS)
        return err_set(e, "a CA valid for %u days: from 1 to %d is possible", days, MAX_DAYS);
    tls_prepare_clock();
    ca->key = EVP_EC_gen("P-256");
    ca->cert = X509_new();
    if (!ca->key || !ca->cert ||
        fill_certificate(ca->cert, ca->key, common_name, clock_wall_ms() / 1000, days) < 0 ||
        x509_seconds(X509_get0_notAfter(ca->cert), &ca->not_after) < 0)
        return tls_err(e, "cannot make a CA certificate");
    *ret = TAKE(ca);
    return 0;
}

static int read_pem(struct ca *ca, struct slice cert_pem, struct slice key_pem, struct err *e)
{
    AUTO_OSSL(BIO) *cert = BIO_new_mem_buf(cert_pem.ptr, (int)cert_pem.len);
    AUTO_OSSL(BIO) *key = BIO_new_mem_buf(key_pem.ptr, (int)key_pem.len);
    if (!cert || !key)
        return tls_err(e, "cannot read the CA");
    ca->cert = PEM_read_bio_X509(cert, NULL, tls_no_passphrase, NULL);
    if (!ca->cert)
        return tls_err(e, "the CA certificate is not a PEM certificate");
    ca->key = PEM_read_bio_PrivateKey(key, NULL, tls_no_passphrase, NULL);
    if (!ca->key)
        return tls_err(e, "the CA key is not a PEM private key without a passphrase");
    return 0;
}

static int check_dates(struct ca *ca, int64_t now, struct err *e)
{
    int64_t not_before;
    if (x509_seconds(X509_get0_notBefore(ca->cert), &not_before) < 0 ||
        x509_seconds(X509_get0_notAfter(ca->cert), &ca->not_after) < 0)
        return tls_err(e, "the CA certificate's dates cannot be read");
    if (not_before > now)
        return err_set(e, "the CA certificate is not valid yet");
    if (ca->not_after <= now)
        return err_set(e, "the CA certificate has expired: remove it and its key to have new ones made");
    return 0;
}

/* Clients hold this certificate alone in their trust stores: an intermediate one would end in nothing. */
static int check_certificate(X509 *cert, EVP_PKEY *key, struct err *e)
{
    if (!EVP_PKEY_is_a(key, "EC") && !EVP_PKEY_is_a(key, "RSA"))
        return tls_err(e, "the CA key is neither ECDSA nor RSA");
    if (X509_check_private_key(cert, key) != 1)
        return tls_err(e, "the CA key is not the key of the CA certificate");
    if (X509_check_ca(cert) != 1 || !(X509_get_key_usage(cert) & KU_KEY_CERT_SIGN))
        return tls_err(e, "the CA certificate may not sign certificates (basicConstraints, keyUsage)");
    if (X509_self_signed(cert, 1) != 1)
        return tls_err(e, "the CA certificate is not self-signed: a root is needed here");
    return 0;
}

int ca_load(struct slice cert_pem, struct slice key_pem, struct ca **ret, struct err *e)
{
    AUTO(ca) *ca = calloc(1, sizeof *ca);
    if (!ca)
        return err_set(e, "no memory for the CA");
    tls_prepare_clock();
    if (read_pem(ca, cert_pem, key_pem, e) < 0 || check_certificate(ca->cert, ca->key, e) < 0 ||
        check_dates(ca, clock_wall_ms() / 1000, e) < 0)
        return -1;
    *ret = TAKE(ca);
    return 0;
}

static int append_bio(BIO *bio, struct buf *out)
{
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    return len > 0 ? buf_append(out, slice_of(text, (size_t)len)) : -1;
}

int ca_cert_pem(const struct ca *ca, struct buf *out, struct err *e)
{
    AUTO_OSSL(BIO) *bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_X509(bio, ca->cert) != 1 || append_bio(bio, out) < 0)
        return tls_err(e, "cannot write the CA certificate as PEM");
    return 0;
}

int ca_key_pem(const struct ca *ca, struct buf *out, struct err *e)
{
    AUTO_OSSL(BIO) *bio = BIO_new(BIO_s_secmem());
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, ca->key, NULL, NULL, 0, tls_no_passphrase, NULL) != 1 ||
        append_bio(bio, out) < 0)
        return tls_err(e, "cannot write the CA key as PEM");
    return 0;
}

/* One hash over a text of our own and a key that nobody can guess: the first keeps this apart from any other
 * use, the second makes it secret. */
int ca_seal_seed(const struct ca *ca, uint8_t ret[ED25519_KEY_BYTES], struct err *e)
{
    enum { SEED_INPUT_BYTES = 64 << 10, SEED_EXPECTED_BYTES = 8 << 10 };
    AUTO_BUF input = BUF_INIT(SEED_INPUT_BYTES);
    _Static_assert((int)SHA256_BYTES == (int)ED25519_KEY_BYTES, "a digest is a seed");
    /* room at once: a buffer that grows leaves what it held behind */
    int result = buf_reserve(&input, SEED_EXPECTED_BYTES) ? buf_append(&input, SLICE("exeat seal key 1\n")) : -1;
    if (result == 0)
        result = ca_key_pem(ca, &input, e);
    if (result == 0)
        result = crypto_sha256(buf_slice(&input), ret);
    if (input.data)
        crypto_wipe(input.data, input.size);
    return result < 0 ? err_set(e, "the CA's key cannot be made into one for seals") : 0;
}

int ca_seal_public(const struct ca *ca, uint8_t ret[ED25519_KEY_BYTES], struct err *e)
{
    uint8_t seed[ED25519_KEY_BYTES], signature[ED25519_SIGNATURE_BYTES];
    if (ca_seal_seed(ca, seed, e) < 0)
        return -1;
    int result = crypto_ed25519_sign(seed, SLICE(""), ret, signature);
    crypto_wipe(seed, sizeof seed);
    return result < 0 ? err_set(e, "no public key for seals") : 0;
}
