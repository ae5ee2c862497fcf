/* What the fields of a head say about the message itself: where it ends, and what ends with this
 * connection (RFC 9112 6 and 9, RFC 9110 7.6.1).  For h1.c.
 *
 * Refused as HTTP_AMBIGUOUS_FRAMING, because two readers might find different ends:
 * a second Content-Length (in a response: a different one); one that is not plain digits up to 2^63-1; a second
 * Transfer-Encoding; one that is not exactly "chunked"; one in HTTP/1.0; both; either name written with
 * an underscore (CGI-like servers read Content_Length as Content-Length).
 *
 * Trailer is forwarded where the message is chunked, since trailers are; TE is not: what we take of an origin
 * is ours to say.  A field named in Connection is not forwarded.  That lets a client unsay what was judged (a rule has
 * matched Authorization, the origin never sees it), or a server make us forward a body without its type:
 * naming a field with HTTP_HF_END_TO_END is refused as well.
 */
#pragma once
#include "http/fault.h"
#include "http/headers.h"

struct http_framing {
    bool chunked;
    bool has_length;
    uint64_t length;
    bool close, keep_alive, upgrade; /* options of Connection */
};

/* Judges the fields of a message of HTTP/1.`minor` and marks those that Connection names. */
MUST_USE int http_framing_read(struct http_headers *h, bool request, unsigned minor, struct http_framing *ret,
                               struct http_problem *problem);
