#include "fetch/pool.h"

#include "base/caps.h"
#include "base/lru.h"

#include <stdlib.h>

enum { FIRST_BUCKETS = 64 };

/* --- keys --- */

static uint64_t hash_want(const struct fetch_want *w, bool proxied)
{
    uint64_t hash = hash_bytes(w->task) * 0x9e3779b97f4a7c15u ^ hash_bytes(w->authority.host);

    return hash ^ ((uint64_t)w->authority.port << 2 | (uint64_t)w->scheme << 1 | proxied) * 0xbf58476d1ce4e5b9u;
}

static struct pool **bucket(const struct pools *ps, uint64_t hash)
{
    return &ps->buckets[(hash ^ hash >> 32) & (ps->bucket_count - 1)];
}

static bool is_for(const struct pool *p, const struct fetch_want *w, bool proxied)
{
    return p->port == w->authority.port && p->scheme == w->scheme && p->proxied == proxied && p->kind == w->authority.kind &&
           slice_eq(p->host, w->authority.host) && slice_eq(p->of->name, w->task);
}

static struct pool *find(const struct pools *ps, const struct fetch_want *want, bool proxied, uint64_t hash)
{
    for (struct pool *p = *bucket(ps, hash); p; p = p->chain)
        if (p->hash == hash && is_for(p, want, proxied))
            return p;
    return NULL;
}

struct pool *pools_find(const struct pools *ps, const struct fetch_want *want, bool proxied)
{
    return find(ps, want, proxied, hash_want(want, proxied));
}

/* --- tasks --- */

static struct pool_task *open_task(struct pools *ps, struct slice name)
{
    uint64_t hash = hash_bytes(name);

    LIST_FOREACH(node, &ps->tasks)
    {
        struct pool_task *t = LIST_ENTRY(node, struct pool_task, node);
        if (t->hash == hash && slice_eq(t->name, name)) {
            t->refs++;
            return t;
        }
    }
    struct pool_task *t = calloc(1, sizeof *t + name.len);
    if (!t)
        return NULL;
    t->hash = hash;
    t->refs = 1;
    if (name.len)
        memcpy(t->text, name.ptr, name.len);
    t->name = slice_of(t->text, name.len);
    list_init(&t->idle);
    list_insert(&ps->tasks, &t->node);
    return t;
}

static void close_task(struct pool_task *t)
{
    if (--t->refs)
        return;
    list_remove(&t->node);
    free(t);
}

/* --- pools --- */

/* A table that cannot grow still works, with longer chains. */
static void grow(struct pools *ps)
{
    struct pools bigger = *ps;

    bigger.bucket_count *= 2;
    bigger.buckets = calloc(bigger.bucket_count, sizeof *bigger.buckets);
    if (!bigger.buckets)
        return;
    for (size_t i = 0; i < ps->bucket_count; i++) {
        for (struct pool *p = ps->buckets[i], *next; p; p = next) {
            next = p->chain;
            p->chain = *bucket(&bigger, p->hash);
            *bucket(&bigger, p->hash) = p;
        }
    }
    free(ps->buckets);
    ps->buckets = bigger.buckets;
    ps->bucket_count = bigger.bucket_count;
}

static struct pool *make(struct pools *ps, const struct fetch_want *want, bool proxied, uint64_t hash)
{
    struct slice host = want->authority.host;
    struct pool *p = calloc(1, sizeof *p + host.len + 1);

    if (!p)
        return NULL;
    p->of = open_task(ps, want->task);
    if (!p->of) {
        free(p);
        return NULL;
    }
    p->pools = ps;
    p->hash = hash;
    p->scheme = want->scheme;
    p->proxied = proxied;
    p->kind = want->authority.kind;
    p->port = want->authority.port;
    memcpy(p->text, host.ptr, host.len);
    p->host = slice_of(p->text, host.len);
    list_init(&p->idle);
    p->chain = *bucket(ps, hash);
    *bucket(ps, hash) = p;
    if (++ps->pool_count > ps->bucket_count)
        grow(ps);
    return p;
}

struct pool *pools_open(struct pools *ps, const struct fetch_want *want, bool proxied)
{
    uint64_t hash = hash_want(want, proxied);
    struct pool *p = find(ps, want, proxied, hash);

    if (!p)
        p = make(ps, want, proxied, hash);
    return p ? pool_ref(p) : NULL;
}

struct pool *pool_ref(struct pool *p)
{
    p->refs++;
    return p;
}

void pool_unref(struct pool *p)
{
    if (!p || --p->refs)
        return;
    struct pool **at = bucket(p->pools, p->hash);
    while (*at != p)
        at = &(*at)->chain;
    *at = p->chain;
    p->pools->pool_count--;
    close_task(p->of);
    free(p);
}

/* --- idle connections --- */

static void leave(struct conn *c)
{
    list_remove(&c->in_pool);
    list_remove(&c->in_task);
    list_remove(&c->in_all);
    c->pool->of->idle_count--;
    c->pool->idle_count--;
    c->pool->pools->idle_count--;
}

static void close_idle(struct conn *c)
{
    leave(c);
    fetch_conn_close(c);
}

/* TLS 1.3 tickets and key updates may come at any time and are no answer to anything; whatever else an
 * origin says unasked (RFC 9112 9.2), the next request must not take for its response. */
static void on_idle(struct loop_io *io, int events)
{
    struct conn *c = CONTAINER_OF(io, struct conn, pub.io);
    char byte;

    (void)events;
    if (!c->pub.tls || tls_read(c->pub.tls, &byte, 1) != TLS_WANT_READ)
        close_idle(c);
}

/* The oldest goes where one of the ceilings is reached, of the narrowest kind first: a host that is asked
 * much costs its own connections, not another's, and a task its own. */
static void make_room(struct pool *p)
{
    if (p->idle_count >= CAP_POOL_IDLE_PER_HOST)
        close_idle(LIST_ENTRY(p->idle.next, struct conn, in_pool));
    else if (p->of->idle_count >= CAP_POOL_IDLE_PER_TASK)
        close_idle(LIST_ENTRY(p->of->idle.next, struct conn, in_task));
    else if (p->pools->idle_count >= CAP_POOL_IDLE)
        close_idle(LIST_ENTRY(p->pools->idle.next, struct conn, in_all));
}

void pool_put(struct conn *c)
{
    struct pools *ps = c->pool->pools;
    struct pool_task *t = c->pool->of;

    make_room(c->pool);
    c->idle_since = loop_now(ps->loop);
    list_insert(&c->pool->idle, &c->in_pool);
    list_insert(&t->idle, &c->in_task);
    list_insert(&ps->idle, &c->in_all);
    t->idle_count++;
    c->pool->idle_count++;
    ps->idle_count++;
    c->pub.reused = true;
    c->pub.io.ready = on_idle;
    loop_io_want(&c->pub.io, LOOP_READ);
    if (!ps->expiry.at)
        loop_deadline_set(&ps->expiry, c->idle_since + ps->idle_ns);
}

struct conn *pool_take(struct pool *p)
{
    if (list_empty(&p->idle))
        return NULL;
    struct conn *c = LIST_ENTRY(p->idle.prev, struct conn, in_pool);
    leave(c);
    fetch_conn_disown(c);
    return c;
}

/* --- all of them --- */

static void expire(struct loop_deadline *d)
{
    struct pools *ps = CONTAINER_OF(d, struct pools, expiry);

    while (!list_empty(&ps->idle)) {
        struct conn *oldest = LIST_ENTRY(ps->idle.next, struct conn, in_all);
        int64_t due = oldest->idle_since + ps->idle_ns;
        if (due > loop_now(ps->loop)) {
            loop_deadline_set(d, due);
            return;
        }
        close_idle(oldest);
    }
}

int pools_init(struct pools *ps, struct loop *l)
{
    *ps = (struct pools){.loop = l, .bucket_count = FIRST_BUCKETS};
    list_init(&ps->tasks);
    list_init(&ps->idle);
    loop_deadline_init(&ps->expiry, l, expire);
    ps->buckets = calloc(ps->bucket_count, sizeof(*ps->buckets));
    return ps->buckets ? 0 : -1;
}

void pools_close_idle(struct pools *ps)
{
    while (!list_empty(&ps->idle))
        close_idle(LIST_ENTRY(ps->idle.next, struct conn, in_all));
}

void pools_destroy(struct pools *ps)
{
    pools_close_idle(ps);
    loop_deadline_clear(&ps->expiry);
    free(ps->buckets);
}
