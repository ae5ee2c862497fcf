/* The values of a preset's parameters: what stands in rules that somebody else wrote must be plain. */
#include "http/target.h"
#include "policy/preset.h"

enum { VALUE_BYTES = 1000, URL_BYTES = 2 * VALUE_BYTES };

static bool is_plain(char c)
{
    return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("._~-/:@+", c));
}

static int parse_text(struct arena *arena, struct slice text, struct preset_value *ret, struct err *e)
{
    struct slice rest = text, segment;
    for (size_t i = 0; i < text.len; i++)
        if (!is_plain(text.ptr[i]))
            return err_set(e, "it has characters other than letters, digits and . _ ~ - / : @ +");
    while (slice_next(&rest, '/', &segment))
        if (slice_eq(segment, SLICE(".")) || slice_eq(segment, SLICE("..")))
            return err_set(e, "it has \".\" or \"..\" as a part");
    *ret = (struct preset_value){.text = arena_slice(arena, text)};
    return ret->text.ptr ? 0 : err_set(e, "out of memory");
}

/* A bare host means https. */
static struct slice with_scheme(struct arena *arena, struct slice text)
{
    if (memmem(text.ptr, text.len, "://", 3))
        return text;
    return slice_str(arena_printf(arena, "https://%.*s", SLICE_FMT(text)));
}

/* Without what does not count at its end; a path of "/" alone is none. */
static struct slice short_path(const struct preset_parameter *p, struct slice path)
{
    while (slice_ends(path, SLICE("/")))
        path.len--;
    if (p->cut.ptr && path.len > p->cut.len && slice_ends(path, p->cut))
        path.len -= p->cut.len;
    return path;
}

static int fill_pieces(struct arena *arena, const struct preset_parameter *p, const struct http_target *t,
                       struct preset_value *ret, struct err *e)
{
    AUTO_BUF authority = BUF_INIT(URL_BYTES);
    if (http_authority_print(&t->authority, http_scheme_port(t->scheme), &authority) < 0)
        return err_set(e, "it is too long");
    struct slice name = slice_str(http_scheme_name(t->scheme)), path = short_path(p, t->path);
    bool v6 = t->authority.kind == HTTP_HOST_IPV6;
    struct preset_value v = {
        .text = slice_str(arena_printf(arena, "%.*s://%.*s%.*s", SLICE_FMT(name),
                                       SLICE_FMT(buf_slice(&authority)), SLICE_FMT(path))),
        .scheme = name,
        .host = slice_str(arena_printf(arena, v6 ? "[%.*s]" : "%.*s", SLICE_FMT(t->authority.host))),
        .port = slice_str(arena_printf(arena, "%u", t->authority.port)),
        .path = arena_slice(arena, path),
    };
    if (!v.text.ptr || !v.host.ptr || !v.port.ptr || !v.path.ptr)
        return err_set(e, "out of memory");
    *ret = v;
    return 0;
}

static int parse_url(struct arena *arena, const struct preset_parameter *p, struct slice text,
                     struct preset_value *ret, struct err *e)
{
    struct http_target t;
    struct http_problem problem;
    struct slice url = with_scheme(arena, text);
    if (!url.ptr)
        return err_set(e, "out of memory");
    if (http_url_parse(arena, url, &t, &problem) < 0)
        return err_set(e, "%s", problem.detail);
    if (t.has_query)
        return err_set(e, "it has a query");
    if (slice_find(t.path, '*') >= 0 || t.encoded_slash)
        return err_set(e, "its path has a wildcard or an encoded slash");
    return fill_pieces(arena, p, &t, ret, e);
}

int preset_parse_value(struct arena *arena, const struct preset_parameter *p, struct slice text,
                       struct preset_value *ret, struct err *e)
{
    if (text.len == 0 || text.len > VALUE_BYTES)
        return err_set(e, text.len ? "it is too long" : "it is empty");
    return p->kind == PRESET_URL ? parse_url(arena, p, text, ret, e) : parse_text(arena, text, ret, e);
}
