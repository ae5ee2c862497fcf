/* The audit log's line to the keeper: one socket of its own, so that a seal never waits behind certificates,
 * nor they behind it.  Used by the log's own thread; a new keeper may come at any time from another. */
#pragma once
#include "base/err.h"
#include "base/seal.h"

struct sealer;

/* Takes the socket over. */
MUST_USE int sealer_new(int keeper, struct sealer **ret, struct err *e);
void sealer_free(struct sealer *s);
DEFINE_AUTO(sealer)
void sealer_set_keeper(struct sealer *s, int keeper);
/* Fills in what the keeper says of the claim; waits at most a second.  -1: no keeper, or it would not. */
MUST_USE int sealer_ask(void *sealer, struct seal *claim);
