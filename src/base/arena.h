/* Memory with one lifetime: allocated piece by piece, freed at once.
 *
 * One for a policy snapshot, one for an HTTP exchange.  `limit` caps the total, so that hostile
 * input cannot make it grow without end; an allocation over it returns NULL.
 */
#pragma once
#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used;  /* bytes handed out */
    size_t limit; /* cap for used */
};

#define ARENA_INIT(cap) ((struct arena){.limit = (cap)})

void arena_free(struct arena *a);

/* Zeroed, aligned for any type; NULL over the limit or without memory. */
MUST_USE void *arena_alloc(struct arena *a, size_t size);
/* NULL also where n * size overflows. */
MUST_USE void *arena_array(struct arena *a, size_t n, size_t size);
#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))

/* A copy with a NUL behind it (not counted in len); ptr is NULL on failure. */
MUST_USE struct slice arena_slice(struct arena *a, struct slice s);
MUST_USE char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
