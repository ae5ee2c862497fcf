/* How a role of ours locks itself in, before it reads a byte from outside.
 *
 * Two walls: seccomp (seccomp(2)) says which system calls there are at all, Landlock (landlock(7)) below
 * which folders files may be touched.  The lists are tables: calls.def.  Neither can be undone.
 * A kernel without Landlock is said in *ret_note and is no failure; one without seccomp is. */
#pragma once
#include "base/err.h"

#include <stdbool.h>

enum lockin_role {
    LOCKIN_KEEPER = 1, /* sockets that are open already; no file, no socket, no process */
    LOCKIN_PROXY = 2,  /* threads, TCP and DNS, and the folder of the audit log */
};

struct lockin_paths {
    int audit_dir; /* proxy: the folder where the log is written, renamed and removed; else -1 */
};

enum { LOCKIN_NOTE_BYTES = 120 };

/* For a process with one thread.  `ret_note`: what holds now, for the log's start record. */
MUST_USE int lockin_apply(enum lockin_role role, const struct lockin_paths *paths,
                          char ret_note[LOCKIN_NOTE_BYTES], struct err *e);
