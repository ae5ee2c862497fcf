#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST = 256 };

void buf_free(struct buf *b)
{
    free(b->data);
    *b = BUF_INIT(b->max);
}

static int grow(struct buf *b, size_t need)
{
    size_t size = b->size ? b->size : SMALLEST;
    while (size < need)
        size *= 2;
    if (size > b->max + 1)
        size = b->max + 1; /* one for buf_cstr's NUL */
    char *data = realloc(b->data, size);
    if (!data)
        return -1;
    b->data = data;
    b->size = size;
    return 0;
}

char *buf_reserve(struct buf *b, size_t n)
{
    size_t len = buf_len(b);
    if (n > b->max || len > b->max - n)
        return NULL;
    if (b->size >= b->end && b->size - b->end >= n && b->data)
        return b->data + b->end;
    if (b->start > 0) {
        memmove(b->data, b->data + b->start, len);
        b->start = 0;
        b->end = len;
    }
    if ((!b->data || b->size - b->end < n) && grow(b, len + n) < 0)
        return NULL;
    return b->data + b->end;
}

int buf_append(struct buf *b, struct slice s)
{
    if (s.len == 0)
        return 0;
    char *to = buf_reserve(b, s.len);
    if (!to)
        return -1;
    memcpy(to, s.ptr, s.len);
    buf_commit(b, s.len);
    return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *to = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (to) {
        vsnprintf(to, (size_t)n + 1, fmt, again);
        buf_commit(b, (size_t)n);
    }
    va_end(again);
    return to ? 0 : -1;
}

void buf_truncate(struct buf *b, size_t len)
{
    if (len < buf_len(b))
        b->end = b->start + len;
}

const char *buf_cstr(struct buf *b)
{
    size_t max = b->max++;
    char *to = buf_reserve(b, 1);
    b->max = max;
    if (!to)
        return NULL;
    *to = '\0';
    return b->data + b->start;
}
