#include "app/signals.h"

#include "base/macros.h"

#include <signal.h>
#include <stdbool.h>

static const int ours[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGPIPE, SIGUSR1, SIGUSR2};

static sigset_t found_mask;
static bool found_ignored[ARRAY_LEN(ours)];

void signals_enter(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, &found_mask);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        found_ignored[i] = signal(ours[i], SIG_DFL) == SIG_IGN;
}

void signals_found(uint64_t *ret_ignored, uint64_t *ret_blocked)
{
    uint64_t ignored = 0, blocked = 0;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (found_ignored[i])
            ignored |= 1ULL << (ours[i] - 1);
    for (int signo = 1; signo < NSIG && signo <= 64; signo++)
        if (sigismember(&found_mask, signo) == 1)
            blocked |= 1ULL << (signo - 1);
    *ret_ignored = ignored;
    *ret_blocked = blocked;
}
