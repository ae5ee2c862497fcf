/* Bytes both ways between two connections, unseen: what came from one side waits in a bounded buffer until
 * the other has taken it, and meanwhile nothing more is read there.  The end of a side is passed on when all
 * before it has left (shutdown(2)), so that a half-closed connection stays one; an abort is for the caller to
 * pass on.
 *
 * Owns neither descriptors nor watchers: duplex_wants says what to wait for. */
#pragma once
#include "proxy/blocks.h"
#include "proxy/stream.h"

enum duplex_side { DUPLEX_CLIENT, DUPLEX_TARGET, DUPLEX_SIDES };
enum duplex_state {
    DUPLEX_GOES_ON,
    DUPLEX_ENDED, /* both sides have, and all of it was passed on */
    DUPLEX_CUT,   /* one of them was reset, or takes nothing any more */
};

struct duplex {
    struct blocks *blocks; /* where the buffers' memory comes from */
    struct stream stream[DUPLEX_SIDES];
    struct buf from[DUPLEX_SIDES]; /* read there, not yet written to the other side */
    bool ended[DUPLEX_SIDES];      /* it sends nothing more */
    bool passed_on[DUPLEX_SIDES];  /* … which the other side knows */
    uint64_t moved[DUPLEX_SIDES];  /* bytes that came from there and left to the other side */
};

/* Non-blocking descriptors, which stay the caller's. */
void duplex_init(struct duplex *d, struct blocks *blocks, int client, int target);
/* When one of them is ready.  One piece each way: the caller has others to serve. */
MUST_USE enum duplex_state duplex_move(struct duplex *d);
/* What to wait for on that side: enum loop_events. */
int duplex_wants(const struct duplex *d, enum duplex_side s);
/* What it still holds is lost. */
void duplex_clear(struct duplex *d);
