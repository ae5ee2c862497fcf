/* What UDP a jail has tried: asked of its nftables every two seconds and at its end, each destination told
 * once (sandbox/network.h). */
#pragma once
#include "app/ipc.h"
#include "base/lru.h"
#include "loop/loop.h"
#include "sandbox/network.h"

struct udp_watch {
    struct loop_deadline look;
    int nft; /* -1: nobody can say, and every call here does nothing */
    struct lru *seen;
    struct ipc_jail_udp message;
    void (*tell)(void *arg,
                 struct ipc_jail_udp *tried); /* some that are new; `id` is the callee's to fill in */
    void *arg;
};

/* The descriptor stays the caller's, and is good until udp_watch_stop.  `w` must not move. */
MUST_USE int udp_watch_start(struct udp_watch *w, struct loop *loop, int nft,
                             void (*tell)(void *arg, struct ipc_jail_udp *tried), void *arg);
/* Asks once more, and no more.  Safe on a zeroed one. */
void udp_watch_stop(struct udp_watch *w);
