#include "app/run_session.h"

#include "base/log.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* SIGWINCH and SIGCONT are about our own terminal; the others are the command's. */
static const int passed_on[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT, SIGTSTP};
enum { LOOK_NS = 250000000 };

/* Whoever is told makes harmless what the command has left: one more Ctrl-C comes when that is done. */
static void end(struct run_session *s, int status)
{
    sigset_t held, before;
    sigemptyset(&held);
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++)
        sigaddset(&held, passed_on[i]);
    sigprocmask(SIG_BLOCK, &held, &before);
    run_session_stop(s);
    jail_kill(s->jail);
    s->ended(s->arg, status);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

void run_session_cut(struct run_session *s, const char *why)
{
    if (!s->running)
        return;
    jail_kill(s->jail); /* first of all: nothing goes on while we speak */
    run_pty_stop(&s->pty);
    log_error("%s: the jail is ended", why);
    end(s, -1);
}

static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* As if it had been typed: with us stop those who are in our group, and the shell takes the terminal.  A
 * group that no shell watches is not stopped (signal(7)); then the command goes on at once. */
static void stop_ourselves(struct run_session *s)
{
    struct sigaction before;
    const struct sigaction stop = {.sa_handler = SIG_DFL};
    run_pty_leave(&s->pty);
    sigaction(SIGTSTP, &stop, &before);
    kill(0, SIGTSTP);
    sigaction(SIGTSTP, &before, NULL);
    run_pty_enter(&s->pty);
    if (jail_say(s->jail->control, JAIL_RESUME, 0) < 0)
        run_session_cut(s, "pid 1 of the jail does not answer");
}

/* False when there is nothing more to read now, or all is over. */
static bool read_message(struct run_session *s)
{
    struct jail_packet p;
    struct err e;
    if (jail_receive(s->jail->control, 0, &p, &e) != JAIL_GOT)
        return false;
    if (p.type == JAIL_SOCKETS && s->sockets) {
        s->sockets(s->arg, &p);
        return true;
    }
    jail_packet_close(&p);
    if (p.type == JAIL_ENDED) {
        end(s, exit_status(p.message.value));
        return false;
    }
    if (p.type != JAIL_STOPPED) {
        run_session_cut(s, "pid 1 of the jail breaks the protocol");
        return false;
    }
    stop_ourselves(s);
    return s->running;
}

static void on_message(struct loop_io *io, int events UNUSED)
{
    struct run_session *s = CONTAINER_OF(io, struct run_session, messages);
    if (!read_message(s) && s->running)
        loop_io_stop(&s->messages); /* the end as a child follows */
}

/* Without a word before: somebody has killed bubblewrap or pid 1. */
static void on_end(struct loop_child *child, int status)
{
    struct run_session *s = CONTAINER_OF(child, struct run_session, end);
    if (!WIFEXITED(status) && !WIFSIGNALED(status))
        return;
    s->jail->pid = 0;
    while (s->running && read_message(s))
        ;
    run_session_cut(s, "it was killed from outside");
}

static void look_at_mounts(struct loop_deadline *d)
{
    struct run_session *s = CONTAINER_OF(d, struct run_session, look);
    struct err e = {0};
    if (mounts_check(s->mounts, s->jail->inner, &e) < 0)
        run_session_cut(s, e.text);
    else
        loop_deadline_after(d, LOOK_NS);
}

static void on_signal(struct loop_signal *signal, int signo)
{
    struct run_session *s = CONTAINER_OF(signal, struct run_signal, signal)->session;
    if (jail_say(s->jail->control, JAIL_SIGNAL, signo) < 0) {
        /* It is ending: nobody is there to hear it. */
    }
}

static void on_winch(struct loop_signal *signal, int signo UNUSED)
{
    run_pty_resize(&CONTAINER_OF(signal, struct run_session, winch)->pty);
}

static void on_cont(struct loop_signal *signal, int signo UNUSED)
{
    run_pty_enter(&CONTAINER_OF(signal, struct run_session, cont)->pty);
}

/* Before the command starts: a signal that comes just then would end us, and not the command. */
static void watch_signals(struct run_session *s)
{
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
        s->passed_on[i].session = s;
        loop_signal_init(&s->passed_on[i].signal, s->loop, passed_on[i], on_signal);
    }
    loop_signal_init(&s->winch, s->loop, SIGWINCH, on_winch);
    loop_signal_init(&s->cont, s->loop, SIGCONT, on_cont);
}

static void unwatch_signals(struct run_session *s)
{
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++)
        loop_signal_stop(&s->passed_on[i].signal);
    loop_signal_stop(&s->winch);
    loop_signal_stop(&s->cont);
}

static void watch(struct run_session *s)
{
    loop_io_init(&s->messages, s->loop, s->jail->control, on_message);
    loop_io_want(&s->messages, LOOP_READ);
    loop_child_init(&s->end, s->loop, s->jail->pid, on_end);
    loop_deadline_init(&s->look, s->loop, look_at_mounts);
    loop_deadline_after(&s->look, LOOK_NS);
    s->running = true;
}

int run_session_start(struct run_session *s, struct loop *loop, struct jail *jail,
                      const struct mounts *mounts, void (*ended)(void *arg, int status), void *arg,
                      struct err *e)
{
    *s = (struct run_session){.loop = loop, .jail = jail, .mounts = mounts, .ended = ended, .arg = arg};
    int master = TAKE_FD(jail->master);
    if (run_pty_start(&s->pty, loop, master, e) < 0)
        return -1;
    watch_signals(s);
    int result = jail_go(jail, e);
    if (result != 0) {
        unwatch_signals(s);
        run_pty_stop(&s->pty);
        return result;
    }
    watch(s);
    return 0;
}

void run_session_stop(struct run_session *s)
{
    run_pty_stop(&s->pty);
    if (!s->running)
        return;
    s->running = false;
    loop_io_stop(&s->messages);
    loop_child_stop(&s->end);
    loop_deadline_clear(&s->look);
    unwatch_signals(s);
}
