#include "http/framing.h"

#include "http/chars.h"

static int refuse(struct http_problem *problem, const char *detail)
{
    return http_refuse(problem, HTTP_AMBIGUOUS_FRAMING, detail);
}

static bool is_framing(enum http_header_id id)
{
    return id == HTTP_H_CONTENT_LENGTH || id == HTTP_H_TRANSFER_ENCODING;
}

static int refuse_second(enum http_header_id id, struct http_problem *problem)
{
    switch (id) {
    case HTTP_H_CONTENT_LENGTH:
        return refuse(problem, "a second Content-Length header");
    case HTTP_H_TRANSFER_ENCODING:
        return refuse(problem, "a second Transfer-Encoding header");
    case HTTP_H_HOST:
        return http_refuse(problem, HTTP_AMBIGUOUS_TARGET, "a second Host header");
    default:
        return http_refuse(problem, HTTP_MALFORMED, "a second line of a header that may stand once");
    }
}

/* Origins do send a second Content-Type; only what decides where their answer ends must be unique.  Of their
 * Content-Length read_length says more. */
static bool stands_once(enum http_header_id id, bool request)
{
    return request ? http_header_flags(id) & HTTP_HF_SINGLETON : id == HTTP_H_TRANSFER_ENCODING;
}

static int check_singletons(const struct http_headers *h, bool request, struct http_problem *problem)
{
    uint64_t seen = 0;
    _Static_assert(HTTP_H_COUNT <= 64, "one bit for each known name");

    for (unsigned i = 0; i < h->count; i++) {
        enum http_header_id id = h->at[i].id;
        bool once = stands_once(id, request);
        if (once && seen >> id & 1)
            return refuse_second(id, problem);
        seen |= UINT64_C(1) << id;
    }
    return 0;
}

/* "content_length" and its like; other names with underscores are only unusual. */
static bool is_framing_lookalike(struct slice name)
{
    char dashed[32];
    if (name.len > sizeof dashed || slice_find(name, '_') < 0)
        return false;
    for (size_t i = 0; i < name.len; i++)
        dashed[i] = name.ptr[i] == '_' ? '-' : name.ptr[i];
    return is_framing(http_header_id_of(slice_of(dashed, name.len)));
}

static int check_lookalikes(const struct http_headers *h, struct http_problem *problem)
{
    for (unsigned i = 0; i < h->count; i++)
        if (h->at[i].id == HTTP_H_OTHER && is_framing_lookalike(h->at[i].name))
            return refuse(problem, "a framing header written with an underscore");
    return 0;
}

static int take_length(struct slice text, struct http_framing *f, struct http_problem *problem)
{
    uint64_t length;
    if (slice_to_u64(text, INT64_MAX, &length) < 0)
        return refuse(problem, "a Content-Length that is not a plain number");
    if (f->has_length && f->length != length)
        return refuse(problem, "two different Content-Lengths");
    f->has_length = true;
    f->length = length;
    return 0;
}

/* Of a response also "5, 5", or two lines of 5: RFC 9112 6.3 lets a recipient take the same one twice for one,
 * and it is written once. */
static int read_length(const struct http_headers *h, bool request, struct http_framing *f,
                       struct http_problem *problem)
{
    for (unsigned i = 0; i < h->count; i++) {
        if (h->at[i].id != HTTP_H_CONTENT_LENGTH)
            continue;
        struct slice rest = h->at[i].value, one;
        if (request || rest.len == 0) {
            if (take_length(rest, f, problem) < 0)
                return -1;
            continue;
        }
        while (slice_next(&rest, ',', &one))
            if (take_length(slice_trim(one), f, problem) < 0)
                return -1;
    }
    return 0;
}

static int read_coding(const struct http_headers *h, unsigned minor, struct http_framing *f,
                       struct http_problem *problem)
{
    const struct http_header *field = http_headers_find(h, HTTP_H_TRANSFER_ENCODING);
    if (!field)
        return 0;
    if (f->has_length)
        return refuse(problem, "both Content-Length and Transfer-Encoding");
    if (minor == 0)
        return refuse(problem, "Transfer-Encoding in HTTP/1.0");
    if (!slice_eq_nocase(field->value, SLICE("chunked")))
        return refuse(problem, "a Transfer-Encoding other than chunked");
    f->chunked = true;
    return 0;
}

static void drop_named(struct http_headers *h, struct slice name)
{
    for (unsigned i = 0; i < h->count; i++)
        if (slice_eq_nocase(h->at[i].name, name))
            h->at[i].drop = true;
}

static int take_option(struct http_headers *h, struct slice option, struct http_framing *f,
                       struct http_problem *problem)
{
    if (option.len == 0) /* "a,,b": RFC 9110 5.6.1.2 */
        return 0;
    if (!http_all(option, CH_TOKEN))
        return http_refuse(problem, HTTP_MALFORMED, "a Connection option that is not a token");
    if (slice_eq_nocase(option, SLICE("close")))
        f->close = true;
    else if (slice_eq_nocase(option, SLICE("keep-alive")))
        f->keep_alive = true;
    else if (slice_eq_nocase(option, SLICE("upgrade")))
        f->upgrade = true;
    else if (http_header_flags(http_header_id_of(option)) & HTTP_HF_END_TO_END)
        return refuse(problem, "a Connection header that names a field of the message");
    else
        drop_named(h, option);
    return 0;
}

/* A hundred options over a hundred fields are cheap; sixty thousand would not be. */
enum { OPTIONS_MAX = 64 };

static int read_connection(struct http_headers *h, struct http_framing *f, struct http_problem *problem)
{
    unsigned options = 0;
    for (unsigned i = 0; i < h->count; i++) {
        if (h->at[i].id != HTTP_H_CONNECTION)
            continue;
        struct slice rest = h->at[i].value, option;
        while (slice_next(&rest, ',', &option)) {
            if (options++ == OPTIONS_MAX)
                return http_refuse(problem, HTTP_MALFORMED, "more Connection options than are taken");
            if (take_option(h, slice_trim(option), f, problem) < 0)
                return -1;
        }
    }
    return 0;
}

int http_framing_read(struct http_headers *h, bool request, unsigned minor, struct http_framing *ret,
                      struct http_problem *problem)
{
    struct http_framing f = {0};

    if (check_singletons(h, request, problem) < 0 || check_lookalikes(h, problem) < 0 ||
        read_length(h, request, &f, problem) < 0 || read_coding(h, minor, &f, problem) < 0 ||
        read_connection(h, &f, problem) < 0)
        return -1;
    if (!f.chunked)
        drop_named(h, SLICE("trailer")); /* it announces what cannot come */
    *ret = f;
    return 0;
}
