/* Files on the command's standard descriptors.
 *
 * Whoever holds a descriptor can open its file again with other rights (/proc/self/fd, proc(5)), and change
 * the file's modes, times and attributes even by one that only reads (fchmod(2), futimens(3), fsetxattr(2)).
 * Landlock forbids the first and knows nothing of the second, so both are forbidden by where the file is
 * opened: on a mount that is read-only (mount_setattr(2)). */
#pragma once
#include "base/err.h"

enum { JAIL_STREAMS = 3 };
/* In the launcher, as the command's user and with its mount namespace made: opens what standard descriptors
 * have open for reading only anew, at the same offset.  -1 in ret_fds: nothing to do (a pipe, a terminal, a
 * file that has no name any more, or that the user may neither write nor chmod).  The descriptors are the
 * caller's, close-on-exec. Fails where a file that the user could change cannot be opened so. */
MUST_USE int jail_streams_open(int ret_fds[JAIL_STREAMS], struct err *e);
