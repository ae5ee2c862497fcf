/* What `services` and `publish` of a policy let through: connections between a jail and this machine's
 * loopback.
 *
 * A service is asked for inside, on a listener in the jail's network namespace, and is a loopback address of
 * this machine.  A published port is asked for outside, where the supervisor accepts, and is reached by a
 * socket that the jail's pid 1 made.  What is said is not inspected (proxy/duplex.h); that it is said at all
 * is judged when the connection begins and after each reload: the policy in force must list the very same
 * service or port, and none of exeat's own listeners is one.
 *
 * Each connection has a record of kind `open`, on file before a byte passes, and one of kind `service` at its
 * end, or instead of it; both say `not inspected` and who asked.  `sent` counts what left the jail.  While
 * the log cannot be written nothing goes through.  They count among the task's connections, and in its
 * share of the log; refusals in its audit budget. */
#pragma once
#include "base/list.h"
#include "fetch/address.h"

struct jail;
struct relays; /* of one jail, in one worker */
struct worker;

enum { RELAYS_MAX = 512 };

struct relay_order {
    enum relay_kind { RELAY_NONE, RELAY_SERVICE, RELAY_PUBLISHED } kind;
    int from; /* a service's listener in the jail; a published port's connection, accepted outside;
                 non-blocking */
    int to;   /* -1; a socket of the jail's that is not connected yet: of IPv6 where the jail has that */
    uint16_t port, host_port;    /* in the jail; outside */
    struct fetch_address target; /* a service's, on this machine */
};
/* Closes its descriptors. */
void relay_order_clear(struct relay_order *o);

/* `ask`: the worker's socket to whoever knows the jail's processes (proxy/client.h).  NULL without memory. */
MUST_USE struct relays *relays_new(struct worker *w, struct jail *jail, int ask);
/* The order's descriptors are taken over. */
void relays_take(struct relays *all, const struct relay_order *o);
/* Connections go on. */
void relays_stop_listening(struct relays *all);
/* The jail is gone: what its processes have sent still arrives, within timeouts.shutdown.  Frees itself with
 * the last connection. */
void relays_leave(struct relays *all);

/* All of a worker's: a new snapshot, a log that cannot be written, the end. */
void relays_judge_again(struct worker *w);
void relays_cut_unrecorded(struct worker *w);
void relays_free_all(struct worker *w);
