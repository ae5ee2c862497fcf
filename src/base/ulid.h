/* Identifiers of 26 characters that sort by time: 48 bits of milliseconds, 80 random bits, in
 * Crockford's base 32 (the ULID format). */
#pragma once
#include "base/macros.h"

#include <stdint.h>

enum { ULID_CHARS = 26, ULID_BYTES = 27 };

/* Of the calling thread: within one millisecond identifiers still ascend.  Aborts without randomness. */
void ulid_make(int64_t wall_ms, char ret_text[ULID_BYTES]);
