#include "base/lru.h"

#include "base/crypto.h"
#include "base/list.h"

#include <pthread.h>
#include <stdlib.h>

struct entry {
    struct entry *chain; /* next in the bucket */
    struct list age;     /* oldest first */
    uint64_t hash;
    void *value;
    size_t key_len;
    char key[];
};

struct lru {
    struct list ages;
    size_t count, capacity, mask;
    void (*drop)(void *value);
    struct entry *buckets[];
};

static uint64_t seed[2];
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    if (crypto_random(seed, sizeof seed) < 0)
        abort(); /* without randomness nothing else in the process is safe either */
    seed[0] |= 1;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t wide = (__uint128_t)a * b;
    return (uint64_t)wide ^ (uint64_t)(wide >> 64);
}

uint64_t hash_bytes(struct slice s)
{
    pthread_once(&seeded, make_seed);
    uint64_t hash = seed[0] ^ s.len;
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.ptr + i, 8);
        hash = mix(hash ^ word, seed[1] ^ 0x9e3779b97f4a7c15u);
    }
    uint64_t tail = 0;
    if (s.len >= 8)
        memcpy(&tail, s.ptr + s.len - 8, 8); /* read twice in part: cheaper than a branch on the length */
    else if (s.len)
        memcpy(&tail, s.ptr, s.len);
    return mix(hash ^ tail, seed[1] ^ 0xbf58476d1ce4e5b9u);
}

struct lru *lru_new(size_t capacity, void (*drop)(void *value))
{
    size_t buckets = 16;
    while (buckets < capacity)
        buckets *= 2;
    struct lru *l = calloc(1, sizeof *l + buckets * sizeof l->buckets[0]);
    if (!l)
        return NULL;
    l->capacity = capacity;
    l->mask = buckets - 1;
    l->drop = drop;
    list_init(&l->ages);
    return l;
}

static struct entry **find(struct lru *l, struct slice key, uint64_t hash)
{
    struct entry **at = &l->buckets[hash & l->mask];
    for (; *at; at = &(*at)->chain)
        if ((*at)->hash == hash && slice_eq(slice_of((*at)->key, (*at)->key_len), key))
            break;
    return at;
}

static void unlink_entry(struct lru *l, struct entry **at)
{
    struct entry *e = *at;
    *at = e->chain;
    list_remove(&e->age);
    l->count--;
    if (l->drop)
        l->drop(e->value);
    free(e);
}

static void evict_oldest(struct lru *l)
{
    struct entry *e = LIST_ENTRY(l->ages.next, struct entry, age);
    unlink_entry(l, find(l, slice_of(e->key, e->key_len), e->hash));
}

void lru_clear(struct lru *l)
{
    while (l->count)
        evict_oldest(l);
}

void lru_free(struct lru *l)
{
    if (!l)
        return;
    lru_clear(l);
    free(l);
}

void *lru_get(struct lru *l, struct slice key)
{
    struct entry *e = *find(l, key, hash_bytes(key));
    if (!e)
        return NULL;
    list_remove(&e->age);
    list_insert(&l->ages, &e->age);
    return e->value;
}

int lru_put(struct lru *l, struct slice key, void *value)
{
    uint64_t hash = hash_bytes(key);
    struct entry **at = find(l, key, hash);
    if (*at)
        unlink_entry(l, at);
    struct entry *e = l->capacity ? malloc(sizeof *e + key.len) : NULL;
    if (!e) {
        if (l->drop)
            l->drop(value);
        return -1;
    }
    if (l->count == l->capacity)
        evict_oldest(l);
    *e =
        (struct entry){.chain = l->buckets[hash & l->mask], .hash = hash, .value = value, .key_len = key.len};
    memcpy(e->key, key.ptr, key.len);
    l->buckets[hash & l->mask] = e;
    list_insert(&l->ages, &e->age);
    l->count++;
    return 0;
}

void lru_remove(struct lru *l, struct slice key)
{
    struct entry **at = find(l, key, hash_bytes(key));
    if (*at)
        unlink_entry(l, at);
}
