#include "policy/glob.h"

static bool is_stars(struct slice segment)
{
    return slice_eq(segment, SLICE("**"));
}

const char *glob_check(struct slice pattern)
{
    if (pattern.len == 0 || pattern.ptr[0] != '/')
        return "a path starts with \"/\"";
    if (pattern.len > CAP_GLOB_BYTES)
        return "the path is too long";
    struct slice rest = slice_skip(pattern, 1), segment;
    while (slice_next(&rest, '/', &segment))
        for (size_t i = 0; i + 1 < segment.len; i++)
            if (segment.ptr[i] == '*' && segment.ptr[i + 1] == '*' && !is_stars(segment))
                return "`**` must be a whole segment, as in \"/a/**/b\"";
    return NULL;
}

static bool same(char pattern, char text, bool fold)
{
    return pattern == (fold ? ascii_lower(text) : text);
}

/* On a mismatch the last `*` takes one character more; an earlier one need never be tried again. */
bool glob_match_segment(struct slice pattern, struct slice text, bool fold)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_t = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            star_t = t;
        } else if (p < pattern.len && same(pattern.ptr[p], text.ptr[t], fold)) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

/* The same over segments with `**`; a rest whose ptr is NULL is at its end. */
bool glob_match(struct slice pattern, struct slice path, bool fold)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return false;
    struct slice p = slice_skip(pattern, 1), t = slice_skip(path, 1);
    struct slice stars_p = p, stars_t = t, p_next, t_next, want, have;
    bool stars = false;
    while (t.ptr) {
        p_next = p;
        t_next = t;
        bool more = slice_next(&p_next, '/', &want);
        slice_next(&t_next, '/', &have);
        if (more && is_stars(want)) {
            stars = true;
            stars_p = p = p_next;
            stars_t = t;
        } else if (more && glob_match_segment(want, have, fold)) {
            p = p_next;
            t = t_next;
        } else if (stars) {
            slice_next(&stars_t, '/', &have);
            t = stars_t;
            p = stars_p;
        } else {
            return false;
        }
    }
    while (slice_next(&p, '/', &want))
        if (!is_stars(want))
            return false;
    return true;
}

/* --- patterns against patterns --- */

enum { COVER_SEGMENTS = 64 };

/* The segments behind the first slash; COVER_SEGMENTS + 1 where there are more. */
static size_t split(struct slice pattern, struct slice ret[COVER_SEGMENTS])
{
    struct slice rest = slice_skip(pattern, 1), segment;
    size_t n = 0;
    while (slice_next(&rest, '/', &segment)) {
        if (n == COVER_SEGMENTS)
            return COVER_SEGMENTS + 1;
        ret[n++] = segment;
    }
    return n;
}

/* A `*` of the narrow one is like any character: only a `*` of the wide one can take it, and then takes all that
 * it may stand for. */
static bool covers_segment(struct slice wide, struct slice narrow)
{
    return !is_stars(narrow) && glob_match_segment(wide, narrow, false);
}

/* From the end: fits[j] tells whether wide[i…] covers narrow[j…]. */
bool glob_covers(struct slice wide, struct slice narrow)
{
    struct slice w[COVER_SEGMENTS], n[COVER_SEGMENTS];
    bool fits[COVER_SEGMENTS + 1] = {false}, next[COVER_SEGMENTS + 1];
    size_t wide_count = split(wide, w), count = split(narrow, n);
    if (wide_count > COVER_SEGMENTS || count > COVER_SEGMENTS)
        return false;
    fits[count] = true;
    for (size_t i = wide_count; i-- > 0;) {
        memcpy(next, fits, sizeof next);
        for (size_t j = count + 1; j-- > 0;)
            fits[j] = is_stars(w[i]) ? next[j] || (j < count && fits[j + 1])
                                     : j < count && covers_segment(w[i], n[j]) && next[j + 1];
    }
    return fits[0];
}
