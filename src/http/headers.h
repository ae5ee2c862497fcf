/* Header fields: a bounded list of slices into the head that they came from, in order.
 * Known names get a small number at parse time, so that nobody compares strings twice. */
#pragma once
#include "base/caps.h"
#include "base/slice.h"

/* The names that exeat itself asks about; everything else is HTTP_H_OTHER.  To add one: a row in
 * http/headers.def (constant, lower-case name, flags). */
enum http_header_id {
    HTTP_H_OTHER,
#define HEADER(id, name, flags) HTTP_H_##id,
#include "http/headers.def"
#undef HEADER
    HTTP_H_COUNT
};

enum http_header_flags {
    HTTP_HF_HOP = 1,       /* never forwarded (RFC 9110 7.6.1, and Proxy-*) */
    HTTP_HF_SINGLETON = 2, /* a second one in a request is refused: Host, Content-Length, … */
    HTTP_HF_OURS = 4,      /* Exeat-*: dropped from origins */
    /* Connection may not name it: dropping it would change what was judged or where the message ends
     * (http/framing.h). */
    HTTP_HF_END_TO_END = 8,
};

struct http_header {
    struct slice name;  /* as received; a token (RFC 9110 5.1) */
    struct slice value; /* trimmed; no NUL, CR, LF */
    enum http_header_id id;
    bool drop; /* hop-by-hop by table or because Connection names it: not forwarded */
};

struct http_headers {
    struct http_header at[CAP_HEADERS];
    unsigned count;
};

/* HTTP_H_OTHER where the table has no such name; ASCII case-insensitive. */
enum http_header_id http_header_id_of(struct slice name);
unsigned http_header_flags(enum http_header_id id);
/* The same name for any reader: ASCII case ignored, and `_` read as `-`, since behind CGI (RFC 3875 4.1.18)
 * nobody can tell them apart. */
bool http_names_alike(struct slice name, struct slice lower);
/* Whether it tells some origins another method or path: a row of http/overrides.def. */
bool http_header_overrides(struct slice name);

/* The first field of that id; NULL where there is none.  Finds `drop`ped fields too
 * (Proxy-Authorization is one): whoever judges what is sent must look at `drop`. */
const struct http_header *http_headers_find(const struct http_headers *h, enum http_header_id id);
const struct http_header *http_headers_find_name(const struct http_headers *h, struct slice lower_name);
/* Whether a comma-separated field (all its lines) holds that token, ASCII case-insensitively. */
bool http_headers_has_token(const struct http_headers *h, enum http_header_id id, struct slice token);
