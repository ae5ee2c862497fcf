/* Time: monotonic for durations, wall for records (clock_gettime(2)). */
#pragma once
#include "base/macros.h"

#include <stdint.h>

enum { CLOCK_RFC3339_BYTES = 25 }; /* 2026-11-21T08:00:00.123Z and a NUL */

int64_t clock_mono_ns(void);
int64_t clock_wall_ms(void);
/* RFC 3339 in UTC with milliseconds. */
void clock_rfc3339(int64_t wall_ms, char ret_text[CLOCK_RFC3339_BYTES]);
