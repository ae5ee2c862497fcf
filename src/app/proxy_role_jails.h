/* The proxy role's part in jails: their descriptors come in messages, and what they tried by UDP. */
#pragma once
#include "app/ipc.h"
#include "audit/audit.h"
#include "proxy/proxy.h"

/* Answers with JAIL_READY or JAIL_REFUSED.  The message's descriptors are taken over. */
void proxy_role_add_jail(struct proxy *p, unsigned workers, struct ipc *ipc, struct ipc_message *m);
/* `guest` NULL: it is none.  Of the message: its descriptors from `first` on, taken over unless it is
 * malformed. */
MUST_USE int proxy_role_serve_jail(struct proxy *p, unsigned workers, const struct ipc_jail *jail,
                                   const struct ipc_guest *guest, struct ipc_message *m, size_t first,
                                   struct err *e);
void proxy_role_remove_jail(struct proxy *p, const struct ipc_message *m);
/* JAIL_SERVICE and JAIL_PUBLISHED. */
void proxy_role_forward(struct proxy *p, struct ipc_message *m);
/* A record for each destination: by name where its address is one of the jail's names. */
void proxy_role_note_udp(struct proxy *p, struct audit_log *log, const struct ipc_message *m);
