/* What the files of tls/ know of each other's objects.  OpenSSL's types stay in here. */
#pragma once
#include "tls/ca.h"
#include "tls/cert.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdatomic.h>

/* An OpenSSL object freed on every exit: AUTO_OSSL(X509) *cert = …; */
#define DEFINE_AUTO_OSSL(type, release)                                                                      \
    static inline void type##_auto_ossl(type **p)                                                            \
    {                                                                                                        \
        release(*p);                                                                                         \
    }
#define AUTO_OSSL(type) __attribute__((cleanup(type##_auto_ossl))) type

DEFINE_AUTO_OSSL(BIGNUM, BN_free)
DEFINE_AUTO_OSSL(BIO, BIO_free)
DEFINE_AUTO_OSSL(EVP_PKEY, EVP_PKEY_free)
DEFINE_AUTO_OSSL(X509, X509_free)
DEFINE_AUTO_OSSL(X509_NAME, X509_NAME_free)

/* err_set with OpenSSL's own reason at the end; empties OpenSSL's error queue. */
int tls_err(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* For PEM readers: without it OpenSSL would ask for a passphrase on the terminal. */
int tls_no_passphrase(char *buffer, int size, int writing, void *arg);

/* How names are written: "O=…, CN=…" in ASCII with everything else escaped, since they may be hostile. */
#define TLS_NAME_FORMAT (ASN1_STRFLGS_RFC2253 | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN)

/* --- certificates (cert.c) --- */

/* What SSL_CTX_set_tlsext_ticket_keys(3) takes: a name, an AES and an HMAC key. */
enum { TLS_TICKET_KEY_BYTES = 80 };

struct tls_key {
    EVP_PKEY *pkey;
    /* Tickets made by one worker are taken by all workers of the process, and by no other process. */
    uint8_t ticket_keys[TLS_TICKET_KEY_BYTES];
};

struct tls_cert {
    atomic_uint refs;
    X509 *x509;
    int64_t expires;
};

/* --- the CA (ca.c, mint.c) --- */

struct prepared; /* a certificate for one leaf key that lacks name, serial and dates */

struct ca {
    EVP_PKEY *key;
    X509 *cert;
    int64_t not_after;
    struct prepared *prepared; /* the leaf keys met, the one in use first */
};

void prepared_free_all(struct prepared *p);

/* OpenSSL's gmtime_r(3) opens /etc/localtime at its first call: that is to be before the process locks itself
 * in, so whatever is made at start calls this. */
void tls_prepare_clock(void);

/* Unix seconds; -1 where the field cannot be read. */
MUST_USE int x509_seconds(const ASN1_TIME *t, int64_t *ret);
/* 128 random bits, positive and not zero (RFC 5280 4.1.2.2 asks for at most 20 octets). */
MUST_USE int x509_set_random_serial(X509 *x);
/* Seconds in years up to 2049 as UTCTime, later as GeneralizedTime (RFC 5280 4.1.2.5). */
MUST_USE int x509_set_dates(X509 *x, int64_t not_before, int64_t not_after);
/* A well-known extension from its text form (x509v3_config(5)); constants of ours only. */
MUST_USE int x509_add_extension(X509 *x, X509 *issuer, int nid, const char *value);
