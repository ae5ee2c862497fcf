/* Authentication that belongs to a connection and not to a request: NTLM and Negotiate (RFC 4559 6 and 7).
 *
 * Whoever comes later on such a connection speaks as the one who authenticated it.  So it must not be shared:
 * neither by tasks nor by two clients of one task. */
#pragma once
#include "http/headers.h"

/* Whether a request asks for it (Authorization), or a response offers or goes on with it (WWW-Authenticate). */
bool http_auth_binds_request(const struct http_headers *h);
bool http_auth_binds_response(const struct http_headers *h);
