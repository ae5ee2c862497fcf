/* How many connections each client address has open, over all workers.
 *
 * An address counts before it has said which task it is, so that nobody can take all descriptors by saying
 * nothing.  IPv6 counts by /64: whoever has one address of it has all.  An address without a connection
 * takes no memory. */
#pragma once
#include "fetch/address.h"

struct sources;
struct source;

MUST_USE struct sources *sources_new(void);
void sources_free(struct sources *s);
/* One connection more; NULL when there are `limit` already, or without memory.  Thread-safe. */
MUST_USE struct source *sources_begin(struct sources *s, const struct fetch_address *peer, unsigned limit);
/* The same for a user of this machine, whose jails are guests (proxy/proxy.h): all of them together. */
MUST_USE struct source *sources_begin_user(struct sources *s, uint32_t uid, unsigned limit);
/* NULL is nothing. */
void source_end(struct source *source);
