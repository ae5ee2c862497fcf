/* Canonical request targets: the one function that the proxy, `exeat check`, the policy compiler,
 * the tests and the fuzzers share.
 *
 * What comes out is what is judged and, byte for byte, what is sent.  A form that two programs could
 * read differently is refused as ambiguous, never repaired (design: Canonical).
 * The fault is HTTP_AMBIGUOUS_TARGET, or HTTP_MALFORMED for what nobody can read at all, or
 * HTTP_HEAD_TOO_LARGE over CAP_TARGET_BYTES and where the arena has no room.
 * Reading what was printed gives the same again (tests/fuzz/fuzz_target.c).
 * Pure: no allocation beyond the caller's arena, no descriptor, no clock, no log.
 * Sources: RFC 3986 (2.3 unreserved, 5.2.4 dot segments, 6.2.2 normalisation), RFC 9110 4.2 and 7.2,
 * RFC 9112 3.2 (request targets), RFC 1123 2.1 and RFC 5890 (host names), RFC 5952 (IPv6 text).
 */
#pragma once
#include "base/arena.h"
#include "http/fault.h"

enum http_scheme { HTTP_SCHEME_HTTP, HTTP_SCHEME_HTTPS };
enum http_host_kind { HTTP_HOST_NAME, HTTP_HOST_IPV4, HTTP_HOST_IPV6 };

/* A host and port.  Names are lower-case A-labels without the final dot; IPv4 is dotted decimal in its
 * one canonical form (octal, hex, short and integer forms are refused); IPv6 is RFC 5952 text without
 * brackets; zones are refused. */
struct http_authority {
    struct slice host;
    uint16_t port; /* never 0 */
    enum http_host_kind kind;
    uint8_t address[16]; /* network order, for literals; IPv4 uses the first four */
};

struct http_target {
    enum http_scheme scheme;
    struct http_authority authority;
    struct slice path;  /* canonical, starts with '/'; "*" only for OPTIONS * */
    struct slice query; /* without '?', byte for byte as received */
    bool has_query;
    bool encoded_slash; /* the path holds %2F: only a rule with encoded_slash may match it */
};

const char *http_scheme_name(enum http_scheme s);           /* "http", "https" */
uint16_t http_scheme_port(enum http_scheme s);              /* 80, 443 */
bool http_authority_eq(const struct http_authority *a, const struct http_authority *b);

/* host[:port] as it stands in Host, CONNECT or a URL.  Userinfo is refused; ASCII only: letters, digits,
 * hyphens and underscores, labels of 1 to 63, 253 in all.  A last label that is a number makes it an IPv4
 * address (WHATWG URL), which then must be four plain decimal numbers.  An empty port, a leading zero in
 * one, an IPv6 address without brackets are refused.
 * default_port 0: a port is required (CONNECT, RFC 9112 3.2.3).
 * ret->host lies in `arena`, or in `in` where that is canonical already. */
MUST_USE int http_authority_parse(struct arena *arena, struct slice in, uint16_t default_port,
                                  struct http_authority *ret, struct http_problem *problem);

/* "/path?query" to canonical path and query.  Fills path, query, has_query and encoded_slash of *ret
 * and leaves the rest.  The result lies in `arena`, or in `in` where nothing had to change.
 * - Escapes of unreserved characters are decoded, once: %252e stays %252e, which is no dot segment to a
 *   reader that decodes once (deny rules also see http_path_decoded_lower).  All others keep upper-case
 *   hex; those of bytes above 0x7f must be valid UTF-8, without C1 controls.
 * - Visible characters that RFC 3986 does not allow in a path but clients send ("<>[]^`{|}) are escaped.
 * - Dots beside `;`, %3B or %2F are refused ("..;x", "..%2Fx"): some readers take them for dot segments;
 *   so are dot segments that would take back a segment with %2F.
 * - The query is kept byte for byte; it may hold a lone '%', and is judged as these bytes. */
MUST_USE int http_path_parse(struct arena *arena, struct slice in, struct http_target *ret,
                             struct http_problem *problem);

/* An absolute URL, http or https: absolute-form targets and `check METHOD URL`.
 * A fragment or userinfo is refused. */
MUST_USE int http_url_parse(struct arena *arena, struct slice in, struct http_target *ret,
                            struct http_problem *problem);

/* A path pattern's or one segment's literal text in the same canonical form, for the policy compiler:
 * "%7e" and "~" must mean the same in a rule as in a request. `*` stays `*`.
 * Give it a whole pattern or segment, not the text between two stars.  People write patterns, so spaces
 * and UTF-8 are taken and escaped; dot segments, '?' and '#' are refused. */
MUST_USE int http_pattern_canonical(struct arena *arena, struct slice in, struct slice *ret,
                                    struct http_problem *problem);

/* "https://host:port/path?query", the port only where it is not the scheme's, IPv6 in brackets. */
struct buf;
MUST_USE int http_target_print(const struct http_target *t, struct buf *out);
/* host, or host:port where the port is not `default_port` (0: always), IPv6 in brackets: a Host field. */
MUST_USE int http_authority_print(const struct http_authority *a, uint16_t default_port, struct buf *out);
/* The path as the most lenient origin could read it, for deny rules: decoded until nothing is left to
 * decode, backslashes taken for slashes, dot segments resolved, empty segments dropped, ASCII lower case.
 * Not for printing: it may hold any byte.  NULL ptr without memory. */
struct slice http_path_decoded_lower(struct arena *arena, struct slice path);
