#include "app/closer.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct closer {
    pthread_t thread;
    _Atomic unsigned holders; /* the thread, and who may ask for it */
    size_t count;
    int fds[];
};

static void let_go(struct closer *c)
{
    if (atomic_fetch_sub(&c->holders, 1) == 1)
        free(c);
}

static void *run(void *arg)
{
    struct closer *c = arg;
    for (size_t i = 0; i < c->count; i++)
        if (c->fds[i] >= 0)
            close(c->fds[i]);
    let_go(c);
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
        atomic_init(&c->holders, 2);
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
    let_go(c);
    return true;
}

void closer_leave(struct closer *c)
{
    pthread_detach(c->thread);
    let_go(c);
}
