/* The lines and fields of a head, for h1.c: from bytes to a list, nothing of their meaning.
 *
 * Everything here is called again from the start of the head when more bytes have come.  That keeps no
 * state between calls and refuses bad bytes as soon as they are there; what it costs is one look at each
 * byte already held, eight at a time in values: a head of CAP_HEAD_BYTES fed byte by byte takes half a
 * second of CPU in all, one and a half with a tab in every word.
 */
#pragma once
#include "http/fault.h"
#include "http/headers.h"

struct http_lines {
    struct slice rest; /* not yet taken */
    size_t taken;      /* bytes of the lines taken, with their ends */
};

/* The next line without its CRLF: 1 with a line, 0 when more bytes are needed, -1 for a bare LF or CR. */
MUST_USE int http_lines_next(struct http_lines *l, struct slice *ret_line, struct http_problem *problem);

/* Field lines up to the empty one (RFC 9112 5): 1 done, 0 more bytes are needed, -1.
 * Appends to *h; ids are set, `drop` by table only. */
MUST_USE int http_fields_read(struct http_lines *l, struct http_headers *h, struct http_problem *problem);

/* No control byte but tab (RFC 9110 5.5); NUL, CR and LF are controls. */
bool http_value_ok(struct slice value);
