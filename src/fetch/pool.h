/* Connections and the pools they rest in: one pool for each (task, scheme, host, port, direct or not).
 *
 * A pool lives as long as something refers to it: each of its connections, idle or in use, and each
 * operation that makes one.  So giving a connection back needs no look-up, and taking one is a hash, a
 * comparison and a list operation; nothing is allocated.  Idle connections are all of the current
 * generation: fetch_configure drops the others.
 */
#pragma once
#include "base/list.h"
#include "fetch/fetch.h"

/* On whose word an address is used. */
enum fetch_word {
    FETCH_WORD_ORIGIN,   /* a name server's, or the client's: the guard judges, the rule may permit */
    FETCH_WORD_OPERATOR, /* upstream.resolve, or the upstream proxy's own: only our listeners are forbidden */
};

struct pool_task;

struct pool {
    struct pool *chain; /* next in the bucket */
    uint64_t hash;
    struct pools *pools;
    struct pool_task *of;
    unsigned refs;
    unsigned idle_count;
    bool proxied; /* its connections go through upstream.proxy */
    struct list idle; /* the last given back last */
    enum http_scheme scheme;
    enum http_host_kind kind;
    uint16_t port;
    struct slice host; /* in text, behind the struct */
    char text[];
};

/* What connections of a task share: the cap on idle ones. */
struct pool_task {
    struct list node;
    uint64_t hash;
    unsigned refs; /* its pools */
    unsigned idle_count;
    struct list idle; /* the oldest first */
    struct slice name;
    char text[];
};

struct pools {
    struct loop *loop;
    int64_t idle_ns;
    struct pool **buckets;
    size_t bucket_count, pool_count; /* buckets: a power of two */
    struct list tasks;
    struct list idle; /* of all tasks, the oldest first */
    unsigned idle_count;
    struct loop_deadline expiry;
};

/* A TLS client side and how many refer to it: connections keep theirs over a change of trust. */
struct trusted {
    struct tls_client *client;
    struct tls_trust *trust;
    unsigned refs;
};
MUST_USE struct trusted *trusted_new(struct tls_trust *trust, struct err *e);
struct trusted *trusted_ref(struct trusted *t);
void trusted_unref(struct trusted *t);

struct conn {
    struct fetch_conn pub;
    char *via;               /* what pub.via points to */
    struct pool *pool;       /* a reference */
    struct trusted *trusted; /* a reference; NULL for http */
    enum fetch_word word;    /* on whose its address was used */
    int64_t idle_since;
    struct list in_pool, in_task, in_all; /* while idle */
};

/* Between owners: wants LOOP_READ, and no event reaches anybody who is gone. */
void fetch_conn_disown(struct conn *c);

/* Takes the descriptor over, also on failure (NULL: no memory). */
MUST_USE struct conn *fetch_conn_new(struct pool *p, int fd, uint64_t generation);
/* Nothing has come since the last message that could be taken for the next one's answer; the loop may not
 * have told yet.  Absorbs tickets. */
bool fetch_conn_is_silent(struct conn *c);
/* `text` (malloc) is taken over: settings go, connections stay.  NULL: it is direct. */
void fetch_conn_set_via(struct conn *c, char *text);
void fetch_conn_close(struct conn *c); /* with close_notify; NULL is nothing */
void fetch_conn_abort(struct conn *c); /* with RST */

MUST_USE int pools_init(struct pools *ps, struct loop *l);
void pools_close_idle(struct pools *ps);
void pools_destroy(struct pools *ps); /* idle connections too */

/* The pool for it, with a reference for the caller, made where there is none; NULL without memory. */
MUST_USE struct pool *pools_open(struct pools *ps, const struct fetch_want *want, bool proxied);
/* The pool for it where there is one, without a reference. */
struct pool *pools_find(const struct pools *ps, const struct fetch_want *want, bool proxied);
struct pool *pool_ref(struct pool *p);
void pool_unref(struct pool *p);

void pool_put(struct conn *c);
/* The connection used last; NULL where none is idle. */
struct conn *pool_take(struct pool *p);
