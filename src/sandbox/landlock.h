/* Files that a role of ours may touch, and files that an agent may write (landlock(7)). */
#pragma once
#include "sandbox/lockin.h"

#include <stddef.h>

/* The kernel's ABI version, 0 where there is no Landlock (or it is switched off); -1 on failure. */
MUST_USE long landlock_abi(struct err *e);

/* Returns the ABI version that holds now, 0 where the kernel has no Landlock; -1 on failure. */
MUST_USE int landlock_role(enum lockin_role role, const struct lockin_paths *paths, struct err *e);

/* What an agent's domain holds: reading and executing everywhere (the mounts say what there is), writing
 * below the named paths only, and no signals or abstract sockets beyond the domain where the ABI knows them.
 * A second wall: mounts, namespaces and seccomp suffice without it. */
struct landlock_agent {
    const char *const *write; /* absolute; one that does not exist is left out */
    size_t write_count;
    const int
        *fds; /* files to use as they were opened, and not otherwise: a log that somebody redirected to */
    size_t fd_count;
};
enum { LANDLOCK_AGENT_LEAST_ABI = 2 }; /* 1 forbids renaming between folders, which all real work does */

/* The rules as a descriptor (close-on-exec) for landlock_apply, built for `abi` at most. */
MUST_USE int landlock_agent_rules(long abi, const struct landlock_agent *a, struct err *e);
/* For the calling thread and what it starts; needs no_new_privs.  Safe between fork and exec. -1 with errno.
 */
MUST_USE int landlock_apply(int rules);
