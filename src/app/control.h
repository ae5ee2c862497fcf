/* `control: SOCKET` of a daemon: runs of this machine's users come here (`exeat run --daemon SOCKET`) with a
 * policy and a jail's network, and are a task as long as they stay connected.
 *
 * Nobody who comes is believed.  The kernel says which user it is (SO_PEERCRED), and its task is called
 * UID/NAME, so that no user can see, replace or end another one's.  It shows a descriptor of this network
 * namespace, which no jailed program can have.  Its policy is a sealed memfd, so that what was judged is what
 * holds, and is compiled by the proxy, which has locked itself in, under the operator's word (`site`).  Its
 * sockets are looked at, and served in a way that survives what their other holder does with them
 * (proxy/gate.h).  Numbers, sizes and times are bounded; nobody is waited for.
 *
 * The messages are those of app/ipc.h between RUN and SUPERVISOR:
 *
 *     HELLO →  ← WELCOME  NETWORK →  ← READY  (UDP | POLICY →  ← POLICY_TAKEN)…  END →  ← LEFT
 *
 * REFUSED instead of WELCOME or READY is the end; instead of POLICY_TAKEN the former policy stays in force.
 */
#pragma once
#include "app/supervisor.h"

struct control;

/* *ret is NULL where the configuration has no `control`. */
MUST_USE int control_open(struct loop *loop, struct supervisor *s, struct control **ret, struct err *e);
/* Ends all of them, and removes the socket; before the supervisor goes.  NULL is nothing. */
void control_free(struct control *c);
