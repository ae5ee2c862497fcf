/* A seal: the keeper's word that at some time a chain of the audit log ended in this record.
 *
 * The chain shows edits to whoever knows its last hash; a seal, signed by a key that the log's writer does
 * not have, is such a hash that cannot be made up afterwards.  What is signed is exactly this text, which no
 * other use of the key could produce:
 *
 *     exeat seal 1\nCHAIN\nSEQ\nHASH\nTIME_MS\n
 *
 * Signatures are Ed25519 (RFC 8032). */
#pragma once
#include "base/crypto.h"

enum { SEAL_CHAIN_BYTES = 64 };

struct seal {
    char chain[SEAL_CHAIN_BYTES]; /* the run that wrote it: letters, digits, '.', '_' and '-' */
    uint64_t seq;                 /* of the last record that it covers */
    char hash[SHA256_HEX + 1];    /* of that record, lower-case hex */
    int64_t time_ms;              /* the keeper's wall clock */
    uint8_t key[ED25519_KEY_BYTES], signature[ED25519_SIGNATURE_BYTES];
};

/* Whether chain, seq and hash are what may be sealed. */
bool seal_is_claim(const struct seal *s);
/* Fills key and signature.  -1: not a claim. */
MUST_USE int seal_sign(const uint8_t seed[ED25519_KEY_BYTES], struct seal *s);
/* Whether `key` has signed it. */
bool seal_holds(const struct seal *s);
