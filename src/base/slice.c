#include "base/slice.h"

#include <stdlib.h>

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_first(s, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_skip(s, s.len - suffix.len), suffix);
}

ptrdiff_t slice_find(struct slice s, char c)
{
    const char *hit = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return hit ? hit - s.ptr : -1;
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len && is_ows(s.ptr[0]))
        s = slice_skip(s, 1);
    while (s.len && is_ows(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool slice_next(struct slice *rest, char sep, struct slice *ret_part)
{
    if (!rest->ptr)
        return false;
    ptrdiff_t at = slice_find(*rest, sep);
    if (at < 0) {
        *ret_part = *rest;
        *rest = (struct slice){NULL, 0};
    } else {
        *ret_part = slice_first(*rest, (size_t)at);
        *rest = slice_skip(*rest, (size_t)at + 1);
    }
    return true;
}

int slice_to_u64(struct slice s, uint64_t max, uint64_t *ret)
{
    if (s.len == 0)
        return -1;
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return -1;
        value = value * 10 + digit;
        if (value > max)
            return -1;
    }
    *ret = value;
    return 0;
}

char *slice_dup(struct slice s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}
