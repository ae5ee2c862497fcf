#include "config/suggest.h"

#include <limits.h>

enum { NAME_BYTES = 64 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned suggest_distance(struct slice a, struct slice b)
{
    /* rows i-2, i-1 and i of the table of distances between prefixes */
    unsigned rows[3][NAME_BYTES + 1];
    if (a.len > NAME_BYTES || b.len > NAME_BYTES)
        return UINT_MAX;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *now = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = ascii_lower(a.ptr[i - 1]) == ascii_lower(b.ptr[j - 1]);
            now[j] = least(least(above[j] + 1, now[j - 1] + 1), above[j - 1] + !same);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                now[j] = least(now[j], above2[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

void suggest_consider(struct suggestion *s, const char *name)
{
    struct slice candidate = slice_str(name);
    unsigned distance = suggest_distance(s->typed, candidate);
    size_t longer = s->typed.len > candidate.len ? s->typed.len : candidate.len;
    /* a prefix of the name is meant by it, however short: meth, descr */
    bool prefix = s->typed.len >= 3 && slice_starts(candidate, s->typed);
    if (!prefix && distance > 1 + longer / 3)
        return;
    if (!s->name || distance < s->distance) {
        s->name = name;
        s->distance = distance;
    }
}
