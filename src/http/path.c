/* Canonical paths: http_path_parse and http_pattern_canonical of http/target.h.
 *
 * The path is rewritten segment by segment into a buffer that always holds the canonical form of what
 * was read: escapes are settled byte by byte, dots at the end of each segment. */
#include "base/caps.h"
#include "http/chars.h"
#include "http/target.h"

struct walk {
    struct slice in;
    size_t at;      /* next byte of in */
    char *out;      /* room for the worst case was made (room_needed) */
    size_t len;     /* bytes of out */
    size_t segment; /* where in out the current segment starts */
    bool slash;     /* %2F was seen */
    bool pattern;   /* a policy's text, not a request's */
    struct http_problem *problem;
};

static int refuse(struct walk *w, const char *detail)
{
    return http_refuse(w->problem, HTTP_AMBIGUOUS_TARGET, detail);
}

static void put_escape(struct walk *w, unsigned byte)
{
    static const char digits[] = "0123456789ABCDEF";
    w->out[w->len++] = '%';
    w->out[w->len++] = digits[byte >> 4];
    w->out[w->len++] = digits[byte & 15];
}

/* How many bytes a UTF-8 sequence has that starts with `first`, and which second bytes it may have
 * (RFC 3629 4): overlong forms, surrogates and C1 controls are left out. */
static size_t utf8_shape(unsigned first, unsigned *ret_low, unsigned *ret_high)
{
    *ret_low = first == 0xc2 || first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *ret_high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* The byte at w->at, written as itself (patterns only) or as an escape; -1 where it is neither. */
static int next_high_byte(struct walk *w, size_t *ret_width)
{
    struct slice rest = slice_skip(w->in, w->at);
    if (w->pattern && rest.len > 0 && (uint8_t)rest.ptr[0] >= 0x80) {
        *ret_width = 1;
        return (uint8_t)rest.ptr[0];
    }
    *ret_width = 3;
    return http_escape(rest);
}

/* A whole UTF-8 sequence, so that %C0%AE is never taken for '.' by a lenient decoder behind us. */
static int write_utf8(struct walk *w)
{
    unsigned low = 0x80, high = 0xff;
    size_t left = 1, width;

    for (bool first = true; left > 0; first = false, left--) {
        int byte = next_high_byte(w, &width);
        if (byte < (int)low || byte > (int)high)
            return refuse(w, "escapes in the path that are not valid UTF-8");
        if (first)
            left = utf8_shape((unsigned)byte, &low, &high);
        else
            low = 0x80, high = 0xbf;
        if (left == 0)
            return refuse(w, "escapes in the path that are not valid UTF-8");
        put_escape(w, (unsigned)byte);
        w->at += width;
    }
    return 0;
}

static int write_escape(struct walk *w)
{
    int byte = http_escape(slice_skip(w->in, w->at));
    if (byte < 0)
        return refuse(w, "a percent sign without two hex digits in the path");
    if (byte < 0x20 || byte == 0x7f)
        return refuse(w, "an encoded control character in the path");
    if (byte == '\\')
        return refuse(w, "an encoded backslash in the path");
    if (byte >= 0x80)
        return write_utf8(w);
    if (byte == '/')
        w->slash = true;
    if (http_is((char)byte, CH_UNRESERVED))
        w->out[w->len++] = (char)byte;
    else
        put_escape(w, (unsigned)byte);
    w->at += 3;
    return 0;
}

static int refuse_byte(struct walk *w, char c)
{
    switch (c) {
    case '\\':
        return refuse(w, "a backslash in the path");
    case '#':
        return refuse(w, "a fragment");
    case '?':
        return refuse(w, "a question mark in a path pattern");
    case ' ':
        return refuse(w, "a space in the path");
    default:
        return refuse(w, (uint8_t)c >= 0x80 ? "a byte above 0x7f in the path"
                                            : "a control character in the path");
    }
}

/* Up to the next '/' or the end. */
static int write_segment(struct walk *w)
{
    while (w->at < w->in.len && w->in.ptr[w->at] != '/') {
        char c = w->in.ptr[w->at];
        int r = 0;
        if (http_is(c, CH_PATH)) {
            w->out[w->len++] = c;
            w->at++;
        } else if (c == '%') {
            r = write_escape(w);
        } else if (http_is(c, CH_ESCAPE) || (w->pattern && c == ' ')) {
            put_escape(w, (uint8_t)c);
            w->at++;
        } else {
            r = w->pattern && (uint8_t)c >= 0x80 ? write_utf8(w) : refuse_byte(w, c);
        }
        if (r < 0)
            return -1;
    }
    return 0;
}

static bool is_dots(struct slice s)
{
    return slice_eq(s, SLICE(".")) || slice_eq(s, SLICE(".."));
}

/* Length of a separator that some servers see inside a segment: ';' cuts parameters off (so "..;x" is
 * ".." to them), %2F is a slash to those that decode first. */
static size_t inner_separator(struct slice s)
{
    if (s.ptr[0] == ';')
        return 1;
    return slice_starts(s, SLICE("%3B")) || slice_starts(s, SLICE("%2F")) ? 3 : 0;
}

static bool hides_dots(struct slice segment)
{
    size_t start = 0, at = 0;
    bool split = false;

    while (at < segment.len) {
        size_t skip = inner_separator(slice_skip(segment, at));
        if (skip == 0) {
            at++;
            continue;
        }
        if (is_dots(slice_of(segment.ptr + start, at - start)))
            return true;
        split = true;
        start = at += skip;
    }
    return split && is_dots(slice_skip(segment, start));
}

/* Takes the segment before the current one back (RFC 3986 5.2.4, 2C), but never beyond the root, where
 * the RFC would stay: a client that means it is up to something. */
static int leave_segment(struct walk *w)
{
    if (w->segment <= 1)
        return refuse(w, "dot segments that leave the root");
    size_t start = w->segment - 1;
    while (w->out[start - 1] != '/')
        start--;
    for (size_t i = start; i + 3 <= w->segment; i++)
        if (memcmp(w->out + i, "%2F", 3) == 0)
            return refuse(w, "dot segments behind an encoded slash");
    w->len = start;
    return 0;
}

static int end_segment(struct walk *w)
{
    bool last = w->at == w->in.len;
    struct slice segment = slice_of(w->out + w->segment, w->len - w->segment);

    if (segment.len == 0 && !last)
        return refuse(w, "an empty segment (//) in the path");
    if (hides_dots(segment))
        return refuse(w, "dots beside a parameter or an encoded slash in the path");
    if (is_dots(segment)) {
        if (w->pattern)
            return refuse(w, "a dot segment in a path pattern");
        w->len = w->segment;
        return segment.len == 2 ? leave_segment(w) : 0;
    }
    if (!last)
        w->out[w->len++] = '/';
    return 0;
}

static int walk_segments(struct walk *w)
{
    if (w->in.len > 0 && w->in.ptr[0] == '/')
        w->out[w->len++] = w->in.ptr[w->at++];
    for (;;) {
        w->segment = w->len;
        if (write_segment(w) < 0 || end_segment(w) < 0)
            return -1;
        if (w->at == w->in.len)
            return 0;
        w->at++;
    }
}

/* Nothing that the walk would change or refuse: most paths, and they are not copied. */
static bool is_plain(struct slice path)
{
    char before = '\0';
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c != '/' && !http_is(c, CH_PATH))
            return false;
        if (c == '/' && before == '/')
            return false;
        if (c == '.' && (i == 0 || before == '/' || before == ';'))
            return false;
        before = c;
    }
    return true;
}

static size_t room_needed(struct slice in)
{
    size_t room = in.len;
    for (size_t i = 0; i < in.len; i++)
        if (!http_is(in.ptr[i], CH_PATH))
            room += 2;
    return room;
}

static int canonical(struct arena *arena, struct walk *w)
{
    if (is_plain(w->in)) {
        w->len = w->in.len;
        return 0;
    }
    w->out = arena_alloc(arena, room_needed(w->in));
    if (!w->out)
        return http_refuse(w->problem, HTTP_HEAD_TOO_LARGE, "no memory left for the path");
    return walk_segments(w);
}

static struct slice result(const struct walk *w)
{
    return w->out ? slice_of(w->out, w->len) : w->in;
}

/* The query is kept byte for byte, and judged as these bytes: a lone '%' (`?q=100%`) is what real clients
 * send, and nobody resolves anything in a query. */
static int check_query(struct slice query, struct http_problem *problem)
{
    for (size_t i = 0; i < query.len; i++) {
        if (http_is(query.ptr[i], CH_QUERY))
            continue;
        return http_refuse(problem, HTTP_AMBIGUOUS_TARGET,
                           query.ptr[i] == '#' ? "a fragment"
                                               : "a control, a space or a byte above 0x7f in the query");
    }
    return 0;
}

int http_path_parse(struct arena *arena, struct slice in, struct http_target *ret,
                    struct http_problem *problem)
{
    if (in.len == 0 || in.ptr[0] != '/')
        return http_refuse(problem, HTTP_MALFORMED, "a path that does not start with a slash");
    if (in.len > CAP_TARGET_BYTES)
        return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "a URL that is too long");
    ptrdiff_t mark = slice_find(in, '?');
    size_t path_len = mark < 0 ? in.len : (size_t)mark;
    struct slice query = mark < 0 ? slice_of(NULL, 0) : slice_skip(in, path_len + 1);
    struct walk w = {.in = slice_first(in, path_len), .problem = problem};
    if (check_query(query, problem) < 0 || canonical(arena, &w) < 0)
        return -1;
    if (w.len + (in.len - path_len) > CAP_TARGET_BYTES)
        return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "a URL that is too long in its canonical form");
    ret->path = result(&w);
    ret->query = query;
    ret->has_query = mark >= 0;
    ret->encoded_slash = w.slash;
    return 0;
}

int http_pattern_canonical(struct arena *arena, struct slice in, struct slice *ret,
                           struct http_problem *problem)
{
    struct walk w = {.in = in, .pattern = true, .problem = problem};

    if (in.len > CAP_TARGET_BYTES)
        return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "a path pattern that is too long");
    if (canonical(arena, &w) < 0)
        return -1;
    *ret = result(&w);
    return 0;
}
