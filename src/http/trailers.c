#include "http/trailers.h"

#include "base/buf.h"
#include "http/fields.h"
#include "http/h1.h"

static const struct slice forbidden[] = {
#define NOT_TRAILING(name) {name, sizeof(name) - 1},
#include "http/trailers.def"
#undef NOT_TRAILING
};

static bool starts_nocase(struct slice name, struct slice prefix)
{
    return slice_eq_nocase(slice_first(name, prefix.len), prefix);
}

static bool may_trail(struct slice name)
{
    if (starts_nocase(name, SLICE("proxy-")) || starts_nocase(name, SLICE("exeat-")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
        if (http_names_alike(name, forbidden[i]))
            return false;
    return !http_header_overrides(name);
}

static int read_section(struct slice section, struct http_headers *h, struct http_problem *problem)
{
    struct http_lines lines = {.rest = section};
    h->count = 0;
    if (section.len == 0)
        return 0;
    int got = http_fields_read(&lines, h, problem);
    if (got == 0) /* the body was read to its end, so this cannot be */
        return http_refuse(problem, HTTP_MALFORMED, "trailers without an end");
    for (unsigned i = 0; i < h->count; i++)
        h->at[i].drop = !may_trail(h->at[i].name);
    return got < 0 ? -1 : 0;
}

int http_trailers_write(struct slice section, struct buf *out, struct http_problem *problem)
{
    struct http_headers h;
    size_t before = buf_len(out);
    if (read_section(section, &h, problem) < 0)
        return -1;
    if (buf_append(out, SLICE("0\r\n")) == 0 && h1_write_fields(out, &h) == 0 &&
        buf_append(out, SLICE("\r\n")) == 0)
        return 0;
    buf_truncate(out, before);
    return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "no room for the trailers");
}
