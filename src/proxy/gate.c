#include "proxy/gate.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STACK_BYTES = 256 << 10, RETRY_MS = 100, NUDGE_NS = 5000000, REST_MAX = 4096 };

/* Those that listen for TCP. */
static const enum jail_socket listening[] = {JAIL_PROXY4,   JAIL_PROXY6,   JAIL_CAPTURE4,
                                             JAIL_CAPTURE6, JAIL_DNS_TCP4, JAIL_DNS_TCP6};

struct gate {
    struct pollfd polled[ARRAY_LEN(listening)];
    gate_take *take;
    void *arg;
    _Atomic bool stop;
    pthread_t thread;
};

/* Only there to end a call that waits. */
static void nudged(int signo UNUSED)
{
}

void gate_close_at_once(int fd)
{
    static const struct linger off;
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off) < 0) {
        /* it has no such thing: a socket of names */
    }
}

static bool accept_one(struct gate *g, size_t i)
{
    int fd = accept4(g->polled[i].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        gate_close_at_once(fd);
        g->take(g->arg, listening[i], fd);
        return true;
    }
    if (!atomic_load(&g->stop) && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        (void)poll(NULL, 0, RETRY_MS); /* no descriptors, or no listener any more: not in circles */
    return false;
}

/* What came before the end; where it does not come, the end is not put off. */
static void accept_rest(struct gate *g)
{
    bool more = poll(g->polled, ARRAY_LEN(listening), 0) > 0;
    for (unsigned n = 0; more && n < REST_MAX; n++) {
        for (size_t i = 0; more && i < ARRAY_LEN(listening); i++)
            more = !g->polled[i].revents || accept_one(g, i);
        more = more && poll(g->polled, ARRAY_LEN(listening), 0) > 0;
    }
}

static void *run(void *arg)
{
    struct gate *g = arg;
    while (!atomic_load(&g->stop)) {
        int n = poll(g->polled, ARRAY_LEN(listening), -1);
        for (size_t i = 0; n > 0 && i < ARRAY_LEN(listening) && !atomic_load(&g->stop); i++)
            if (g->polled[i].revents)
                (void)accept_one(g, i);
    }
    accept_rest(g);
    return NULL;
}

/* All signals but the one that wakes it are the main thread's. */
static int start_thread(struct gate *g)
{
    const struct sigaction nudge = {.sa_handler = nudged};
    pthread_attr_t attr;
    sigset_t all, old;
    if (sigaction(SIGUSR1, &nudge, NULL) < 0 || pthread_attr_init(&attr) != 0)
        return -1;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    sigdelset(&all, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&g->thread, &attr, run, g);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return failed ? -1 : 0;
}

struct gate *gate_new(const int sockets[JAIL_SOCKETS], gate_take *take, void *arg)
{
    struct gate *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->take = take;
    g->arg = arg;
    for (size_t i = 0; i < ARRAY_LEN(listening); i++)
        g->polled[i] = (struct pollfd){.fd = sockets[listening[i]], .events = POLLIN};
    if (start_thread(g) < 0) {
        free(g);
        return NULL;
    }
    return g;
}

/* A signal that comes just before the call would be lost: so it comes again until it was heard. */
void gate_free(struct gate *g)
{
    if (!g)
        return;
    atomic_store(&g->stop, true);
    for (;;) {
        struct timespec until;
        pthread_kill(g->thread, SIGUSR1);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += NUDGE_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_timedjoin_np(g->thread, NULL, &until) == 0)
            break;
    }
    free(g);
}
