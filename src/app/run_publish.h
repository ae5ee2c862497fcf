/* `publish` of a policy: ports of the jail, on 127.0.0.1 of this machine.
 *
 * Connections are accepted here and handed to the proxy (proxy/relay.h), each with a socket of the jail's
 * network, of which pid 1 of the jail keeps a few in stock here.  What has no socket yet waits to be
 * accepted; without descriptors, here or there, it waits longer. */
#pragma once
#include "loop/loop.h"
#include "policy/jail.h"
#include "sandbox/jail.h"

struct supervisor;

enum { PUBLISH_STOCK = JAIL_FDS_MAX };

struct run_publish;
struct published_port {
    struct loop_io io;
    struct run_publish *all;
    const struct policy_forward *forward;
    int fd;
};

struct run_publish {
    struct loop *loop;
    struct supervisor *supervisor;
    unsigned jail_id;
    int control; /* of pid 1 */
    struct published_port *ports;
    size_t count;
    int stock[PUBLISH_STOCK];
    size_t stock_count;
    struct loop_deadline retry; /* instead of spinning, where something has run out */
    bool asked, serving;
};

/* What is not inspected, services too: a line each on standard error. */
void run_publish_tell(const struct policy_jail *jail);
/* Opens the listeners, before the jail is made: a port that is taken ends the run. */
MUST_USE int run_publish_open(struct run_publish *p, struct loop *loop, const struct policy_jail *jail,
                              struct err *e);
/* The command runs, and the proxy serves. */
void run_publish_serve(struct run_publish *p, struct supervisor *s, unsigned jail_id, int control);
/* JAIL_SOCKETS has come: its descriptors are taken.  None: pid 1 cannot make any now. */
void run_publish_stock(struct run_publish *p, struct jail_packet *packet);
/* Nothing is accepted any more; safe on a zeroed one. */
void run_publish_close(struct run_publish *p);
