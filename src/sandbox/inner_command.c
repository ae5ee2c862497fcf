#include "sandbox/inner.h"

#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What comes back from between fork and exec. */
struct failure {
    enum { FAILED_DOMAIN, FAILED_DIRECTORY, FAILED_EXEC } at;
    int sys;
};

static void restore_signals(const struct jail_setup *s)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int signo = 1; signo < NSIG && signo <= 64; signo++) {
        uint64_t bit = 1ULL << (signo - 1);
        if (signo != SIGKILL && signo != SIGSTOP)
            signal(signo, s->ignored & bit ? SIG_IGN : SIG_DFL);
        if (s->blocked & bit)
            sigaddset(&blocked, signo);
    }
    sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* In a process group of its own, with the terminal: then Ctrl-Z stops it although nobody in the jail but us
 * would continue it (a group whose parents are all in other sessions is never stopped: setpgid(2)). */
static void take_terminal(const struct inner *in, pid_t group)
{
    setpgid(group, group);
    if (in->slave < 0)
        return;
    signal(SIGTTOU, SIG_IGN);
    if (tcsetpgrp(in->slave, group) < 0) {
        /* It runs in the background of its own terminal, then. */
    }
}

NORETURN static void become(const struct inner *in, int report)
{
    struct failure f = {.at = FAILED_DOMAIN};
    take_terminal(in, getpid());
    restore_signals(&in->setup);
    errno = EPERM;
    bool ready = jail_test_failure(in->setup.fail, JAIL_STEP_domain, NULL) == 0 &&
                 (in->rules < 0 || landlock_apply(in->rules) == 0);
    if (ready) {
        f.at = FAILED_DIRECTORY;
        ready = chdir(in->directory) == 0;
    }
    for (int i = 0; ready && i < 3; i++)
        ready = dup2(in->stdio[i], i) == i;
    if (ready) {
        f.at = FAILED_EXEC;
        execve(in->path, in->arguments, in->environment);
    }
    f.sys = errno;
    if (write(report, &f, sizeof f) < 0) {
        /* Pid 1 sees our status. */
    }
    _exit(127);
}

/* 0: it runs; 1: it could not be executed, which the supervisor was told. */
static int hear_of_start(struct inner *in, int report, enum jail_step *ret_step, struct err *e)
{
    struct failure f;
    ssize_t n;
    while ((n = read(report, &f, sizeof f)) < 0 && errno == EINTR)
        ;
    if (n == 0)
        return jail_say(in->control, JAIL_STARTED, 0) == 0 ? 0 : err_sys(e, "the supervisor is gone");
    *ret_step = JAIL_STEP_domain;
    errno = n == sizeof f ? f.sys : EIO;
    if (n != sizeof f || f.at == FAILED_DOMAIN)
        return err_sys(e, "landlock_restrict_self");
    if (f.at == FAILED_DIRECTORY)
        return err_sys(e, "%s: the working directory", in->directory);
    const struct jail_message m = {.type = JAIL_NOT_STARTED, .sys = f.sys};
    return jail_send(in->control, &m, sizeof m, NULL, 0) == 0 ? 1 : err_sys(e, "the supervisor is gone");
}

/* From here on: the terminal or nothing as 0 and 1, the supervisor's socket as 2, and no more. */
static int settle(struct inner *in)
{
    int null = in->slave >= 0 ? in->slave : open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(in->control, 2) < 0)
        return -1;
    close_range(3, ~0U, 0);
    in->control = 2;
    in->slave = in->slave >= 0 ? 0 : -1;
    in->master = in->rules = in->stdio[0] = in->stdio[1] = in->stdio[2] = -1;
    return 0;
}

int inner_start(struct inner *in, enum jail_step *ret_step, struct err *e)
{
    int pair[2];
    *ret_step = JAIL_STEP_domain;
    if (pipe2(pair, O_CLOEXEC) < 0)
        return err_sys(e, "pipe");
    AUTO_FD int ours = pair[0];
    AUTO_FD int theirs = pair[1];
    in->command = fork();
    if (in->command < 0)
        return err_sys(e, "fork");
    if (in->command == 0)
        become(in, theirs);
    take_terminal(in, in->command);
    fd_auto_close(&theirs);
    theirs = -1;
    int result = hear_of_start(in, ours, ret_step, e);
    if (result != 0)
        return result;
    fd_auto_close(&ours);
    ours = -1;
    return settle(in) < 0 ? err_sys(e, "descriptors") : 0;
}

/* --- while it runs --- */

/* With the command ends what it left behind: nothing is written any more when the supervisor hears of it. */
static void end_others(void)
{
    if (kill(-1, SIGKILL) < 0 && errno != ESRCH)
        return; /* the end of the namespace does the same */
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

/* False: it has ended, *ret_status is ours. */
static bool reap_one(struct inner *in, pid_t pid, int status, int *ret_status)
{
    if (pid != in->command)
        return true;
    if (WIFSTOPPED(status))
        return jail_say(in->control, JAIL_STOPPED, WSTOPSIG(status)) == 0;
    end_others();
    if (jail_say(in->control, JAIL_ENDED, status) < 0)
        return false;
    in->over = true;
    *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return false;
}

static bool reap_all(struct inner *in, int *ret_status)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0)
        if (!reap_one(in, pid, status, ret_status))
            return false;
    return true;
}

/* What somebody typed goes to all who are in front, what a process sent to the command alone. */
static void pass_signal(const struct inner *in, int signo)
{
    bool typed = signo == SIGINT || signo == SIGQUIT;
    if (signo > 0 && signo < NSIG)
        kill(typed ? -in->command : in->command, signo);
}

static void resume(const struct inner *in)
{
    if (in->slave >= 0 && tcsetpgrp(in->slave, in->command) < 0) {
        /* Another group took it: it gives it back itself. */
    }
    kill(-in->command, SIGCONT);
}

/* TCP sockets of this network namespace, which nobody outside can make: published ports are reached by them.
 * Of IPv6 where there is any, since such a one reaches 127.0.0.1 as well (ipv6(7)). */
static bool give_sockets(const struct inner *in, int32_t count)
{
    const struct jail_message m = {.type = JAIL_SOCKETS};
    const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    int fds[JAIL_FDS_MAX];
    size_t n = 0;
    while (n < JAIL_FDS_MAX && (int32_t)n < count) {
        int fd = socket(AF_INET6, type, 0);
        if (fd < 0)
            fd = socket(AF_INET, type, 0);
        if (fd < 0)
            break;
        fds[n++] = fd;
    }
    /* They may not be on their way: the command can use up what its user has for that (unix(7),
     * ETOOMANYREFS). */
    bool sent = jail_send(in->control, &m, sizeof m, fds, n) == 0 ||
                jail_send(in->control, &m, sizeof m, NULL, 0) == 0;
    while (n > 0)
        close(fds[--n]);
    return sent;
}

static bool obey(struct inner *in)
{
    struct jail_packet p;
    struct err e;
    if (jail_receive(in->control, 0, &p, &e) != JAIL_GOT)
        return false;
    jail_packet_close(&p);
    if (p.type == JAIL_SIGNAL)
        pass_signal(in, p.message.value);
    else if (p.type == JAIL_RESUME)
        resume(in);
    else if (p.type == JAIL_WANT_SOCKETS)
        return give_sockets(in, p.message.value);
    return true;
}

/* Until the supervisor has read what the terminal still holds, and ends us. */
static void await_end(const struct inner *in)
{
    struct jail_packet p;
    struct err e;
    while (jail_receive(in->control, -1, &p, &e) == JAIL_GOT)
        jail_packet_close(&p);
}

static void wake_up(int signo UNUSED)
{
}

int inner_reap(struct inner *in)
{
    const struct sigaction action = {.sa_handler = wake_up};
    sigset_t child, none;
    int status = 128 + SIGKILL;
    sigemptyset(&none);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL); /* caught only while we wait: no end is missed */
    if (sigaction(SIGCHLD, &action, NULL) < 0)
        return status;
    while (reap_all(in, &status)) {
        struct pollfd p = {.fd = in->control, .events = POLLIN};
        int n = ppoll(&p, 1, NULL, &none);
        if (n > 0 && !obey(in))
            break;
    }
    if (in->over)
        await_end(in);
    return status;
}
