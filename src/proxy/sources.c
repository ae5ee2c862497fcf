#include "proxy/sources.h"

#include "base/lru.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BUCKETS = 4096, V6_PREFIX_BYTES = 8 };

struct source_name {
    uint8_t bytes[17]; /* kind, then the address, its /64, or the user */
};
enum { KIND_V4, KIND_V6, KIND_USER };

struct source {
    struct sources *all;
    struct source *next;
    struct source_name name;
    unsigned connections;
};

struct sources {
    pthread_mutex_t lock;
    struct source *buckets[BUCKETS];
};

struct sources *sources_new(void)
{
    struct sources *s = calloc(1, sizeof *s);
    if (s)
        pthread_mutex_init(&s->lock, NULL);
    return s;
}

void sources_free(struct sources *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (s->buckets[i]) {
            struct source *one = s->buckets[i];
            s->buckets[i] = one->next;
            free(one);
        }
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct source_name name_of(const struct fetch_address *a)
{
    struct source_name name = {{a->family == AF_INET6 ? KIND_V6 : KIND_V4}};
    memcpy(name.bytes + 1, a->bytes, a->family == AF_INET6 ? V6_PREFIX_BYTES : 4);
    return name;
}

static struct source **bucket_of(struct sources *s, const struct source_name *name)
{
    return &s->buckets[hash_bytes(slice_of((const char *)name->bytes, sizeof name->bytes)) % BUCKETS];
}

static struct source *find(struct sources *s, const struct source_name *name)
{
    struct source **bucket = bucket_of(s, name), *one = *bucket;
    while (one && memcmp(&one->name, name, sizeof *name) != 0)
        one = one->next;
    if (one || !(one = calloc(1, sizeof *one)))
        return one;
    *one = (struct source){s, *bucket, *name, 0};
    *bucket = one;
    return one;
}

static struct source *begin(struct sources *s, const struct source_name *name, unsigned limit)
{
    pthread_mutex_lock(&s->lock);
    struct source *one = limit ? find(s, name) : NULL;
    bool fits = one && one->connections < limit;
    if (fits)
        one->connections++;
    pthread_mutex_unlock(&s->lock);
    return fits ? one : NULL;
}

struct source *sources_begin(struct sources *s, const struct fetch_address *peer, unsigned limit)
{
    const struct source_name name = name_of(peer);
    return begin(s, &name, limit);
}

struct source *sources_begin_user(struct sources *s, uint32_t uid, unsigned limit)
{
    struct source_name name = {{KIND_USER}};
    memcpy(name.bytes + 1, &uid, sizeof uid);
    return begin(s, &name, limit);
}

static void drop(struct source *one)
{
    struct source **at = bucket_of(one->all, &one->name);
    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
    free(one);
}

void source_end(struct source *one)
{
    if (!one)
        return;
    struct sources *s = one->all;
    pthread_mutex_lock(&s->lock);
    if (--one->connections == 0)
        drop(one);
    pthread_mutex_unlock(&s->lock);
}
