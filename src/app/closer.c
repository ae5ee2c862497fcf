#include "app/closer.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct closer {
    pthread_t thread;
    size_t count;
    int fds[];
};

static void *run(void *arg)
{
    const struct closer *c = arg;
    for (size_t i = 0; i < c->count; i++)
        if (c->fds[i] >= 0)
            close(c->fds[i]);
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct closer *c)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&c->thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return failed ? -1 : 0;
}

struct closer *closer_start(const int *fds, size_t count)
{
    struct closer *c = malloc(sizeof *c + count * sizeof *fds);
    if (c) {
        c->count = count;
        memcpy(c->fds, fds, count * sizeof *fds);
        if (start_thread(c) == 0)
            return c;
    }
    free(c);
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return NULL;
}

bool closer_ended(struct closer *c)
{
    if (pthread_tryjoin_np(c->thread, NULL) != 0)
        return false;
    free(c);
    return true;
}
