/* What each byte may stand for: one table of 256 for every parser of this folder.
 *
 * Sources: RFC 9110 5.6.2 (token) and 5.5 (field-value), RFC 3986 2.3 (unreserved), 3.3 (pchar) and
 * 3.4 (query), RFC 1123 2.1 (host names).
 */
#pragma once
#include "base/slice.h"

enum http_char {
    CH_TOKEN = 1,      /* a method or a field name */
    CH_VALUE = 2,      /* a field value: also space, tab and obs-text; never a control */
    CH_UNRESERVED = 4, /* means the same with and without percent-encoding */
    CH_PATH = 8,       /* stands in a canonical path as it is ('/' and '%' are the path's own matter) */
    CH_ESCAPE = 16,    /* not allowed in a path by RFC 3986 but sent by clients: we percent-encode it */
    CH_QUERY = 32,     /* visible ASCII but '#' */
    CH_HEX = 64,
    CH_LABEL = 128, /* of a host name: letters, digits, hyphen; underscore, as real names have it */
};

extern const uint8_t http_chars[256];

static inline bool http_is(char c, unsigned classes)
{
    return http_chars[(uint8_t)c] & classes;
}

/* Every byte of s is of the class; true for none. */
bool http_all(struct slice s, enum http_char class);
/* The value of a hex digit; the caller has looked at CH_HEX. */
unsigned http_hex(char c);
/* The byte that "%xx" at the start of s stands for, or -1 where there are no two hex digits. */
int http_escape(struct slice s);
