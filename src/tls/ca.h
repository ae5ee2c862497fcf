/* The certificate authority: an ECDSA P-256 key and a self-signed certificate (RFC 5280).
 *
 * Not thread-safe.  The private key is overwritten when the CA is freed. */
#pragma once
#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"

struct ca;

/* A new CA, valid `days`; its name says which machine and when: "exeat CA host 2026-11-21" (cut to the 64
 * characters that X.520 allows). */
MUST_USE int ca_new(const char *common_name, unsigned days, struct ca **ret, struct err *e);
/* From PEM; refuses a key that is not the certificate's, a certificate that is no CA, or one that has
 * expired. ECDSA or RSA, without a passphrase, self-signed: clients hold this certificate alone. */
MUST_USE int ca_load(struct slice cert_pem, struct slice key_pem, struct ca **ret, struct err *e);
void ca_free(struct ca *ca);
DEFINE_AUTO(ca)

MUST_USE int ca_cert_pem(const struct ca *ca, struct buf *out, struct err *e);
/* PKCS #8.  Whoever calls wipes `out` (crypto_wipe over its data and size) when it has been written. */
MUST_USE int ca_key_pem(const struct ca *ca, struct buf *out, struct err *e);

/* The seed of the key that signs seals (base/seal.h): made from the CA's key, so that it lives and dies with it
 * and needs no file of its own.  Nothing of the CA's key can be learnt from it.  Wipe it after use. */
MUST_USE int ca_seal_seed(const struct ca *ca, uint8_t ret[ED25519_KEY_BYTES], struct err *e);
/* Its public half: with it anybody can check a seal. */
MUST_USE int ca_seal_public(const struct ca *ca, uint8_t ret[ED25519_KEY_BYTES], struct err *e);

/* Whose public key goes into the certificates from now on (DER SubjectPublicKeyInfo, P-256 only).
 * Cheap for a key that was set before: what is prepared for the last few keys is kept. */
MUST_USE int ca_set_leaf(struct ca *ca, struct slice leaf_public, struct err *e);
/* Whether a certificate may be for this: one canonical name or address (tls/name.h), no wildcard. */
bool ca_can_mint(struct slice name);
/* A certificate for exactly this name or address: at most 24 h, never beyond the CA's own end,
 * notBefore a little in the past (clocks differ), random serial, SAN critical-or-not as RFC 5280 says,
 * AKI, SKI, keyUsage digitalSignature, EKU serverAuth.  Appends DER to `out`. */
MUST_USE int ca_mint(struct ca *ca, struct slice name, int64_t now_seconds, struct buf *out, struct err *e);
