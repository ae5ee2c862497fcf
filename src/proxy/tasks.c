#include "proxy/tasks.h"

#include "base/lru.h"
#include "base/rate.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKETS = 1024 };
static const int64_t second_ns = 1000000000, day_ns = 86400ll * 1000000000;

struct task_table {
    pthread_mutex_t lock;
    struct task_state *buckets[BUCKETS];
};

struct task_table *task_table_new(void)
{
    struct task_table *t = calloc(1, sizeof *t);
    if (t)
        pthread_mutex_init(&t->lock, NULL);
    return t;
}

void task_table_free(struct task_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (t->buckets[i]) {
            struct task_state *s = t->buckets[i];
            t->buckets[i] = s->next;
            free(s);
        }
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct task_state *add(struct task_state **bucket, struct slice name)
{
    struct task_state *s = calloc(1, sizeof *s + name.len + 1);
    if (!s)
        return NULL;
    memcpy(s->name, name.ptr, name.len);
    s->next = *bucket;
    s->payer = s;
    *bucket = s;
    return s;
}

static struct task_state **bucket_of(struct task_table *t, struct slice name)
{
    return &t->buckets[hash_bytes(name) % BUCKETS];
}

static struct task_state *find_or_add(struct task_table *t, struct slice name)
{
    struct task_state **bucket = bucket_of(t, name), *s = *bucket;
    while (s && !slice_eq(slice_str(s->name), name))
        s = s->next;
    return s ? s : add(bucket, name);
}

struct task_state *task_table_get(struct task_table *t, struct slice name)
{
    pthread_mutex_lock(&t->lock);
    struct task_state *s = find_or_add(t, name);
    if (s)
        s->lasting = true;
    pthread_mutex_unlock(&t->lock);
    return s;
}

/* A payer stays: who could have it forgotten would have a full budget with each task. */
struct task_state *task_table_hold(struct task_table *t, struct slice name, struct slice payer)
{
    pthread_mutex_lock(&t->lock);
    struct task_state *p = payer.len ? find_or_add(t, payer) : NULL;
    struct task_state *s = p || !payer.len ? find_or_add(t, name) : NULL;
    if (p)
        p->lasting = true;
    if (s) {
        s->holders++;
        if (p && s->payer != p) /* a new one: nobody reads it yet */
            s->payer = p;
    }
    pthread_mutex_unlock(&t->lock);
    return s;
}

/* What is left to be said of it keeps it: task_table_take_unrecorded lets it go then. */
static bool is_over(const struct task_state *s)
{
    return s->holders == 0 && !s->lasting && atomic_load(&s->unrecorded) == 0;
}

static void remove_at(struct task_state **at)
{
    struct task_state *s = *at;
    *at = s->next;
    free(s);
}

void task_table_release(struct task_table *t, struct task_state *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&t->lock);
    s->holders--;
    if (is_over(s)) {
        struct task_state **at = bucket_of(t, slice_str(s->name));
        while (*at != s)
            at = &(*at)->next;
        remove_at(at);
    }
    pthread_mutex_unlock(&t->lock);
}

bool task_connection_begin(struct task_state *s, unsigned limit)
{
    if (atomic_fetch_add(&s->connections, 1) < limit)
        return true;
    atomic_fetch_sub(&s->connections, 1);
    return false;
}

void task_connection_end(struct task_state *s)
{
    atomic_fetch_sub(&s->connections, 1);
}

bool task_blocked_cert(struct task_state *s, int64_t now_ns)
{
    const int64_t cost = second_ns / BLOCKED_CERT_PER_SECOND;
    return rate_take(&s->payer->blocked_certs_at, now_ns, cost, cost * BLOCKED_CERT_BURST);
}

bool task_blocked_record(struct task_state *s, int64_t now_ns)
{
    const int64_t cost = second_ns / BLOCKED_RECORDS_PER_SECOND;
    return rate_take(&s->payer->blocked_records_at, now_ns, cost, cost * BLOCKED_RECORD_BURST);
}

bool task_may_note(struct task_state *s, int64_t now_ns)
{
    if (!s || task_blocked_record(s, now_ns))
        return true;
    atomic_fetch_add_explicit(&s->unrecorded, 1, memory_order_relaxed);
    return false;
}

bool task_record(struct task_state *s, int64_t now_ns, uint64_t bytes, uint64_t per_day)
{
    if (per_day == 0)
        return true;
    double cost = (double)bytes / (double)per_day * (double)day_ns;
    return cost < (double)day_ns && rate_take(&s->payer->records_at, now_ns, (int64_t)cost, day_ns);
}

void task_table_take_unrecorded(struct task_table *t,
                                void (*each)(void *arg, const char *name, uint64_t count), void *arg)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct task_state **at = &t->buckets[i]; *at;) {
            struct task_state *s = *at;
            uint64_t count = atomic_load_explicit(&s->unrecorded, memory_order_relaxed);
            if (count && (count = atomic_exchange(&s->unrecorded, 0)) > 0)
                each(arg, s->name, count);
            if (is_over(s))
                remove_at(at);
            else
                at = &s->next;
        }
    }
    pthread_mutex_unlock(&t->lock);
}
