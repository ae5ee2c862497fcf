/* A byte queue with a cap: appended at the end, consumed from the start.
 *
 * `max` is set once and never exceeded: an append that would not fit fails and changes nothing.
 * Memory grows by doubling; buf_compact moves what is left to the front when room is needed.
 */
#pragma once
#include "base/slice.h"

struct buf {
    char *data;
    size_t start, end; /* the bytes held are data[start, end) */
    size_t size;       /* allocated */
    size_t max;        /* cap for end - start */
};

#define BUF_INIT(cap) ((struct buf){.max = (cap)})

void buf_free(struct buf *b); /* frees the memory, keeps max: the buffer may be used again */

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->data ? b->data + b->start : NULL, b->end - b->start);
}

static inline size_t buf_space(const struct buf *b)
{
    return b->max - (b->end - b->start);
}

static inline void buf_clear(struct buf *b)
{
    b->start = b->end = 0;
}

static inline void buf_consume(struct buf *b, size_t n)
{
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

/* Makes room for n more bytes and returns where they go; NULL when over the cap or without memory.
 * buf_commit(b, m) with m <= n then makes them part of the queue. */
MUST_USE char *buf_reserve(struct buf *b, size_t n);
static inline void buf_commit(struct buf *b, size_t n)
{
    b->end += n;
}

MUST_USE int buf_append(struct buf *b, struct slice s);
MUST_USE int buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Drops bytes from the end until `len` are left. */
void buf_truncate(struct buf *b, size_t len);
/* Adds a NUL behind the end (not counted) and returns the text; NULL without room. */
MUST_USE const char *buf_cstr(struct buf *b);

static inline void buf_auto_free(struct buf *b)
{
    buf_free(b);
}
#define AUTO_BUF __attribute__((cleanup(buf_auto_free))) struct buf
