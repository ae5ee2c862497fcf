/* `upstream.proxy`: the proxy that stands between exeat and the origins, as the operator writes it.
 *
 * http://proxy.corp.example:3128, http://user:password@10.0.0.1:8080, socks5://… and socks5h://… (which mean the
 * same here: names are always resolved there).  The port is required, credentials are percent-encoded (RFC 3986
 * 3.2.1), and may stand in a file instead. */
#pragma once
#include "base/arena.h"
#include "fetch/fetch.h"

/* NULL and *ret, or what is wrong with it: a literal.  *ret lies in `arena`. */
const char *config_proxy_parse(struct arena *arena, struct slice text, struct fetch_proxy *ret);
/* The text of a credentials file: one line, user:password as they are. */
const char *config_proxy_credentials(struct arena *arena, struct slice text, struct fetch_proxy *p);
/* The sentence that a failed connection ends with where the environment names a proxy that we do not use; NULL
 * where it names none. */
const char *config_proxy_hint(void);
