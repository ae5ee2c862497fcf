/* The data plane: worker threads, one event loop each, that read hostile bytes.
 *
 * The process holds no CA key and opens no file: everything it needs is handed over in struct
 * proxy_setup, after the process has locked itself in.
 */
#pragma once
#include "audit/audit.h"
#include "proxy/settings.h"

struct proxy;

struct proxy_setup {
    const int *listeners; /* listening, non-blocking TCP sockets; the array and they outlive the proxy */
    size_t listener_count;
    unsigned workers;
    const int *keepers; /* one SOCK_SEQPACKET to the keeper for each worker; taken over */
    struct inflight *inflight;
    struct proxy_snapshot *snapshot; /* a reference of the caller's; the proxy takes its own */
    /* Called in some worker's thread when the last connection is gone after proxy_drain. */
    void (*drained)(void *arg);
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
/* Accepts nothing more, lets requests in progress finish, closes idle connections. */
void proxy_drain(struct proxy *p);
/* Ends what is left, joins the threads, frees; NULL is nothing. */
void proxy_stop(struct proxy *p);
