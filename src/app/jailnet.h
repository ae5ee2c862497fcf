/* The supervisor's side of a jail's network: the proxy gets the listeners, the supervisor keeps what answers
 * "who asked?" and "what UDP was tried?". */
#pragma once
#include "app/config.h"
#include "app/ipc.h"
#include "app/supervisor.h"
#include "policy/jail.h"
#include "sandbox/network.h"

/* The descriptors of `n` are taken over (also on failure, then closed).  `task` is a task of the
 * configuration: whatever comes over these descriptors is its.  Returns when the proxy serves them, so that a
 * program started afterwards finds its network ready; *ret_id names the jail in supervisor_remove_jail.
 * Several are possible. */
MUST_USE int supervisor_add_jail(struct supervisor *s, const char *task, struct network *n, unsigned *ret_id,
                                 struct err *e);
/* The places of what of a network the proxy serves, by enum jail_socket (proxy/proxy.h). */
enum { JAILNET_SOCKETS = 8 };
void jailnet_sockets(struct network *n, int *ret[JAILNET_SOCKETS]);

/* --- guests: jails of runs that are somebody else's (app/control.h) --- */

struct guest_calls {
    void (*answered)(void *arg, unsigned id, const char *why); /* `why` it was not taken; NULL: it was */
    void (*left)(void *arg,
                 const struct ipc_guest_left *left); /* its last connection is gone, after it was removed */
    void *arg;
};
/* Before the first one. */
void supervisor_hear_guests(struct supervisor *s, const struct guest_calls *calls);

struct guest_wanted {
    const char *task; /* "UID/NAME" */
    uid_t uid;
    enum config_mode mode;
    int bundle;       /* its policy; stays the caller's */
    const char *note; /* what it says of its jail */
};
/* As supervisor_add_jail, but returns at once; `answered` follows.  What the proxy refused is removed
 * already. */
MUST_USE int supervisor_add_guest(struct supervisor *s, const struct guest_wanted *g, struct network *n,
                                  unsigned *ret_id, struct err *e);
/* Another policy for it; `answered` follows. */
MUST_USE int supervisor_change_guest(struct supervisor *s, unsigned id, int bundle, struct err *e);
/* What UDP it tried, as the run says itself. */
void supervisor_note_udp(struct supervisor *s, unsigned id, struct ipc_jail_udp *tried);

/* --- what is not inspected --- */

/* `services`: each listener of the jail's network leads to its target; in their order (sandbox/network.h). */
MUST_USE int supervisor_add_services(struct supervisor *s, unsigned id, const struct policy_forward *services,
                                     size_t count, struct err *e);
/* `publish`: a connection that was accepted, and a socket of the jail's to reach the port by.  Both stay the
 * caller's. */
MUST_USE int supervisor_relay(struct supervisor *s, unsigned id, const struct policy_forward *published,
                              int client, int inside, struct err *e);
/* The jail's last process is gone: what UDP it tried goes on record, the listeners close.  Connections in
 * progress end by themselves.  Before supervisor_stop.  An id that is not there any more is nothing. */
void supervisor_remove_jail(struct supervisor *s, unsigned id);
/* The same of a guest whose run has gone without a word: its connections are cut at once. */
void supervisor_cut_guest(struct supervisor *s, unsigned id);
