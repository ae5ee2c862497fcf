#include "proxy/tasks.h"

#include "base/lru.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKETS = 1024 };

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
    *bucket = s;
    return s;
}

struct task_state *task_table_get(struct task_table *t, struct slice name)
{
    struct task_state **bucket = &t->buckets[hash_bytes(name) % BUCKETS];
    pthread_mutex_lock(&t->lock);
    struct task_state *s = *bucket;
    while (s && !slice_eq(slice_str(s->name), name))
        s = s->next;
    if (!s)
        s = add(bucket, name);
    pthread_mutex_unlock(&t->lock);
    return s;
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

/* Generic cell rate algorithm: the stored time moves one interval for each certificate and may run
 * ahead of the clock by the burst. */
bool task_blocked_cert(struct task_state *s, int64_t now_ns)
{
    const int64_t interval = 1000000000ll / BLOCKED_CERT_PER_SECOND;
    int64_t at = atomic_load(&s->blocked_certs_at), next;
    do {
        next = (at > now_ns ? at : now_ns) + interval;
        if (next - now_ns > interval * BLOCKED_CERT_BURST)
            return false;
    } while (!atomic_compare_exchange_weak(&s->blocked_certs_at, &at, next));
    return true;
}
