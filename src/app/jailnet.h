/* The supervisor's side of a jail's network: the proxy gets the listeners, the supervisor keeps what answers
 * "who asked?" and "what UDP was tried?". */
#pragma once
#include "app/supervisor.h"
#include "policy/jail.h"
#include "sandbox/network.h"

/* The descriptors of `n` are taken over (also on failure, then closed).  `task` is a task of the
 * configuration: whatever comes over these descriptors is its.  Returns when the proxy serves them, so that a
 * program started afterwards finds its network ready; *ret_id names the jail in supervisor_remove_jail.
 * Several are possible. */
MUST_USE int supervisor_add_jail(struct supervisor *s, const char *task, struct network *n, unsigned *ret_id,
                                 struct err *e);
/* `services`: each listener of the jail's network leads to its target; in their order (sandbox/network.h). */
MUST_USE int supervisor_add_services(struct supervisor *s, unsigned id, const struct policy_forward *services,
                                     size_t count, struct err *e);
/* `publish`: a connection that was accepted, and a socket of the jail's to reach the port by.  Both stay the
 * caller's. */
MUST_USE int supervisor_relay(struct supervisor *s, unsigned id, const struct policy_forward *published, int client,
                              int inside, struct err *e);
/* The jail's last process is gone: what UDP it tried goes on record, the listeners close.  Connections in
 * progress end by themselves.  Before supervisor_stop.  An id that is not there any more is nothing. */
void supervisor_remove_jail(struct supervisor *s, unsigned id);
