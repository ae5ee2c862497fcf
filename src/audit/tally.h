/* What one task's records come to, counted as they are queued: for the end of a run whose log is somebody
 * else's. Any thread. */
#pragma once
#include "audit/audit.h"

#include <stdatomic.h>

struct audit_tally {
    _Atomic uint64_t allowed, blocked, would_block, sent;
    _Atomic uint64_t by_reason[REASON_COUNT]; /* of the blocked */
    _Atomic uint64_t tunnels, tunnels_out, tunnels_in; /* that nobody inspected; bytes */
};

/* Requests, connections and tunnels count, once they are over. */
void audit_tally_add(struct audit_tally *t, const struct audit_event *ev);
