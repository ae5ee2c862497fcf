/* Sockets that have a name in the file system (unix(7)), of type SOCK_SEQPACKET, and who is at their other
 * end. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* A path in a socket's address has at most 107 bytes: by its folder's descriptor any is short enough.
 * Replaces what has this name where nobody listens there any more. */
MUST_USE int local_socket_listen(int dir_fd, const char *name, mode_t mode, int backlog, struct err *e);
/* -1 with why, and what to do. */
MUST_USE int local_socket_connect(const char *path, struct err *e);
/* SO_PEERCRED: the user by whom the other end was made. */
MUST_USE int local_socket_peer(int fd, uid_t *ret);
/* A descriptor of our own network namespace: who can show it is in no jail, since there it cannot be opened.
 */
MUST_USE int local_namespace_open(struct err *e);
bool local_namespace_is_ours(int fd);
