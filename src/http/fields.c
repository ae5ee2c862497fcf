#include "http/fields.h"

#include "http/chars.h"

static int refuse(struct http_problem *problem, const char *detail)
{
    return http_refuse(problem, HTTP_MALFORMED, detail);
}

int http_lines_next(struct http_lines *l, struct slice *ret_line, struct http_problem *problem)
{
    ptrdiff_t end = slice_find(l->rest, '\n');
    if (end < 0) {
        ptrdiff_t cr = slice_find(l->rest, '\r');
        if (cr >= 0 && (size_t)cr + 1 < l->rest.len)
            return refuse(problem, "a carriage return that ends no line");
        return 0;
    }
    if (end == 0 || l->rest.ptr[end - 1] != '\r')
        return refuse(problem, "a line that ends in a bare line feed");
    *ret_line = slice_first(l->rest, (size_t)end - 1);
    l->rest = slice_skip(l->rest, (size_t)end + 1);
    l->taken += (size_t)end + 1;
    return 1;
}

/* Whether one of eight bytes may be a control; sometimes true for a tab or a byte above 0x7f, never false
 * for a control. */
static bool maybe_control(const char *eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t x, del;

    memcpy(&x, eight, sizeof x);
    del = x ^ ones * 0x7f;
    return (((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & tops;
}

bool http_value_ok(struct slice value)
{
    for (; value.len >= 8; value = slice_skip(value, 8))
        if (maybe_control(value.ptr) && !http_all(slice_first(value, 8), CH_VALUE))
            return false;
    return http_all(value, CH_VALUE);
}

static int check_name(struct slice name, struct http_problem *problem)
{
    if (name.len == 0)
        return refuse(problem, "a header line without a name");
    if (http_all(name, CH_TOKEN))
        return 0;
    char last = name.ptr[name.len - 1];
    return refuse(problem, last == ' ' || last == '\t' ? "a space between a header name and its colon"
                                                       : "a header name that is not a token");
}

static int check_value(struct slice value, struct http_problem *problem)
{
    return http_value_ok(value) ? 0 : refuse(problem, "a control character in a header");
}

/* A line that starts with white space continued the one before it in old HTTP (obs-fold, RFC 9112 5.2);
 * some readers still join them, others do not. */
static int check_fold(struct slice line, struct http_problem *problem)
{
    return line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t')
               ? refuse(problem, "a header line that starts with a space")
               : 0;
}

static int read_field(struct slice line, struct http_header *ret, struct http_problem *problem)
{
    ptrdiff_t colon = slice_find(line, ':');
    if (check_fold(line, problem) < 0)
        return -1;
    if (colon < 0)
        return refuse(problem, "a header line without a colon");
    struct slice name = slice_first(line, (size_t)colon), value = slice_skip(line, (size_t)colon + 1);
    if (check_name(name, problem) < 0 || check_value(value, problem) < 0)
        return -1;
    enum http_header_id id = http_header_id_of(name);
    *ret = (struct http_header){
        .name = name,
        .value = slice_trim(value),
        .id = id,
        .drop = http_header_flags(id) & HTTP_HF_HOP,
    };
    return 0;
}

/* What can be said of a line whose end has not come: bad bytes need not wait for it. */
static int check_unfinished(struct slice line, struct http_problem *problem)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0)
        return 0;
    ptrdiff_t colon = slice_find(line, ':');
    struct slice name = slice_first(line, colon < 0 ? line.len : (size_t)colon);
    if (check_fold(line, problem) < 0)
        return -1;
    if (colon >= 0)
        return check_name(name, problem) < 0 ? -1 : check_value(slice_skip(line, (size_t)colon), problem);
    return http_all(name, CH_TOKEN) ? 0 : check_name(name, problem);
}

int http_fields_read(struct http_lines *l, struct http_headers *h, struct http_problem *problem)
{
    struct slice line;
    int r;

    while ((r = http_lines_next(l, &line, problem)) > 0) {
        if (line.len == 0)
            return 1;
        if (h->count == CAP_HEADERS)
            return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "more header lines than are taken");
        if (read_field(line, &h->at[h->count], problem) < 0)
            return -1;
        h->count++;
    }
    return r < 0 ? -1 : check_unfinished(l->rest, problem);
}
