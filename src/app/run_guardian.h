/* A small process that puts the caller's terminal back when `exeat run` is killed in a way that it cannot
 * hear (SIGKILL): a terminal that is left raw shows nobody what they type (termios(3), "Raw mode").
 *
 * It lives in a session of its own, so that a signal to our process group spares it and job control does not
 * stop it (tty_ioctl(4) asks that of processes of the terminal's session only).  It holds the terminal and
 * one end of a pipe, and ends when the other end closes. */
#pragma once
#include "base/err.h"

#include <sys/types.h>
#include <termios.h>

struct run_guardian {
    int pipe; /* -1: there is none, and every call here does nothing */
    pid_t pid;
};
#define RUN_GUARDIAN_NONE ((struct run_guardian){.pipe = -1})

MUST_USE int run_guardian_start(struct run_guardian *g, int tty, struct err *e);
/* Before the modes are changed from `before` to `now`.  Only where the terminal still has `now` in the end it
 * is put back: a shell that was quicker has set what it wants. */
void run_guardian_note(struct run_guardian *g, const struct termios *before, const struct termios *now);
/* The terminal is as it was, or somebody else's. */
void run_guardian_forget(struct run_guardian *g);
/* Ends it, without a change of modes; safe to call twice. */
void run_guardian_stop(struct run_guardian *g);
