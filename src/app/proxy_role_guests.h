/* The proxy role's part in guests: jails of runs that are somebody else's, with policies of their own. */
#pragma once
#include "app/ipc.h"
#include "app/proxy_policies.h"
#include "audit/audit.h"
#include "proxy/proxy.h"

/* What it works with; the role's. */
struct proxy_role_guests {
    struct proxy *proxy;
    struct ipc *ipc;
    struct audit_log *log;
    struct proxy_policies *policies;
    unsigned workers;
};

/* GUEST and GUEST_POLICY: answers with JAIL_READY or JAIL_REFUSED.  The message's descriptors are taken over.
 */
void proxy_role_take_guest(const struct proxy_role_guests *r, struct ipc_message *m);
/* Those whose last connection is gone: GUEST_LEFT. */
void proxy_role_guests_left(const struct proxy_role_guests *r);
