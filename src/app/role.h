/* Roles: processes of ours with one job, started by fork and exec (design: Processes).
 *
 * A role gets standard error, its control channel as descriptor ROLE_CONTROL_FD, an environment of LANG
 * and TZ, a session of its own (Ctrl-C on the terminal is the supervisor's business), and nothing else;
 * whatever it works with comes through the channel.  It dies with the supervisor (PR_SET_PDEATHSIG). */
#pragma once
#include "app/ipc.h"

#include <limits.h>
#include <sys/types.h>

enum { ROLE_CONTROL_FD = 3 };

struct role {
    const char *name; /* "keeper" */
    pid_t pid;        /* 0: not running */
    struct ipc ipc;
};

/* The absolute path of an executable of ours (see role_spawn). */
MUST_USE int role_find(const char *name, char ret[PATH_MAX], struct err *e);
/* Starts the executable `name`: beside our own in a build tree, else in libexec; never through PATH. */
MUST_USE int role_spawn(const char *name, enum ipc_end end, struct role *ret, struct err *e);
/* The folder `name` of our installed data ("presets"); in a build tree the source's conf/`name`. */
MUST_USE int role_data(const char *name, char ret[PATH_MAX], struct err *e);
/* SIGKILL and wait; safe on one that does not run. */
void role_kill(struct role *r);

/* For a role's main(), before anything else: not dumpable, no core, no new privileges, SIGPIPE ignored;
 * opens the control channel.  -1 where the process was not started by a supervisor. */
MUST_USE int role_enter(enum ipc_end self, struct ipc *ret, struct err *e);
/* Tells the supervisor why the role cannot start; returns 1, for main(). */
int role_fail(struct ipc *c, const struct err *e);
