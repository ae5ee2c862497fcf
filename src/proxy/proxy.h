/* The data plane: worker threads, one event loop each, that read hostile bytes.
 *
 * The process holds no CA key and opens no file: everything it needs is handed over in struct
 * proxy_setup, after the process has locked itself in.
 */
#pragma once
#include "audit/audit.h"
#include "proxy/settings.h"

struct proxy;
struct relay_order;

/* The sockets of a jail: all of them listen in its network namespace (sandbox/network.h). */
enum jail_socket {
    JAIL_PROXY4,   /* TCP: programs that know of the proxy */
    JAIL_PROXY6,
    JAIL_CAPTURE4, /* TCP: all other connections, SO_ORIGINAL_DST */
    JAIL_CAPTURE6,
    JAIL_DNS_UDP4, /* with IP_PKTINFO, IPV6_RECVPKTINFO */
    JAIL_DNS_UDP6,
    JAIL_DNS_TCP4,
    JAIL_DNS_TCP6,
    JAIL_SOCKETS
};

enum { PROXY_JAILS_MAX = 256 };

struct proxy_jail {
    unsigned id;
    struct slice task;
    bool ipv6;
    int fds[JAIL_SOCKETS]; /* -1: there is none */
    const int *ask;        /* one for each worker, to whoever knows the jail's processes (proxy/client.h) */
    /* Somebody else holds the sockets too, and may do with them what he likes (proxy/gate.h); at its end its
     * connections are cut, and proxy_next_left tells when they are gone. */
    bool guest;
    uint32_t owner; /* of a guest: the user whose run it is */
};

struct proxy_setup {
    const int *listeners; /* listening, non-blocking TCP sockets; the array and they outlive the proxy */
    size_t listener_count;
    unsigned workers;
    const int *keepers; /* one SOCK_SEQPACKET to the keeper for each worker; taken over */
    struct inflight *inflight;
    struct proxy_snapshot *snapshot; /* a reference of the caller's; the proxy takes its own */
    /* Called in some worker's thread when the last connection is gone after proxy_drain. */
    void (*drained)(void *arg);
    void (*left)(void *arg); /* … when proxy_next_left may have something to say; may be NULL */
    void *arg;
};

/* Makes everything that needs files or libraries' start-up: the leaf key, the event loops, the resolvers
 * (which read resolv.conf), the roots.  Starts no thread and accepts nothing: the process locks itself in
 * between this and proxy_run. */
MUST_USE int proxy_new(const struct proxy_setup *setup, struct proxy **ret, struct err *e);
/* Introduces the workers to the keeper and starts their threads.  `log` outlives the proxy. */
MUST_USE int proxy_run(struct proxy *p, struct audit_log *log, struct err *e);
/* From any thread: new requests are judged by the new snapshot. */
void proxy_reload(struct proxy *p, struct proxy_snapshot *snapshot);
/* From any thread: new sockets to a new keeper, one a worker; taken over. */
void proxy_set_keepers(struct proxy *p, const int *keepers);
/* From the thread that made the proxy: what comes over the jail's sockets is its task's from now on.  All
 * descriptors are taken over, also on failure. */
MUST_USE int proxy_add_jail(struct proxy *p, const struct proxy_jail *jail, struct err *e);
/* It is gone: nothing new is taken from it.  A guest's connections are over soon, by themselves or by us; with
 * `cut` now. */
void proxy_remove_jail(struct proxy *p, unsigned id, bool cut);
/* A guest that was removed and whose last connection is gone and on record: once for each.  False: none. */
struct audit_tally;
MUST_USE bool proxy_next_left(struct proxy *p, unsigned *ret_id, struct audit_tally *ret_tally);
/* What of it is not inspected (proxy/relay.h); descriptors are taken over, and closed where there is no such jail. */
void proxy_jail_relay(struct proxy *p, unsigned id, struct relay_order *o);
/* The name whose address in that jail `a` is, as it stands in records; 0 where there is none. */
size_t proxy_jail_name(struct proxy *p, unsigned id, const struct fetch_address *a, char ret[CAP_HOST_BYTES + 1]);
/* The task that the jail is of; NULL where there is no such jail. */
const char *proxy_jail_task(struct proxy *p, unsigned id);

/* Accepts nothing more, lets requests in progress finish, closes idle connections. */
void proxy_drain(struct proxy *p);
/* Ends what is left, joins the threads, frees; NULL is nothing. */
void proxy_stop(struct proxy *p);
