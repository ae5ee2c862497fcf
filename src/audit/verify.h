/* Is a log's chain whole?  Each record must follow from the one before it: numbers without a gap, each
 * `prev` the hash of the line before.  Where the first ones are gone, a `checkpoint` record must say that
 * rotation dropped them.  What this cannot see is a tail that was cut off whole, or a change to the very
 * last record: for that, compare with a head that was noted elsewhere.
 *
 * A seal must be signed by one of `keys` and name a record that is there with its hash. */
#pragma once
#include "audit/reader.h"
#include "base/seal.h"

/* Keys that may have signed seals; none: any may have, and which one is said. */
enum { VERIFY_KEYS_MAX = 64 };
struct verify_keys {
    uint8_t at[VERIFY_KEYS_MAX][ED25519_KEY_BYTES];
    size_t count;
};

struct log_verdict {
    uint64_t first_seq, last_seq, records; /* of the whole part */
    char hash[SHA256_HEX + 1];             /* of its last record; "" where the chain is broken */
    unsigned files;
    uint64_t seals;      /* that hold */
    struct seal sealed;  /* the last of them: everything up to its seq is sealed; seq 0: nothing is */
    bool broken;
    struct log_place place; /* of the first break */
    char problem[300];      /* what is wrong there: one line */
};

/* Reads all.  -1 only where the log cannot be read; a broken chain is a result.  With head_seq, the record
 * of that number must be there and have head_hash (lower-case hex). */
MUST_USE int log_verify(struct log_reader *r, uint64_t head_seq, const char *head_hash,
                        const struct verify_keys *keys, struct log_verdict *ret, struct err *e);
