/* `upstream.proxy`: the proxy that stands between exeat and the origins, as the operator writes it.
 *
 * http://proxy.corp.example:3128, http://user:password@10.0.0.1:8080, socks5://… and socks5h://… (which mean the
 * same here: names are always resolved there).  The port is required, credentials are percent-encoded (RFC 3986
 * 3.2.1), and may stand in a file instead. */
#pragma once
#include "app/config.h"
#include "config/schema.h"

/* The texts of the two keys, with their places; ptr NULL where one is not written.  Fills c->upstream, all but
 * the path of the credentials. */
void config_proxy_take(struct config *c, const struct schema_item *proxy, const struct schema_item *credentials,
                       struct problems *problems);
/* The text of a credentials file: one line, user:password as they are. */
const char *config_proxy_credentials(struct arena *arena, struct slice text, struct fetch_proxy *p);
/* The sentence that a failed connection ends with where the environment names a proxy that we do not use; NULL
 * where it names none. */
const char *config_proxy_hint(void);
