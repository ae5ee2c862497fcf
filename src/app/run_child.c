#include "app/run_child.h"

#include "app/run.h"
#include "app/signals.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const int forwarded[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT};

static volatile pid_t target;

static void forward(int signo, siginfo_t *info, void *context UNUSED)
{
    int saved = errno;
    bool typed = (signo == SIGINT || signo == SIGQUIT) && info->si_code == SI_KERNEL;
    if (target > 0 && !typed)
        kill(target, signo);
    errno = saved;
}

void run_child_forget(void)
{
    target = 0;
}

static int watch_signals(struct err *e)
{
    struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
        if (sigaction(forwarded[i], &action, NULL) < 0)
            return err_sys(e, "cannot watch signals");
    return 0;
}

static int set_variable(void *arg UNUSED, const char *name, const char *value)
{
    return setenv(name, value, 1);
}

/* Signals are as we found them: what was ignored for us stays so (nohup). */
NORETURN static void become(char *const *command, const struct env_inputs *env)
{
    struct err e;
    if (env_each(env, set_variable, NULL, &e) < 0) {
        log_error("%s", e.text);
        _exit(RUN_FAILED);
    }
    signals_leave();
    execvp(command[0], command);
    int why = errno;
    log_error("%s: %s", command[0], why == ENOENT ? "command not found" : strerror(why));
    _exit(why == ENOENT ? RUN_NOT_FOUND : RUN_CANNOT_EXECUTE);
}

/* Signals wait until it is known whom to pass them on to. */
pid_t run_child_start(char *const *command, const struct env_inputs *env, struct err *e)
{
    sigset_t held, before;
    sigemptyset(&held);
    for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
        sigaddset(&held, forwarded[i]);
    sigprocmask(SIG_BLOCK, &held, &before);
    pid_t pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        become(command, env);
    }
    if (pid < 0)
        err_sys(e, "cannot start a process");
    target = pid > 0 ? pid : 0;
    int result = pid < 0 ? -1 : watch_signals(e);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return result < 0 ? -1 : pid;
}

int run_child_exit(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
