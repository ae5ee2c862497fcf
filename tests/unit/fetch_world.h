/* The world around fetch/ in its tests: a name server of the test's own, and a network of its own in which
 * every address is this machine's (so that public addresses can be dialled without a packet leaving). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Unshares and routes all addresses to loopback.  False where the system does not let us. */
bool world_enter(void);

/* A name server on 127.0.0.1, UDP and TCP, in a thread of its own; answers from a table in the source. */
struct world_dns;
struct world_dns *world_dns_start(void);
void world_dns_stop(struct world_dns *d);
const char *world_dns_csv(const struct world_dns *d); /* for fetch_set_name_servers */
unsigned world_dns_queries(struct world_dns *d);      /* how many it has seen */

/* A listening socket; port 0 chooses one.  -1: cannot. */
int world_listen(const char *address, uint16_t port, int backlog, uint16_t *ret_port);
