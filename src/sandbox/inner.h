/* Pid 1 of a jail: sets up what can only be set up inside, starts the command, reaps, ends with it.
 *
 * The same user runs the command, so pid 1 must be no way out: it cannot be read or traced (not dumpable),
 * stands under the command's own system call filter before it starts it, and holds no descriptor but 0, 1
 * (the terminal or /dev/null) and 2 (the supervisor's socket, which the command never sees).
 * When that socket ends, so does it, and with it the kernel ends all others (pid_namespaces(7)).  Not before,
 * also when the command has ended: as the leader of its session it would take with it what the terminal's
 * other side has not read yet (tty_ioctl(4): a hangup). */
#pragma once
#include "sandbox/jail_wire.h"

#include <sys/types.h>

struct inner {
    int control;
    int stdio[3];      /* the command's, close-on-exec */
    int instead[3];    /* of these, read-only (jail_streams.h); -1: none */
    int slave, master; /* of the jail's terminal; -1: none */
    int rules;         /* Landlock's; -1: none */
    int32_t abi;       /* of these rules; 0: none */
    struct jail_setup setup;
    char *texts; /* mapped: what the pointers below point into */
    const char *path, *directory;
    char **arguments, **environment, **write;
    pid_t command;
    bool over; /* it has ended */
};

/* inner_setup.c: receives what to do, then the steps of JAIL_INNER.  On failure *ret_step says where. */
MUST_USE int inner_receive(struct inner *in, struct err *e);
MUST_USE int inner_set_up(struct inner *in, enum jail_step *ret_step, struct err *e);

/* inner_command.c: forks and executes; the supervisor is told whether it runs. */
MUST_USE int inner_start(struct inner *in, enum jail_step *ret_step, struct err *e);
/* Until the command has ended, and the supervisor has heard it; returns an exit status. */
MUST_USE int inner_reap(struct inner *in);
