#include "base/ulid.h"

#include "base/crypto.h"

#include <stdlib.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* The last identifier's parts: a second one in the same millisecond counts up from them, so that one
 * draw of randomness serves a burst. */
static _Thread_local struct {
    int64_t ms;
    uint64_t high; /* 16 bits */
    uint64_t low;
} last;

static void draw(int64_t ms)
{
    uint8_t random[10];
    if (crypto_random(random, sizeof random) < 0)
        abort();
    last.ms = ms;
    last.high = (uint64_t)(random[8] & 0x7f) << 8 | random[9]; /* the top bit is room to count up */
    memcpy(&last.low, random, sizeof last.low);
}

void ulid_make(int64_t wall_ms, char ret_text[ULID_BYTES])
{
    if (wall_ms > last.ms)
        draw(wall_ms);
    else if (++last.low == 0)
        last.high++; /* also where the wall clock was set back: order is kept */
    __uint128_t value = (__uint128_t)(uint64_t)last.ms << 80 | (__uint128_t)(last.high & 0xffff) << 64 | last.low;
    for (int i = ULID_CHARS - 1; i >= 0; i--, value >>= 5)
        ret_text[i] = alphabet[(unsigned)value & 31];
    ret_text[ULID_CHARS] = '\0';
}
