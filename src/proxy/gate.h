/* Who accepts for a jail whose listening sockets somebody else holds too.
 *
 * Whether accept4(2) waits is a property of the open file, not of our descriptor (fcntl(2), O_NONBLOCK):
 * whoever sent us the socket can make it wait at any time, also between poll and accept, and take the
 * connection away that we were told of.  A worker that waits stops all tasks; so a thread of this jail's own
 * accepts, and hands on connections, which are ours alone. */
#pragma once
#include "proxy/proxy.h"

struct gate;

/* Takes the descriptor over; called in the gate's thread. */
typedef void gate_take(void *arg, enum jail_socket which, int fd);
/* The sockets (-1: none) stay open until gate_free has returned. */
MUST_USE struct gate *gate_new(const int sockets[JAIL_SOCKETS], gate_take *take, void *arg);
/* Nothing is accepted any more; NULL is nothing. */
void gate_free(struct gate *g);
DEFINE_AUTO(gate)

/* close(2) of this socket will not wait for its peer to read.  SO_LINGER makes it (socket(7)), for hours and
 * whether the socket blocks or not; connections inherit it from the listening socket, where a stranger can
 * set it. */
void gate_close_at_once(int fd);
