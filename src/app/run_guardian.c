#include "app/run_guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* One write(2) of less than PIPE_BUF: it arrives whole (pipe(7)). */
struct note {
    bool changed;
    struct termios before, now;
};
_Static_assert(sizeof(struct note) <= 512, "a note is written at once");

static bool is_same(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
           a->c_cflag == b->c_cflag && memcmp(a->c_cc, b->c_cc, sizeof a->c_cc) == 0;
}

static void put_back(int tty, const struct note *n)
{
    struct termios found;
    if (!n->changed || tcgetattr(tty, &found) < 0 || !is_same(&found, &n->now))
        return;
    if (tcsetattr(tty, TCSANOW, &n->before) < 0) {
        /* Nobody is there any more who could be told. */
    }
}

/* Keeps nothing else open: others wait for the end of what we inherited. */
static int keep_two(int *tty, int *pipe)
{
    if (dup2(*tty, 0) < 0 || dup2(*pipe, 1) < 0 || close_range(2, ~0U, 0) < 0)
        return -1;
    *tty = 0;
    *pipe = 1;
    return 0;
}

NORETURN static void guard(int tty, int pipe)
{
    struct note last = {.changed = false}, next;
    ssize_t n;
    setsid();
    for (int signo = 1; signo < NSIG; signo++)
        if (signo != SIGKILL && signo != SIGSTOP)
            signal(signo, SIG_IGN);
    if (prctl(PR_SET_NAME, "exeat-guardian") < 0 || keep_two(&tty, &pipe) < 0)
        _exit(1);
    while ((n = read(pipe, &next, sizeof next)) == sizeof next || (n < 0 && errno == EINTR))
        if (n > 0)
            last = next;
    put_back(tty, &last);
    _exit(0);
}

int run_guardian_start(struct run_guardian *g, int tty, struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(e, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        /* Above the two numbers that it will have, so that neither is closed by the other's move. */
        int held = fcntl(tty, F_DUPFD, 2), told = fcntl(ends[0], F_DUPFD, 2);
        guard(held, told);
    }
    int why = errno;
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        errno = why;
        return err_sys(e, "fork");
    }
    *g = (struct run_guardian){.pipe = ends[1], .pid = pid};
    return 0;
}

static void tell(struct run_guardian *g, const struct note *n)
{
    if (g->pipe >= 0 && write(g->pipe, n, sizeof *n) < 0) {
        /* It was killed: then nobody puts the terminal back if we are too. */
    }
}

void run_guardian_note(struct run_guardian *g, const struct termios *before, const struct termios *now)
{
    const struct note n = {.changed = true, .before = *before, .now = *now};
    tell(g, &n);
}

void run_guardian_forget(struct run_guardian *g)
{
    const struct note n = {.changed = false};
    tell(g, &n);
}

void run_guardian_stop(struct run_guardian *g)
{
    if (g->pipe < 0)
        return;
    run_guardian_forget(g);
    close(g->pipe);
    while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *g = RUN_GUARDIAN_NONE;
}
