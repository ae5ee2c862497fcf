/* While the command of a run works: messages of the jail, signals, the terminal, the mounts that protect
 * something. */
#pragma once
#include "app/run_pty.h"
#include "loop/loop.h"
#include "sandbox/jail.h"
#include "sandbox/mounts.h"

enum { RUN_SIGNALS_MAX = 8 };

struct run_session;
struct run_signal {
    struct loop_signal signal;
    struct run_session *session;
};

struct run_session {
    struct loop *loop;
    struct jail *jail;
    const struct mounts *mounts;
    struct run_pty pty;
    struct loop_io messages;
    struct loop_child end;
    struct loop_deadline look;
    struct run_signal passed_on[RUN_SIGNALS_MAX];
    struct loop_signal winch, cont;
    bool running;
    /* Once; the jail is no more, and signals wait until this returns.  status: the command's as a shell has
     * it; -1: exeat ended it, and has said why. */
    void (*ended)(void *arg, int status);
    void (*sockets)(void *arg, struct jail_packet *packet); /* JAIL_SOCKETS: takes the descriptors; may be NULL */
    void *arg;
};

/* Lets the command start (jail_go).  0: it runs; a positive errno: it could not be executed.
 * `s` must not move; the jail is the caller's. */
MUST_USE int run_session_start(struct run_session *s, struct loop *loop, struct jail *jail,
                               const struct mounts *mounts, void (*ended)(void *arg, int status), void *arg,
                               struct err *e);
/* Ends the jail at once, restores the terminal, says why; then `ended` with -1.  Nothing when it has ended.
 */
void run_session_cut(struct run_session *s, const char *why);
/* Restores the terminal and forgets; without a call. */
void run_session_stop(struct run_session *s);
