/* The leaf key of a process and the certificates made for it.
 *
 * One key a process, one signature a host: with OpenSSL 3.0, X509_set_pubkey is most of the cost of a
 * certificate, so the keeper prepares one and changes only name, serial and dates (design: Minting).
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"

struct tls_key; /* ECDSA P-256, never leaves the process that made it */
MUST_USE int tls_key_new(struct tls_key **ret, struct err *e);
void tls_key_free(struct tls_key *k);
DEFINE_AUTO(tls_key)
/* The public half (DER SubjectPublicKeyInfo) that the keeper puts into certificates: at most ret_size
 * bytes, *ret_len of them written. */
MUST_USE int tls_key_public(const struct tls_key *k, uint8_t *ret, size_t ret_size, size_t *ret_len);

struct tls_cert; /* a parsed host certificate; reference-counted */
MUST_USE int tls_cert_from_der(struct slice der, struct tls_cert **ret, struct err *e);
struct tls_cert *tls_cert_ref(struct tls_cert *c);
void tls_cert_free(struct tls_cert *c);
DEFINE_AUTO(tls_cert)
/* notAfter, in Unix seconds. */
int64_t tls_cert_expires(const struct tls_cert *c);
