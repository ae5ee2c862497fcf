/* Who judges and records what a run's jail sends: a proxy of its own (run_own.c), or a daemon's
 * (run_guest.c).
 *
 * Started before the jail, so that its CA is known; ready by `await`; told of the jail by `add`.  From then
 * on it may be lost at any time, and then the jail has to end at once. */
#pragma once
#include "app/run.h"
#include "app/run_publish.h"
#include "app/run_summary.h"
#include "app/trustfiles.h"
#include "config/problems.h"
#include "loop/loop.h"
#include "sandbox/network.h"

/* What it works with; lives as long as it. */
struct run_serving {
    struct loop *loop;
    const struct run_options *o;
    const char *id, *state, *log; /* log: of a proxy of our own, where nothing else is written */
    const char *private;          /* a folder of this run, for the trust files */
    const char *note;             /* of the jail, for the start record */
    problem_report *report;       /* of every error in a file */
    void (*lost)(void *arg, const char *why);
    void (*ended)(void *arg); /* once: all is on record, or never will be */
    void *arg;
};

/* For the end of a summary. */
struct run_head {
    const char *log, *run, *seal_key; /* run: what records of it say */
    uint64_t seq;
    char hash[65];
};

struct run_server;
struct run_server_kind {
    MUST_USE int (*await)(struct run_server *s, struct err *e);
    /* The descriptors of `n` are taken over. */
    MUST_USE int (*add)(struct run_server *s, struct network *n, const struct policy_jail *jail,
                        struct err *e);
    void (*publish)(struct run_server *s, struct run_publish *p, int control);
    void (*remove)(struct run_server *s);         /* the jail is no more */
    void (*stop)(struct run_server *s, bool now); /* after `remove`; then `ended` */
    MUST_USE int (*summary)(struct run_server *s, struct run_summary *ret, struct run_head *ret_head,
                            struct err *e);
    void (*free)(struct run_server *s);
};

struct run_server {
    const struct run_server_kind *kind;
    struct run_serving with;
    const char *state, *log; /* no jail may reach them */
    const struct trustfiles *trust;
    bool monitor; /* what is not allowed leaves all the same */
};

MUST_USE int run_own_start(const struct run_serving *with, struct run_server **ret, struct err *e);
/* o->daemon: the socket. */
MUST_USE int run_guest_start(const struct run_serving *with, struct run_server **ret, struct err *e);
