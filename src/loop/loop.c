#include "loop/loop.h"

#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* libev aborts where it gets no memory for its tables.  What it asks for is small and seldom, so something is
 * kept back for it: untouched, it costs addresses and no memory (mmap(2); malloc(3), M_MMAP_THRESHOLD). */
enum { RESERVE_BYTES = 256 << 10 };
static _Atomic(void *) reserve;

static void keep_reserve(void)
{
    void *none = NULL, *more = atomic_load(&reserve) ? NULL : malloc(RESERVE_BYTES);

    if (more && !atomic_compare_exchange_strong(&reserve, &none, more))
        free(more);
}

/* As realloc(3), but size 0 frees (ev(3), ev_set_allocator). */
static void *allocate(void *old, long size)
{
    if (size == 0) {
        free(old);
        return NULL;
    }
    void *grown = realloc(old, (size_t)size);
    if (!grown) {
        free(atomic_exchange(&reserve, NULL));
        return realloc(old, (size_t)size);
    }
    keep_reserve();
    return grown;
}

static void use_reserve(void)
{
    ev_set_allocator(allocate);
}

int64_t loop_read_clock(struct loop *l)
{
    return l->now = clock_mono_ns();
}

/* libev calls these before it tells the kernel of changed interests and before it decides whether to
 * sleep: what a call makes ready or starts is served without another turn. */
static void before_sleep(struct ev_loop *ev, ev_prepare *w, int revents)
{
    struct loop *l = CONTAINER_OF(w, struct loop, before_sleep);

    (void)ev, (void)revents;
    for (unsigned i = 0; i < l->turn_end_count; i++)
        l->turn_end[i].call(l->turn_end[i].arg);
}

static void after_sleep(struct ev_loop *ev, ev_check *w, int revents)
{
    (void)ev, (void)revents;
    CONTAINER_OF(w, struct loop, after_sleep)->now = 0;
}

/* NOENV: LIBEV_FLAGS shall not choose another backend.  NOTIMERFD: its only use is to notice jumps of the
 * wall clock, which we do not live by, and each system call saved is one less in the seccomp list.
 * NOSIGMASK: worker threads take no signals, and the mask is app/'s. */
static struct ev_loop *new_ev_loop(bool main_thread)
{
    unsigned flags = EVFLAG_NOENV | EVFLAG_NOTIMERFD | EVFLAG_NOINOTIFY | EVBACKEND_EPOLL;

    return main_thread ? ev_default_loop(flags) : ev_loop_new(flags | EVFLAG_NOSIGMASK);
}

struct loop *loop_new(bool main_thread)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct loop *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    pthread_once(&once, use_reserve);
    l->ev = new_ev_loop(main_thread);
    if (!l->ev) {
        free(l);
        return NULL;
    }
    ev_prepare_init(&l->before_sleep, before_sleep);
    ev_set_priority(&l->before_sleep, EV_MINPRI);
    ev_prepare_start(l->ev, &l->before_sleep);
    /* The clock is forgotten first: whatever else this turn has to say is judged by the new time. */
    ev_check_init(&l->after_sleep, after_sleep);
    ev_set_priority(&l->after_sleep, EV_MAXPRI);
    ev_check_start(l->ev, &l->after_sleep);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    ev_prepare_stop(l->ev, &l->before_sleep);
    ev_check_stop(l->ev, &l->after_sleep);
    ev_loop_destroy(l->ev);
    free(l);
}

void loop_run(struct loop *l)
{
    l->now = 0;
    ev_run(l->ev, 0);
}

void loop_stop(struct loop *l)
{
    ev_break(l->ev, EVBREAK_ALL);
}

void loop_at_turn_end(struct loop *l, void (*call)(void *arg), void *arg)
{
    assert(l->turn_end_count < LOOP_TURN_END_CALLS);
    l->turn_end[l->turn_end_count].call = call;
    l->turn_end[l->turn_end_count].arg = arg;
    l->turn_end_count++;
}
