/* The caller's terminal and the jail's: bytes, window size and job control from one to the other
 * (tty_ioctl(4)).
 *
 * The jail has a terminal of its own (sandbox/inner.h), whose master we hold.  Ours is in raw mode meanwhile,
 * so that what is typed means something inside and nothing outside; it is as it was whenever we are stopped,
 * in the background or gone, however we went (run_guardian.h). */
#pragma once
#include "app/run_guardian.h"
#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

#include <termios.h>

struct run_pty {
    struct loop *loop;
    int tty, master; /* master -1: there is none, and every call here does nothing */
    struct termios before;
    struct run_guardian guardian;
    bool raw, ended;
    struct loop_io typed, shown;
    struct buf in, out; /* typed and not yet read inside; shown and not yet written outside */
};

/* Takes master over (-1: none).  `p` must not move. */
MUST_USE int run_pty_start(struct run_pty *p, struct loop *loop, int master, struct err *e);
/* SIGWINCH. */
void run_pty_resize(struct run_pty *p);
/* Before we stop ourselves; after SIGCONT.  Raw mode only in the foreground. */
void run_pty_leave(struct run_pty *p);
void run_pty_enter(struct run_pty *p);
/* The command has ended: shows what it still wrote, restores the terminal, closes.  Safe to call twice. */
void run_pty_stop(struct run_pty *p);
