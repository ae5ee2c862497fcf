/* The chain: each line of the log names its number and the hash of the line before it.
 *
 * A record is made as a body (event.h), everything but `v`, `seq` and `prev`.  Chaining puts these around
 * it, so that a line is {"v":1,"seq":N,BODY,"prev":"H"} and a newline.  H is the lower-case hex SHA-256 of
 * the previous line without its newline, 64 zeros for the first.  Pure: bytes in, bytes out.
 */
#pragma once
#include "base/buf.h"
#include "base/crypto.h"

enum { CHAIN_OVERHEAD = 128 }; /* what a line has besides its body, at most */

struct chain {
    uint64_t seq;              /* of the last line; 0 before the first */
    char hash[SHA256_HEX + 1]; /* of the last line */
};

void chain_start(struct chain *c);
/* Appends one line to out and moves on; without room or without a hash both stay as they were. */
MUST_USE int chain_append(struct chain *c, struct slice body, struct buf *out);

/* Reads back what chain_append wrote, `line` without its newline: -1 where it has another shape. */
MUST_USE int chain_parse(struct slice line, uint64_t *ret_seq, struct slice *ret_prev);
/* The hash of a line, lower-case hex. */
MUST_USE int chain_hash(struct slice line, char ret_hash[SHA256_HEX + 1]);
