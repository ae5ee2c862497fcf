/* Trailer fields (RFC 9112 7.1.2): what a chunked message says behind its last chunk, sent on.
 *
 * h1_body_read (http/h1.h) collects their bytes; here they become fields again, those that no trailer may hold
 * (trailers.def) go, and the rest is written with the last chunk.  Pure. */
#pragma once
#include "http/fault.h"
#include "http/headers.h"

struct buf;
/* "0\r\n", the fields of `section` that may be sent on, "\r\n".  `section`: as h1_body_read left it, with the
 * empty line; or empty: no trailers.  -1: it does not fit (out is as it was), or with *problem. */
MUST_USE int http_trailers_write(struct slice section, struct buf *out, struct http_problem *problem);
