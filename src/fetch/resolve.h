/* Names to addresses, on the loop (c-ares).
 *
 * Absolute names only, A and AAAA, from name servers alone: no search list, no aliases, no hosts file, no
 * environment.  Nothing is cached: an answer serves those who were waiting for it, all of one task.
 */
#pragma once
#include "base/list.h"
#include "fetch/address.h"
#include "loop/loop.h"

struct resolve_answer {
    const char *failure;            /* NULL, or a literal: "no such name" */
    const struct fetch_address *at; /* all of them, port 0; IPv6 first (RFC 8305 4) */
    size_t count;                   /* 0 with a failure, else at least 1 */
};

/* One who waits; lives inside its owner. */
struct resolve_wait {
    struct list node;
    void (*answered)(struct resolve_wait *w, const struct resolve_answer *answer);
};

/* Once a process: what fetch_prepare says of names. */
MUST_USE int resolve_prepare(struct err *e);

struct resolver;
MUST_USE int resolver_new(struct loop *l, struct resolver **ret, struct err *e);
void resolver_free(struct resolver *r); /* nobody is called */
DEFINE_AUTO(resolver)
MUST_USE int resolver_set_servers(struct resolver *r, const char *csv, struct err *e);

/* Calls w->answered once, from the loop, never from within this call.  -1: the task has
 * CAP_LOOKUPS_PER_TASK look-ups under way (given-up ones count until c-ares is done with them, so that
 * asking and cancelling is no way around the cap), or there is no memory. */
MUST_USE int resolver_ask(struct resolver *r, struct slice task, struct slice name, struct resolve_wait *w);
/* w->answered will not be called.  The look-up itself goes on: c-ares can only cancel all at once. */
void resolve_forget(struct resolve_wait *w);
