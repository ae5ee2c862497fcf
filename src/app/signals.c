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

void signals_leave(void)
{
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        signal(ours[i], found_ignored[i] ? SIG_IGN : SIG_DFL);
    sigprocmask(SIG_SETMASK, &found_mask, NULL);
}
