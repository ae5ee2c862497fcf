/* HTTP/1.1 messages, read strictly (RFC 9112): a head in, a struct and the bytes consumed out.
 *
 * Strict means: CRLF only, no obs-fold, no space before the colon, no second Content-Length, no
 * Content-Length beside Transfer-Encoding, chunked alone, one Host, HTTP/1.0 or HTTP/1.1 only, single
 * spaces in the start line, no control bytes in values.  Whatever two readers might see differently is
 * refused (HTTP_AMBIGUOUS_FRAMING for what smuggling is made of).
 * In responses two forms are taken that origins do send, that have one meaning, and that we write anew: the
 * same Content-Length twice (RFC 9112 6.3), and white space behind a chunk size (BWS, RFC 9112 7.1.1).
 * Pure codec: no descriptor, no clock, no log, no allocation.
 */
#pragma once
#include "http/fault.h"
#include "http/headers.h"

enum h1_framing {
    H1_BODY_NONE,
    H1_BODY_LENGTH,  /* `length` bytes follow */
    H1_BODY_CHUNKED,
    H1_BODY_CLOSE,   /* responses only: until the end of the connection */
};

enum h1_form { H1_FORM_ORIGIN, H1_FORM_ABSOLUTE, H1_FORM_AUTHORITY, H1_FORM_ASTERISK };

struct h1_request {
    struct slice method; /* a token, case-sensitive */
    struct slice target; /* as received; its characters are checked by http/target.h */
    enum h1_form form;
    unsigned minor; /* HTTP/1.minor: 0 or 1 */
    struct http_headers headers;
    enum h1_framing framing;
    uint64_t length;     /* with H1_BODY_LENGTH, > 0 */
    bool keep_alive;     /* by version and Connection */
    bool expect_continue;
    bool upgrade;        /* an Upgrade field, or Connection: upgrade */
};

struct h1_response {
    unsigned status; /* 100…999 */
    unsigned minor;
    struct slice reason_phrase;
    struct http_headers headers;
    enum h1_framing framing;
    uint64_t length;
    bool has_length; /* a Content-Length, which says something with HEAD and 304 too … */
    uint64_t says;   /* … namely this */
    bool keep_alive;
};

/* Return 1 with a whole head (*ret_consumed bytes), 0 when more bytes are needed, -1 with *problem.
 * `in` longer than max_head without a whole head is HTTP_HEAD_TOO_LARGE.  A single CRLF before a
 * request line is skipped and counted as consumed (RFC 9112 2.2).  Slices point into `in`.
 * Bytes that no head can hold are refused as soon as they are there.  Each call starts from the front
 * (http/fields.h says what that costs), so there is no state to keep between calls.
 * The Host field is only looked at for being one value; http_authority_parse reads it. */
MUST_USE int h1_parse_request(struct slice in, size_t max_head, struct h1_request *ret, size_t *ret_consumed,
                              struct http_problem *problem);
/* `method` is that of the request answered: HEAD, and 2xx to CONNECT, decide the framing (RFC 9112 6.3).
 * 1xx, 204 and 304 have no body. */
MUST_USE int h1_parse_response(struct slice in, size_t max_head, struct slice method, struct h1_response *ret,
                               size_t *ret_consumed, struct http_problem *problem);

/* Reads a body piece by piece.  Chunk extensions are read and dropped, trailers read and checked; bytes after
 * the end are left alone.
 * A chunk line is refused where two readers could differ: CRLF only, at most 16 digits, no control in an
 * extension, in requests no white space before one (RFC 9112 7.1). */
struct buf;
struct h1_body {
    enum h1_framing framing;
    bool lenient;         /* of a response: the owner's to set */
    struct buf *trailers; /* the owner's: gets the bytes of the trailer section, its empty line too; none
                           * where it holds no field; NULL: they are dropped */
    int state;      /* h1_body.c's own */
    uint64_t left;  /* of the length or of the chunk */
    uint64_t total; /* payload bytes so far */
    size_t line;    /* bytes of the chunk line or trailers read so far */
};

void h1_body_init(struct h1_body *b, enum h1_framing framing, uint64_t length);
bool h1_body_done(const struct h1_body *b);
/* Takes bytes from the front of `in`: *ret_consumed of them were used, *ret_data (a part of `in`, maybe
 * empty) is payload.  Call again until nothing is consumed.  -1: malformed, and *b is as it was. */
MUST_USE int h1_body_read(struct h1_body *b, struct slice in, struct slice *ret_data, size_t *ret_consumed,
                          struct http_problem *problem);
/* The connection has ended: 0 when that completes the body (H1_BODY_CLOSE, or done), else -1. */
MUST_USE int h1_body_eof(const struct h1_body *b);

/* Writing.  Each appends to `out` and returns -1 when it does not fit. */
MUST_USE int h1_write_chunk(struct buf *out, struct slice data); /* data not empty */
MUST_USE int h1_write_last_chunk(struct buf *out);
/* Fields that are forwarded: all but `drop`ped ones and those that the caller writes itself
 * (Host, Content-Length, Transfer-Encoding, Connection). */
MUST_USE int h1_write_fields(struct buf *out, const struct http_headers *h);
