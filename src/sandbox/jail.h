/* A jail: namespaces, mounts and a first process, set up step by step (jail_steps.def), each of which can
 * only succeed or end the run.
 *
 * jail_start forks a launcher: it gives up root, makes the network, hands the listeners over, and becomes
 * bubblewrap, which makes the file system and becomes pid 1 of the jail (sandbox/inner.h).  That waits until
 * jail_go; no byte of the command runs before.  The launcher, bubblewrap and pid 1 die with the supervisor
 * (PR_SET_PDEATHSIG), and with pid 1 the kernel ends all that is in the jail.
 * For a process with one thread. */
#pragma once
#include "sandbox/jail_wire.h"
#include "sandbox/mounts.h"
#include "sandbox/network.h"

#include <sys/types.h>

struct jail_options {
    struct network_options network;
    bool drop;     /* we are root, and network.uid and gid are what to become */
    bool for_root; /* root's files are shown as that user's (jail_user.h) */
    const char *project, *home, *private; /* with drop: of the plan */
    const char *bubblewrap;               /* absolute */
    struct mounts *mounts;                /* planned and prepared */
    const char *init;                     /* pid 1's path inside */

    const char *path; /* of the command, inside */
    const char *directory;
    const char *const *arguments, *const *environment, *const *write; /* each ends with NULL */
    int32_t landlock;                                                 /* the ABI to use at most */
    bool debug;                                                       /* ptrace(2) */
    uint64_t ignored, blocked; /* signals for the command (jail_setup) */
    uint32_t fail;             /* test builds: 1 + the step that is to fail */
};
enum { JAIL_LANDLOCK_BEST = 1000 };

struct jail {
    pid_t pid;   /* the launcher, later bubblewrap: a child of ours */
    pid_t inner; /* pid 1 of the jail, as we number processes; after jail_await */
    int control; /* jail_receive and jail_say */
    int errors;  /* what bubblewrap wrote */
    int master;  /* of the jail's terminal; -1: none */
    int32_t abi; /* of Landlock as it holds in there; 0: it does not */
};

#define JAIL_NONE ((struct jail){.control = -1, .errors = -1, .master = -1})

/* Whether a command may get this descriptor as it is: no folder, whose `..` leads out, and no connection. */
MUST_USE int jail_check_descriptor(int fd, struct err *e);

/* Returns once the network is handed over; *ret_network is the caller's.
 * `e` names the step, and what to do. */
MUST_USE int jail_start(const struct jail_options *o, struct jail *ret, struct network *ret_network,
                        struct err *e);
/* Waits until pid 1 has done its steps. */
MUST_USE int jail_await(struct jail *j, struct err *e);
/* The command starts.  0: it runs; a positive errno: it could not be executed. */
MUST_USE int jail_go(struct jail *j, struct err *e);
/* SIGKILL and wait; safe on JAIL_NONE. */
void jail_kill(struct jail *j);

/* "cannot make a network without a way out (step network): WHY; FIX" */
int jail_step_failed(enum jail_step step, struct err *e);
