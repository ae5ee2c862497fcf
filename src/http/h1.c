/* Heads of requests and responses: start lines here, fields and framing beside. */
#include "http/h1.h"

#include "http/chars.h"
#include "http/fields.h"
#include "http/framing.h"

static int malformed(struct http_problem *problem, const char *detail)
{
    return http_refuse(problem, HTTP_MALFORMED, detail);
}

/* Exactly "HTTP/1.0" or "HTTP/1.1" (RFC 9112 2.3); the name is case-sensitive. */
static int read_version(struct slice text, unsigned *ret_minor, struct http_problem *problem)
{
    bool shaped = text.len == 8 && slice_starts(text, SLICE("HTTP/")) && text.ptr[6] == '.' &&
                  text.ptr[5] >= '0' && text.ptr[5] <= '9' && text.ptr[7] >= '0' && text.ptr[7] <= '9';
    if (!shaped)
        return malformed(problem, "a start line that is not of HTTP");
    if (text.ptr[5] != '1' || text.ptr[7] > '1')
        return http_refuse(problem, HTTP_BAD_VERSION, "a version other than HTTP/1.0 and HTTP/1.1");
    *ret_minor = (unsigned)(text.ptr[7] - '0');
    return 0;
}

static int check_method(struct slice method, struct http_problem *problem)
{
    if (method.len == 0)
        return malformed(problem, "a request line that starts with no method");
    if (!http_all(slice_first(method, CAP_METHOD_BYTES), CH_TOKEN))
        return malformed(problem, "a method that is not a token");
    if (method.len > CAP_METHOD_BYTES)
        return malformed(problem, "a method that is too long");
    return 0;
}

/* Bytes that no start line has, wherever they stand; the rest of the target is http/target.h's matter. */
static int check_line_bytes(struct slice line, struct http_problem *problem)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '\0' || line.ptr[i] == '\r' || line.ptr[i] == '\t')
            return malformed(problem, "a control character in the request line");
    return 0;
}

static int read_form(struct slice method, struct slice target, enum h1_form *ret,
                     struct http_problem *problem)
{
    if (slice_eq(method, SLICE("CONNECT")))
        *ret = H1_FORM_AUTHORITY;
    else if (target.ptr[0] == '/')
        *ret = H1_FORM_ORIGIN;
    else if (slice_eq(target, SLICE("*")) && slice_eq(method, SLICE("OPTIONS")))
        *ret = H1_FORM_ASTERISK;
    else if (slice_find(target, ':') > 0 &&
             slice_starts(slice_skip(target, (size_t)slice_find(target, ':')), SLICE("://")))
        *ret = H1_FORM_ABSOLUTE;
    else
        return malformed(problem, "a target that is neither a path nor a URL");
    return 0;
}

/* method SP target SP version (RFC 9112 3), with single spaces only. */
static int read_request_line(struct slice line, struct h1_request *r, struct http_problem *problem)
{
    struct slice rest = line, method, target;

    if (check_line_bytes(line, problem) < 0)
        return -1;
    slice_next(&rest, ' ', &method);
    if (check_method(method, problem) < 0)
        return -1;
    if (!slice_next(&rest, ' ', &target) || target.len == 0)
        return malformed(problem, "a request line without a target");
    if (!rest.ptr)
        return http_refuse(problem, HTTP_BAD_VERSION, "a request line without a version");
    if (read_version(rest, &r->minor, problem) < 0 || read_form(method, target, &r->form, problem) < 0)
        return -1;
    r->method = method;
    r->target = target;
    return 0;
}

/* A request line whose end has not come: what no request starts with is refused at once. */
static int check_unfinished_request(struct slice line, struct http_problem *problem)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0)
        return 0;
    ptrdiff_t space = slice_find(line, ' ');
    struct slice method = slice_first(line, space < 0 ? line.len : (size_t)space);
    return check_method(method, problem) < 0 ? -1 : check_line_bytes(line, problem);
}

static int check_host(const struct h1_request *r, struct http_problem *problem)
{
    const struct http_header *host = http_headers_find(&r->headers, HTTP_H_HOST);
    if (!host)
        return r->minor == 0 ? 0 : malformed(problem, "no Host header");
    if (host->value.len == 0)
        return malformed(problem, "an empty Host header");
    for (size_t i = 0; i < host->value.len; i++) {
        char c = host->value.ptr[i];
        if (c == ',' || c == ' ' || c == '\t')
            return http_refuse(problem, HTTP_AMBIGUOUS_TARGET, "a Host header with several values");
    }
    return 0;
}

static int settle_request(struct h1_request *r, struct http_problem *problem)
{
    struct http_framing f;

    if (http_framing_read(&r->headers, true, r->minor, &f, problem) < 0 || check_host(r, problem) < 0)
        return -1;
    if (r->form == H1_FORM_AUTHORITY && (f.chunked || f.length > 0))
        return http_refuse(problem, HTTP_AMBIGUOUS_FRAMING, "a CONNECT request with a body");
    r->framing = f.chunked ? H1_BODY_CHUNKED : f.length > 0 ? H1_BODY_LENGTH : H1_BODY_NONE;
    r->length = f.length;
    r->keep_alive = !f.close && (r->minor == 1 || f.keep_alive);
    r->upgrade = f.upgrade || http_headers_find(&r->headers, HTTP_H_UPGRADE);
    /* RFC 9110 10.1.1: ignored in HTTP/1.0, and nothing to continue with where there is no body */
    r->expect_continue = r->minor == 1 && r->framing != H1_BODY_NONE &&
                         http_headers_has_token(&r->headers, HTTP_H_EXPECT, SLICE("100-continue"));
    return 0;
}

static int read_request(struct http_lines *l, struct h1_request *r, struct http_problem *problem)
{
    struct slice line;

    if (slice_starts(l->rest, SLICE("\r\n"))) {
        l->rest = slice_skip(l->rest, 2);
        l->taken = 2;
    }
    int got = http_lines_next(l, &line, problem);
    if (got < 0)
        return -1;
    if (got == 0)
        return check_unfinished_request(l->rest, problem);
    if (read_request_line(line, r, problem) < 0)
        return -1;
    got = http_fields_read(l, &r->headers, problem);
    if (got > 0 && settle_request(r, problem) < 0)
        return -1;
    return got;
}

/* version SP status [SP reason] (RFC 9112 4); servers that leave out the last space exist. */
static int read_status_line(struct slice line, struct h1_response *r, struct http_problem *problem)
{
    if (read_version(slice_first(line, 8), &r->minor, problem) < 0)
        return -1;
    struct slice rest = slice_skip(line, 8);
    uint64_t status;
    if (rest.len < 4 || rest.ptr[0] != ' ' || slice_to_u64(slice_of(rest.ptr + 1, 3), 999, &status) < 0 ||
        status < 100)
        return malformed(problem, "a status that is not of three digits");
    rest = slice_skip(rest, 4);
    if (rest.len > 0 && rest.ptr[0] != ' ')
        return malformed(problem, "a status that is not of three digits");
    r->reason_phrase = slice_skip(rest, 1);
    if (!http_value_ok(r->reason_phrase))
        return malformed(problem, "a control character in the status line");
    r->status = (unsigned)status;
    return 0;
}

static int check_unfinished_status(struct slice line, struct http_problem *problem)
{
    struct slice start = SLICE("HTTP/");
    return slice_starts(line, slice_first(start, line.len))
               ? 0
               : malformed(problem, "a start line that is not of HTTP");
}

/* RFC 9112 6.3, 1 and 2: no body whatever the fields say. */
static bool has_no_body(const struct h1_response *r, struct slice method)
{
    return r->status < 200 || r->status == 204 || r->status == 304 || slice_eq(method, SLICE("HEAD")) ||
           (r->status < 300 && slice_eq(method, SLICE("CONNECT")));
}

static int settle_response(struct h1_response *r, struct slice method, struct http_problem *problem)
{
    struct http_framing f;

    if (http_framing_read(&r->headers, false, r->minor, &f, problem) < 0)
        return -1;
    /* RFC 9112 6.1 and RFC 9110 8.6 forbid both; a body that we do not expect would be read as the next
     * response on this connection. */
    if ((r->status < 200 || r->status == 204) && (f.chunked || f.length > 0))
        return http_refuse(problem, HTTP_AMBIGUOUS_FRAMING, "a body announced by a status that has none");
    if (has_no_body(r, method) || (f.has_length && f.length == 0))
        r->framing = H1_BODY_NONE;
    else if (f.chunked)
        r->framing = H1_BODY_CHUNKED;
    else
        r->framing = f.has_length ? H1_BODY_LENGTH : H1_BODY_CLOSE;
    r->length = r->framing == H1_BODY_LENGTH ? f.length : 0;
    r->has_length = f.has_length;
    r->says = f.length;
    r->keep_alive = r->framing != H1_BODY_CLOSE && !f.close && (r->minor == 1 || f.keep_alive);
    return 0;
}

/* An origin that writes Exeat-Reason would speak in our name. */
static void drop_ours(struct http_headers *h)
{
    for (unsigned i = 0; i < h->count; i++)
        if (h->at[i].name.len >= 6 && slice_eq_nocase(slice_first(h->at[i].name, 6), SLICE("exeat-")))
            h->at[i].drop = true;
}

static int read_response(struct http_lines *l, struct slice method, struct h1_response *r,
                         struct http_problem *problem)
{
    struct slice line;
    int got = http_lines_next(l, &line, problem);

    if (got < 0)
        return -1;
    if (got == 0)
        return check_unfinished_status(l->rest, problem);
    if (read_status_line(line, r, problem) < 0)
        return -1;
    got = http_fields_read(l, &r->headers, problem);
    if (got <= 0)
        return got;
    drop_ours(&r->headers);
    return settle_response(r, method, problem) < 0 ? -1 : 1;
}

/* Of the list, only what is filled: all of it is 5 KiB. */
static void copy_headers(struct http_headers *to, const struct http_headers *from)
{
    memcpy(to->at, from->at, from->count * sizeof from->at[0]);
    to->count = from->count;
}

static int unfinished(struct slice in, size_t max_head, struct http_problem *problem)
{
    return in.len < max_head ? 0 : http_refuse(problem, HTTP_HEAD_TOO_LARGE, "a head that is too large");
}

int h1_parse_request(struct slice in, size_t max_head, struct h1_request *ret, size_t *ret_consumed,
                     struct http_problem *problem)
{
    struct http_lines lines = {.rest = slice_first(in, max_head)};
    struct h1_request r;

    r.headers.count = 0;
    int got = read_request(&lines, &r, problem);
    if (got < 0)
        return -1;
    if (got == 0)
        return unfinished(in, max_head, problem);
    copy_headers(&ret->headers, &r.headers);
    ret->method = r.method;
    ret->target = r.target;
    ret->form = r.form;
    ret->minor = r.minor;
    ret->framing = r.framing;
    ret->length = r.length;
    ret->keep_alive = r.keep_alive;
    ret->expect_continue = r.expect_continue;
    ret->upgrade = r.upgrade;
    *ret_consumed = lines.taken;
    return 1;
}

int h1_parse_response(struct slice in, size_t max_head, struct slice method, struct h1_response *ret,
                      size_t *ret_consumed, struct http_problem *problem)
{
    struct http_lines lines = {.rest = slice_first(in, max_head)};
    struct h1_response r;

    r.headers.count = 0;
    int got = read_response(&lines, method, &r, problem);
    if (got < 0)
        return -1;
    if (got == 0)
        return unfinished(in, max_head, problem);
    copy_headers(&ret->headers, &r.headers);
    ret->status = r.status;
    ret->minor = r.minor;
    ret->reason_phrase = r.reason_phrase;
    ret->framing = r.framing;
    ret->length = r.length;
    ret->has_length = r.has_length;
    ret->says = r.says;
    ret->keep_alive = r.keep_alive;
    *ret_consumed = lines.taken;
    return 1;
}
