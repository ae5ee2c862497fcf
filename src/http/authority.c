/* Hosts and ports: http_authority_* of http/target.h. */
#include "base/buf.h"
#include "base/caps.h"
#include "http/address.h"
#include "http/chars.h"
#include "http/target.h"

/* "[host]:65535" */
enum { AUTHORITY_MAX = CAP_HOST_BYTES + 1 + 2 + 6 };

struct parts {
    struct slice host; /* without brackets */
    struct slice port; /* with its colon; empty where there is none */
    bool bracketed;
};

static int refuse_target(struct http_problem *problem, const char *detail)
{
    return http_refuse(problem, HTTP_AMBIGUOUS_TARGET, detail);
}

static int refuse_malformed(struct http_problem *problem, const char *detail)
{
    return http_refuse(problem, HTTP_MALFORMED, detail);
}

/* A byte that no host has: the readings that attackers hope for are named, the rest is one sentence. */
static int refuse_host_byte(char c, struct http_problem *problem)
{
    if ((uint8_t)c >= 0x80)
        return refuse_target(problem, "a byte above 0x7f in the host (A-labels only)");
    switch (c) {
    case '%':
        return refuse_target(problem, "a percent-escape in the host");
    case '\\':
        return refuse_target(problem, "a backslash in the host");
    case ',':
        return refuse_target(problem, "several hosts in one field");
    case '#':
    case '?':
    case '/':
        return refuse_target(problem, "more than a host and a port in the authority");
    default:
        return refuse_malformed(problem, "a character in the host that no host name has");
    }
}

static int split(struct slice in, struct parts *ret, struct http_problem *problem)
{
    if (in.len == 0)
        return refuse_malformed(problem, "an empty host");
    if (in.len > AUTHORITY_MAX)
        return refuse_malformed(problem, "a host that is longer than 253 characters");
    if (slice_find(in, '@') >= 0)
        return refuse_target(problem, "user information before the host");
    struct parts p = {.bracketed = in.ptr[0] == '['};
    ptrdiff_t end = slice_find(in, p.bracketed ? ']' : ':');
    if (p.bracketed && end < 0)
        return refuse_malformed(problem, "a bracket that is not closed in the host");
    p.host = end < 0 ? in : slice_first(in, (size_t)end);
    p.port = end < 0 ? slice_of(NULL, 0) : slice_skip(in, (size_t)end);
    if (!p.bracketed && slice_find(slice_skip(p.port, 1), ':') >= 0)
        return refuse_target(problem, "several colons in the host (an IPv6 address needs brackets)");
    if (p.bracketed) {
        p.host = slice_skip(p.host, 1);
        p.port = slice_skip(p.port, 1);
    }
    *ret = p;
    return 0;
}

/* `text` is ":port", or empty for the default. */
static int read_port(struct slice text, uint16_t default_port, uint16_t *ret, struct http_problem *problem)
{
    uint64_t port;

    if (text.len == 0) {
        if (default_port == 0)
            return refuse_malformed(problem, "no port where one is required");
        *ret = default_port;
        return 0;
    }
    struct slice digits = slice_skip(text, 1);
    if (text.ptr[0] != ':')
        return refuse_target(problem, "text between the address and the port");
    if (slice_to_u64(digits, UINT16_MAX, &port) < 0 || port == 0)
        return refuse_malformed(problem, "a port that is not a number from 1 to 65535");
    if (digits.ptr[0] == '0')
        return refuse_target(problem, "a port with a leading zero");
    *ret = (uint16_t)port;
    return 0;
}

static int check_label(struct slice label, struct http_problem *problem)
{
    if (label.len == 0)
        return refuse_malformed(problem, "an empty label in the host");
    if (label.len > CAP_LABEL_BYTES)
        return refuse_malformed(problem, "a label longer than 63 characters in the host");
    for (size_t i = 0; i < label.len; i++)
        if (!http_is(label.ptr[i], CH_LABEL))
            return refuse_host_byte(label.ptr[i], problem);
    if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return refuse_malformed(problem, "a label that starts or ends with a hyphen in the host");
    return 0;
}

/* Browsers read a host whose last label is a number as an IPv4 address in one of many forms (WHATWG URL,
 * "ends in a number"); so does inet_aton(3).  No top-level domain is one. */
static bool is_number(struct slice label)
{
    if (label.len >= 2 && label.ptr[0] == '0' && ascii_lower(label.ptr[1]) == 'x')
        return true;
    for (size_t i = 0; i < label.len; i++)
        if (label.ptr[i] < '0' || label.ptr[i] > '9')
            return false;
    return true;
}

static int lower_case(struct arena *arena, struct slice in, struct slice *ret, struct http_problem *problem)
{
    size_t i = 0;
    while (i < in.len && ascii_lower(in.ptr[i]) == in.ptr[i])
        i++;
    if (i == in.len) {
        *ret = in;
        return 0;
    }
    char *copy = arena_alloc(arena, in.len);
    if (!copy)
        return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "no memory left for the host");
    for (i = 0; i < in.len; i++)
        copy[i] = ascii_lower(in.ptr[i]);
    *ret = slice_of(copy, in.len);
    return 0;
}

static int read_name(struct arena *arena, struct slice in, struct http_authority *a,
                     struct http_problem *problem)
{
    bool final_dot = in.len > 0 && in.ptr[in.len - 1] == '.';
    struct slice name = slice_first(in, in.len - final_dot), rest = name, label;

    if (name.len > CAP_HOST_BYTES)
        return refuse_malformed(problem, "a host that is longer than 253 characters");
    if (name.len == 0)
        return refuse_malformed(problem, "an empty host");
    while (slice_next(&rest, '.', &label))
        if (check_label(label, problem) < 0)
            return -1;
    if (is_number(label)) {
        if (final_dot || http_ipv4_parse(name, a->address) < 0)
            return refuse_target(problem, "a host that ends in a number but is no plain IPv4 address");
        a->kind = HTTP_HOST_IPV4;
        a->host = name;
        return 0;
    }
    a->kind = HTTP_HOST_NAME;
    return lower_case(arena, name, &a->host, problem);
}

static int read_ipv6(struct arena *arena, struct slice in, struct http_authority *a,
                     struct http_problem *problem)
{
    char text[HTTP_IPV6_TEXT];

    if (slice_find(in, '%') >= 0)
        return refuse_target(problem, "a zone in an IPv6 address");
    if (http_ipv6_parse(in, a->address) < 0)
        return refuse_malformed(problem, "brackets around something that is no IPv6 address");
    struct slice canonical = slice_of(text, http_ipv6_print(a->address, text));
    a->kind = HTTP_HOST_IPV6;
    a->host = slice_eq(canonical, in) ? in : arena_slice(arena, canonical);
    if (!a->host.ptr)
        return http_refuse(problem, HTTP_HEAD_TOO_LARGE, "no memory left for the host");
    return 0;
}

int http_authority_parse(struct arena *arena, struct slice in, uint16_t default_port,
                         struct http_authority *ret, struct http_problem *problem)
{
    struct http_authority a = {0};
    struct parts parts;

    if (split(in, &parts, problem) < 0)
        return -1;
    int r = parts.bracketed ? read_ipv6(arena, parts.host, &a, problem)
                            : read_name(arena, parts.host, &a, problem);
    if (r < 0 || read_port(parts.port, default_port, &a.port, problem) < 0)
        return -1;
    *ret = a;
    return 0;
}

bool http_authority_eq(const struct http_authority *a, const struct http_authority *b)
{
    return a->kind == b->kind && a->port == b->port && slice_eq(a->host, b->host);
}

int http_authority_print(const struct http_authority *a, uint16_t default_port, struct buf *out)
{
    size_t before = buf_len(out);
    bool brackets = a->kind == HTTP_HOST_IPV6;

    if (buf_append(out, brackets ? SLICE("[") : SLICE("")) == 0 && buf_append(out, a->host) == 0 &&
        buf_append(out, brackets ? SLICE("]") : SLICE("")) == 0 &&
        (a->port == default_port || buf_printf(out, ":%u", a->port) == 0))
        return 0;
    buf_truncate(out, before);
    return -1;
}
