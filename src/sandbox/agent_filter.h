/* The system calls of an agent: the table of agent_calls.def as a program for the kernel (seccomp(2),
 * bpf(2)).
 *
 * Written out by hand and not with libseccomp: the table needs "none but these" for sockets, which libseccomp
 * has no words for, and names calls that its version in Debian 12 does not know.  The same filter holds for
 * pid 1 of the jail and for all below it. */
#pragma once
#include "base/macros.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

enum { AGENT_FILTER_MAX = 2048 }; /* instructions; the kernel's limit is 4096 */

/* Pure.  Returns the count of instructions; 0 where they do not fit.
 * `debug`: ptrace(2) is allowed; only with a Landlock domain, which keeps it away from pid 1. */
MUST_USE size_t agent_filter_build(bool debug, struct sock_filter ret[AGENT_FILTER_MAX]);

/* Applies it to the calling thread and what it starts; needs no_new_privs.  -1 with errno. */
MUST_USE int agent_filter_apply(bool debug);

/* For --dry-run and tests: the rows, in order.  NULL behind the last. */
MUST_USE const char *agent_filter_row(size_t i, const char **ret_why, int *ret_errno);
