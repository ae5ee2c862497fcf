/* What `services` and `publish` of a policy let through: connections between a jail and this machine's loopback.
 *
 * A service is asked for inside, on a listener in the jail's network namespace, and is a loopback address of this
 * machine.  A published port is asked for outside, where the supervisor accepts, and is reached by a socket that
 * the jail's pid 1 made.  Nothing of either is inspected or judged: bytes go both ways through two bounded
 * buffers, the end of one side is passed on, the end of both is the end; an abort stays an abort.
 * Each has a record of kind `open` when it begins and one of kind `service` when it ends, which says `not
 * inspected`; `sent` counts what left the jail.  While the log cannot be written nothing goes through. */
#pragma once
#include "fetch/address.h"

struct jail;
struct relays; /* of one jail, in one worker */
struct worker;

struct relay_order {
    enum relay_kind { RELAY_NONE, RELAY_SERVICE, RELAY_PUBLISHED } kind;
    int from; /* a service's listener in the jail; a published port's connection, accepted outside; non-blocking */
    int to;   /* -1; a socket of the jail's that is not connected yet */
    uint16_t port, host_port;    /* in the jail; outside */
    struct fetch_address target; /* a service's, on this machine */
};
/* Closes its descriptors. */
void relay_order_clear(struct relay_order *o);

/* NULL without memory. */
MUST_USE struct relays *relays_new(struct worker *w, struct jail *jail);
/* The order's descriptors are taken over. */
void relays_take(struct relays *all, const struct relay_order *o);
/* Connections go on. */
void relays_stop_listening(struct relays *all);
/* All of them end here. */
void relays_free(struct relays *all);
DEFINE_AUTO(relays)
