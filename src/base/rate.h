/* So much at once, and so much more each second: a token bucket in one number.
 *
 * `*bucket` is the time, in nanoseconds, at which it will be full again: it moves by what is taken, and may
 * run ahead of the clock by the burst (generic cell rate algorithm, ITU-T I.371).  Zero is a full one.  What
 * takes `cost_ns` fits where the bucket then lies no more than `burst_ns` ahead; else nothing is taken.
 * Lock-free; any thread. */
#pragma once
#include "base/macros.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

MUST_USE bool rate_take(_Atomic int64_t *bucket, int64_t now_ns, int64_t cost_ns, int64_t burst_ns);
