/* Which process of a jail has a connection: inode by sock_diag(7), process by /proc (proc(5)).
 *
 * Only processes in the jail's own network namespace are looked at; time and numbers are bounded; what is not
 * found is not known.  Arguments are redacted here, so that nobody else sees them whole. */
#pragma once
#include "proxy/client.h"

enum { WHOASKED_RECENT = 16 };

struct whoasked {
    int diag;                    /* not owned */
    uint64_t namespace;          /* inode of the jail's network namespace; 0: cannot be known */
    int recent[WHOASKED_RECENT]; /* processes that asked last: most connections are theirs */
    unsigned next;
};

void whoasked_init(struct whoasked *w, int diag);
/* Fills `ret` (and its id); pid 0 where nobody was found. */
void whoasked_answer(struct whoasked *w, const struct client_question *q, struct client_answer *ret);
