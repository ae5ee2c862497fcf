/* The few cryptographic primitives that are not TLS: hash, randomness, comparison in constant time.
 * The only file of base/ that includes OpenSSL (libcrypto). */
#pragma once
#include "base/slice.h"

enum { SHA256_BYTES = 32, SHA256_HEX = 64 };

/* SHA-256 (FIPS 180-4).  The context is of the calling thread: no allocation after its first use. */
MUST_USE int crypto_sha256(struct slice in, uint8_t ret_digest[SHA256_BYTES]);
/* Lower-case, 2 * len characters and a NUL. */
void crypto_hex(const uint8_t *bytes, size_t len, char *ret_text);
/* The reverse, either case: exactly len bytes. */
MUST_USE int crypto_unhex(struct slice hex, uint8_t *ret, size_t len);
/* Ed25519 (RFC 8032): a seed is the private key.  The public one comes along with the signature. */
enum { ED25519_KEY_BYTES = 32, ED25519_SIGNATURE_BYTES = 64 };
MUST_USE int crypto_ed25519_sign(const uint8_t seed[ED25519_KEY_BYTES], struct slice text,
                                 uint8_t ret_key[ED25519_KEY_BYTES],
                                 uint8_t ret_signature[ED25519_SIGNATURE_BYTES]);
bool crypto_ed25519_verify(const uint8_t key[ED25519_KEY_BYTES], struct slice text,
                           const uint8_t signature[ED25519_SIGNATURE_BYTES]);
MUST_USE int crypto_random(void *ret, size_t len);
/* Takes the same time wherever the first difference is (CRYPTO_memcmp(3)). */
bool crypto_equal(const void *a, const void *b, size_t len);
/* Overwrites in a way that the compiler does not remove (OPENSSL_cleanse(3)). */
void crypto_wipe(void *secret, size_t len);
/* RFC 4648 section 4, strict: padding required, no white space.  ret must hold in.len / 4 * 3 bytes. */
MUST_USE int crypto_base64_decode(struct slice in, char *ret, size_t *ret_len);
