/* Whole URLs, read and printed; the parts are authority.c and path.c. */
#include "http/target.h"

#include "base/buf.h"

static const struct {
    const char *name;
    uint16_t port;
} schemes[] = {
    [HTTP_SCHEME_HTTP] = {"http", 80},
    [HTTP_SCHEME_HTTPS] = {"https", 443},
};

const char *http_scheme_name(enum http_scheme s)
{
    return schemes[s].name;
}

uint16_t http_scheme_port(enum http_scheme s)
{
    return schemes[s].port;
}

/* Cuts "scheme://" off the front (RFC 3986 3.1: the scheme's case does not matter). */
static int read_scheme(struct slice *in, enum http_scheme *ret, struct http_problem *problem)
{
    ptrdiff_t colon = slice_find(*in, ':');
    if (colon < 0)
        return http_refuse(problem, HTTP_MALFORMED, "a URL without a scheme");
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!slice_eq_nocase(slice_first(*in, (size_t)colon), slice_str(schemes[i].name)))
            continue;
        struct slice rest = slice_skip(*in, (size_t)colon);
        if (!slice_starts(rest, SLICE("://")))
            return http_refuse(problem, HTTP_AMBIGUOUS_TARGET, "a URL without // after its scheme");
        *in = slice_skip(rest, 3);
        *ret = (enum http_scheme)i;
        return 0;
    }
    return http_refuse(problem, HTTP_MALFORMED, "a URL whose scheme is neither http nor https");
}

/* Where the authority ends (RFC 3986 3.2). */
static size_t authority_length(struct slice in)
{
    size_t i = 0;
    while (i < in.len && in.ptr[i] != '/' && in.ptr[i] != '?' && in.ptr[i] != '#')
        i++;
    return i;
}

/* What follows the authority, with the '/' that an empty path stands for (RFC 9110 4.2.3). */
static int with_slash(struct arena *arena, struct slice in, struct slice *ret, struct http_problem *problem)
{
    if (in.len == 0) {
        *ret = SLICE("/");
        return 0;
    }
    if (in.ptr[0] == '#')
        return http_refuse(problem, HTTP_AMBIGUOUS_TARGET, "a fragment");
    if (in.ptr[0] == '/') {
        *ret = in;
        return 0;
    }
    char *copy = arena_alloc(arena, in.len + 1);
    if (!copy)
        return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "no memory left for the URL");
    copy[0] = '/';
    memcpy(copy + 1, in.ptr, in.len);
    *ret = slice_of(copy, in.len + 1);
    return 0;
}

int http_url_parse(struct arena *arena, struct slice in, struct http_target *ret,
                   struct http_problem *problem)
{
    struct http_target t = {0};
    struct slice rest = in, path;

    if (read_scheme(&rest, &t.scheme, problem) < 0)
        return -1;
    size_t len = authority_length(rest);
    if (http_authority_parse(arena, slice_first(rest, len), http_scheme_port(t.scheme), &t.authority,
                             problem) < 0 ||
        with_slash(arena, slice_skip(rest, len), &path, problem) < 0 ||
        http_path_parse(arena, path, &t, problem) < 0)
        return -1;
    *ret = t;
    return 0;
}

/* OPTIONS * is written as the URL with an empty path (RFC 9112 3.2.4). */
static struct slice printed_path(const struct http_target *t)
{
    return slice_eq(t->path, SLICE("*")) ? SLICE("") : t->path;
}

int http_target_print(const struct http_target *t, struct buf *out)
{
    size_t before = buf_len(out);

    if (buf_append(out, slice_str(http_scheme_name(t->scheme))) == 0 && buf_append(out, SLICE("://")) == 0 &&
        http_authority_print(&t->authority, http_scheme_port(t->scheme), out) == 0 &&
        buf_append(out, printed_path(t)) == 0 &&
        (!t->has_query || (buf_append(out, SLICE("?")) == 0 && buf_append(out, t->query) == 0)))
        return 0;
    buf_truncate(out, before);
    return -1;
}
