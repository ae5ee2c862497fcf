/* A jail's name server: every name gets an address that leads nowhere (proxy/dns_names.h), without anybody
 * outside being asked.
 *
 * A, AAAA and the PTR of its own addresses; localhost; every other type is answered empty (so no HTTPS or
 * SVCB record leads around us).  Names that no rule allows get an address too: the connection that follows is
 * where the block is explained.  Each new name is on record, within the task's audit budget. */
#pragma once
#include "proxy/jail.h"

struct dns_server;
/* Serves the jail's DNS sockets on this worker's loop.  NULL without memory. */
MUST_USE struct dns_server *dns_server_new(struct worker *w, struct jail *jail);
/* A connection to its TCP sockets that somebody else has accepted; taken over.  `s` may be NULL: nobody
 * serves. */
void dns_server_take(struct dns_server *s, int fd);
void dns_server_free(struct dns_server *s); /* the sockets stay open */
DEFINE_AUTO(dns_server)
