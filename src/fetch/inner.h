/* What fetch.c and op.c share. */
#pragma once
#include "base/arena.h"
#include "base/caps.h"
#include "fetch/dial.h"
#include "fetch/fetch.h"
#include "fetch/guard.h"
#include "fetch/pool.h"
#include "fetch/resolve.h"

struct fetch {
    struct loop *loop;
    struct resolver *resolver;
    struct dialler *dialler;
    struct pools pools;
    struct guard_local local;
    struct list ops;

    struct arena settings_memory;
    struct fetch_settings settings; /* everything it points to lies in settings_memory, but trust */
    struct trusted *trusted;        /* of settings.trust */
    uint64_t generation;
};

/* Whether the guard or the list of own listeners forbids to use this address: NULL, or what it is. */
const char *fetch_judge(struct fetch *f, const struct fetch_address *a, enum fetch_word word,
                        const struct fetch_permit *permit);
/* Whether a connection for it goes through upstream.proxy. */
bool fetch_is_proxied(const struct fetch *f, const struct fetch_want *want);

/* The one started first; there is one. */
struct fetch_op *op_first(struct fetch *f);

/* Starts an operation for the pool's host; without memory NULL. */
struct fetch_op *op_start(struct fetch *f, const struct fetch_want *want, fetch_done *done, void *arg);
