#include "http/auth.h"

static bool binds(struct slice scheme)
{
    return slice_eq_nocase(scheme, SLICE("NTLM")) || slice_eq_nocase(scheme, SLICE("Negotiate"));
}

/* Challenges and their parameters are both set apart by commas (RFC 9110 11.6.1); what comes first in a piece,
 * up to a space, is a scheme or a parameter, and no parameter is only called like one of ours. */
static bool field_binds(struct slice value)
{
    struct slice piece, scheme;
    while (slice_next(&value, ',', &piece)) {
        piece = slice_trim(piece);
        if (slice_next(&piece, ' ', &scheme) && binds(scheme))
            return true;
    }
    return false;
}

static bool any_binds(const struct http_headers *h, enum http_header_id id)
{
    for (unsigned i = 0; i < h->count; i++)
        if (h->at[i].id == id && field_binds(h->at[i].value))
            return true;
    return false;
}

bool http_auth_binds_request(const struct http_headers *h)
{
    return any_binds(h, HTTP_H_AUTHORIZATION);
}

bool http_auth_binds_response(const struct http_headers *h)
{
    return any_binds(h, HTTP_H_WWW_AUTHENTICATE);
}
