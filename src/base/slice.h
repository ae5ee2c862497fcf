/* A view of bytes that somebody else owns.  Bytes from outside are slices, never C strings,
 * until a parser has judged them. */
#pragma once
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr; /* not NUL-terminated; may be NULL when len is 0 */
    size_t len;
};

#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})
/* printf("%.*s", SLICE_FMT(s)): only for text already known to be printable. */
#define SLICE_FMT(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct slice slice_of(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline struct slice slice_skip(struct slice s, size_t n)
{
    if (n > s.len)
        n = s.len;
    return n ? slice_of(s.ptr + n, s.len - n) : s; /* NULL + 0 is not defined in C */
}

static inline struct slice slice_first(struct slice s, size_t n)
{
    return slice_of(s.ptr, n < s.len ? n : s.len);
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ASCII only, whatever the locale. */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
/* Index of the first c, or -1. */
ptrdiff_t slice_find(struct slice s, char c);
/* Without spaces and tabs at both ends (OWS, RFC 9110 5.6.3). */
struct slice slice_trim(struct slice s);
/* Cuts the part before the first `sep` off *rest (all of it where there is none).
 * Returns false when nothing was left: while (slice_next(&rest, ',', &part)) … */
bool slice_next(struct slice *rest, char sep, struct slice *ret_part);

/* Decimal digits only: no sign, no space, no overflow.  -1 when it is anything else or above max. */
MUST_USE int slice_to_u64(struct slice s, uint64_t max, uint64_t *ret);

/* A heap copy with a NUL at the end; NULL without memory. */
MUST_USE char *slice_dup(struct slice s);
