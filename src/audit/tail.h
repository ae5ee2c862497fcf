/* The end of a log file: its last whole record, and what a crash left behind it. */
#pragma once
#include "audit/chain.h"
#include "base/err.h"

enum { TAIL_START_BYTES = 200 };

struct tail {
    uint64_t first_seq; /* of the file's first record; 0 where it has no whole line */
    struct chain last;  /* seq 0 where it has no whole line */
    size_t unfinished;  /* bytes behind the last newline */
    char unfinished_hash[SHA256_HEX + 1];
    char start[TAIL_START_BYTES]; /* how they begin */
    size_t start_len;
};

/* Reads `size` bytes' end and start.  Errors: the last line is no record, does not follow from the one
 * before it, or the unfinished bytes cannot be a piece of one (then the file is not ours to cut). */
MUST_USE int tail_read(int fd, const char *name, uint64_t size, struct tail *ret, struct err *e);
