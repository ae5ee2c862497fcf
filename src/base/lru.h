/* A bounded map from byte strings to pointers; when it is full, the entry used least recently goes.
 *
 * Keys are hashed with a seed of the process (hostile names cannot make buckets long).
 * The map copies keys and owns values: `drop` is called once for each value that leaves it,
 * by eviction, replacement, lru_remove or lru_free.  Not thread-safe: one a worker.
 */
#pragma once
#include "base/slice.h"

struct lru;

MUST_USE struct lru *lru_new(size_t capacity, void (*drop)(void *value));
void lru_clear(struct lru *l);
void lru_free(struct lru *l);
DEFINE_AUTO(lru)

/* The value, now the most recently used one; NULL where there is none. */
void *lru_get(struct lru *l, struct slice key);
/* Takes the value over, also on failure (then it is dropped). */
MUST_USE int lru_put(struct lru *l, struct slice key, void *value);
void lru_remove(struct lru *l, struct slice key);

/* The process's seeded hash (SipHash-like quality is not needed: the seed is secret and per process). */
uint64_t hash_bytes(struct slice s);
