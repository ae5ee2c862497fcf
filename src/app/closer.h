/* Closing descriptors that a stranger sent, without waiting for him.
 *
 * close(2) asks the file's owner: one of a FUSE file system answers when its user likes (FUSE_FLUSH), a TCP
 * socket with SO_LINGER when its peer has read all (socket(7)); and what still lies in a socket's queue is
 * closed with that socket.  So a thread closes them. */
#pragma once
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

struct closer;

/* Takes the descriptors over (-1 is none); they are closed in this order.  NULL: they are closed already. */
struct closer *closer_start(const int *fds, size_t count);
/* True: all are closed, and `c` is freed. */
MUST_USE bool closer_ended(struct closer *c);
/* Nobody asks for it any more: it ends by itself, or with the process. */
void closer_leave(struct closer *c);
