/* A worker: one thread, one event loop, its own connections, caches and pools.
 *
 * Workers share nothing that a request needs to lock: the snapshot is immutable, the log takes batches.
 */
#pragma once
#include "base/list.h"
#include "http/h1.h"
#include "proxy/blocks.h"
#include "proxy/proxy.h"
#include "proxy/snapshot.h"
#include "proxy/tasks.h"

#include <pthread.h>

struct certs;
struct sources;
struct worker;

struct listener {
    struct loop_io io;
    struct loop_deadline retry; /* after EMFILE: accept again later instead of spinning */
    struct worker *worker;
    struct jail *jail; /* NULL: of the configuration */
    bool capture;      /* connections that were meant for somebody else */
    int fd;
    int ask; /* of a jail: the worker's socket for questions (proxy/client.h) */
};

/* What other threads want of a worker; taken over at its next wake-up. */
struct worker_inbox {
    pthread_mutex_t lock;
    struct proxy_snapshot *snapshot; /* NULL: no new one */
    int keeper;                      /* -1: no new one */
    struct jail_order *jails;        /* newest first */
    bool drain, stop;
};

struct worker {
    unsigned index;
    int keeper; /* until certs has it; -1 then */
    struct proxy *proxy;
    pthread_t thread;
    bool started;

    struct loop *loop;
    struct fetch *fetch;
    struct tls_server *tls;
    struct certs *certs;
    struct audit_port *audit;
    struct audit_log *log;
    struct inflight *inflight;
    struct proxy_snapshot *snapshot;
    int64_t expiry_ms; /* when one of its rules expires next, by the wall clock */
    struct task_table *tasks;
    struct sources *sources;

    struct listener *listeners;
    size_t listener_count;
    struct loop_wake inbox_wake, audit_wake;
    struct loop_deadline tick;
    struct worker_inbox inbox;

    struct list jails;     /* jail_port */
    struct list relays;    /* what is not inspected, a jail each (relay.h) */
    struct list asking;    /* clients that wait for an answer */
    uint64_t asked;        /* questions so far */
    struct list conns;     /* all connections */
    struct list graveyard; /* closed in this turn, freed at its end */
    struct list young;     /* exchanges without an `open` record, oldest first */
    size_t conn_count;
    unsigned ticks;
    unsigned queued; /* records queued and not yet committed in this turn */
    bool draining, drained_said;
    bool log_broken; /* what was said last of the audit log */

    struct blocks blocks;
    /* Heads are parsed here and serialised at once: no connection holds one. */
    struct h1_request request;
    struct h1_response response;
};

/* A listener of this worker; from loop_io_want(&l->io, LOOP_READ) on it accepts. */
void worker_listener_init(struct listener *l, struct worker *w, int fd);
void worker_listener_stop(struct listener *l);
/* Takes in who waits already, then stops: what a jail's programs tried last is on record too. */
void worker_listener_finish(struct listener *l);

MUST_USE int worker_init(struct worker *w, const struct proxy_setup *setup, struct tls_key *leaf, struct err *e);
MUST_USE int worker_start(struct worker *w, struct audit_log *log, struct tls_key *leaf, struct err *e);
/* From any thread: looks into the inbox soon. */
void worker_wake(struct worker *w);
void worker_join_and_free(struct worker *w);
/* In proxy.c: one worker has no connection left. */
void proxy_worker_drained(struct proxy *p);
/* A connection is gone: a drained worker says so when it was the last. */
void worker_conn_gone(struct worker *w);
