/* How often one user may come to `control` (app/control.h), however many connections he has at once: each run
 * that starts, or is refused, writes a record and has a policy compiled, and each record of UDP is his run's
 * own word.  Beyond these rates nothing is written.
 *
 * Of so many users the rates are known; where there are more, the one who came least recently begins anew. */
#pragma once
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CONTROL_STARTS_BURST = 64,
    CONTROL_STARTS_PER_SECOND = 4,
    CONTROL_UDP_BURST = 2048,
    CONTROL_UDP_PER_SECOND = 100,
    CONTROL_RATES_USERS = 1024
};

struct control_rates;

/* NULL without memory. */
MUST_USE struct control_rates *control_rates_new(void);
void control_rates_free(struct control_rates *r); /* NULL is nothing */

/* False: not now, and nothing is taken; also without memory. */
MUST_USE bool control_rates_start(struct control_rates *r, uid_t uid, int64_t now_ns);
MUST_USE bool control_rates_udp(struct control_rates *r, uid_t uid, unsigned records, int64_t now_ns);
