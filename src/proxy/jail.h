/* A jail as the data plane knows it: listeners that lie in its network namespace.
 *
 * A connection accepted on one of them belongs to the jail's task: there is no token, and nothing to spoof.
 * Every worker accepts on the TCP listeners; one of them serves DNS.  Connections and workers hold
 * references. */
#pragma once
#include "audit/tally.h"
#include "base/list.h"
#include "loop/loop.h"
#include "proxy/proxy.h"
#include "proxy/relay.h"
#include "proxy/tasks.h"

#include <stdatomic.h>

struct jail {
    _Atomic unsigned refs;
    _Atomic unsigned listening; /* workers that still use the sockets; the last one closes them */
    _Atomic bool names_full;    /* said once */
    unsigned id;
    bool ipv6;
    int fds[JAIL_SOCKETS];
    struct dns_names *names;
    struct task_table *tasks;
    struct task_state *state; /* of its task */
    struct audit_tally tally;
    /* Of a guest (proxy_jail): */
    bool guest;
    _Atomic bool cut;  /* its end waits for none of its connections */
    uint32_t owner;    /* the user whose run it is */
    struct gate *gate; /* accepts for the workers */
    struct proxy *proxy;
    void (*left)(void *arg); /* one reference is left; any thread */
    void *left_arg;
    char task[];
};
/* One reference; `workers` will listen. */
MUST_USE struct jail *jail_new(const struct proxy_jail *from, struct task_table *tasks, unsigned workers);
struct jail *jail_ref(struct jail *j);
void jail_free(struct jail *j); /* drops one reference */
/* One worker less uses its sockets. */
void jail_stops_listening(struct jail *j);
DEFINE_AUTO(jail)

/* What of the worker belongs to one jail. */
struct jail_port;

/* In a worker's inbox: a jail to serve (`ask`: the worker's socket to whoever knows its processes; both taken
 * over), a service or connection of one that is served (`relay`), or one that is gone (neither). */
struct jail_order {
    struct jail_order *next;
    struct jail *jail;
    unsigned id;
    bool serves_dns;
    int ask;
    struct relay_order relay;
    enum jail_socket which; /* of `client`, a connection that was accepted there; taken over */
    int client;             /* -1: none */
};

struct worker;
/* Any thread; false without memory, and then nothing is taken over. */
MUST_USE bool jail_order(struct worker *w, struct jail *jail, unsigned id, bool serves_dns, int ask);
/* The same with what is not inspected: its descriptors are taken over in any case. */
void jail_order_relay(struct worker *w, unsigned id, struct relay_order *relay);
/* The same with a connection that came in by one of its sockets. */
void jail_order_client(struct worker *w, unsigned id, enum jail_socket which, int fd);
/* The worker's own thread: in the order in which they were given. */
void jail_take_orders(struct worker *w, struct jail_order *orders);
void jail_drop_orders(struct jail_order *orders);
/* Stops listening for all of them; connections go on. */
void jail_close_ports(struct worker *w);
/* And nothing else any more either: the worker ends. */
void jail_free_ports(struct worker *w);
