/* The in-flight table: what was on its way when a proxy was killed.
 *
 * A memfd of fixed slots, mapped by the proxy and held by the supervisor.  A worker notes an exchange at
 * the verdict and clears the slot when the record is written; slots that are still set when the proxy
 * has died become records with `outcome: interrupted` (design: Audit log).  A slot is one worker's at a
 * time: no lock, a release store of its state last.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"

struct inflight; /* a mapping of the table */
struct inflight_slot;

/* Creates the memfd (supervisor); the descriptor is the caller's.  A memfd is a file to RLIMIT_FSIZE:
 * where that is too low for all slots there are as many as it allows, and an error below a handful. */
MUST_USE int inflight_create(unsigned slots, struct err *e);
MUST_USE int inflight_map(int fd, struct inflight **ret, struct err *e);
void inflight_free(struct inflight *t);
DEFINE_AUTO(inflight)

/* A free slot with the exchange in it; NULL when the table is full (the request is then refused).
 * Thread-safe. */
MUST_USE struct inflight_slot *inflight_note(struct inflight *t, const char *id, const char *task,
                                             struct slice method, struct slice url);
void inflight_sent(struct inflight_slot *s, uint64_t sent, uint64_t received);
void inflight_clear(struct inflight_slot *s);

/* What a slot says. */
struct inflight_entry {
    char id[27], task[64], method[32], url[2048];
    int64_t wall_ms;
    uint64_t sent, received;
};
/* Calls `each` for every slot that is set, checks every field (the process that wrote them may be
 * hostile), and clears them. */
void inflight_recover(struct inflight *t, void (*each)(void *arg, const struct inflight_entry *entry),
                      void *arg);
