/* The event loop of a thread: descriptors, deadlines, wake-ups, signals (libev(3)).
 *
 * The only folder that includes ev.h.  Watchers live inside their owners: starting one allocates
 * nothing.  A watcher's owner stops it before it frees itself or closes the descriptor.
 * Not thread-safe except loop_wake_send.
 *
 * What a turn is: callbacks of due deadlines and ready descriptors, then the turn-end calls, then the
 * kernel hears of all interests that differ from before, then the loop sleeps.  So an interest that is
 * dropped and taken up again within a turn costs nothing, and a connection under keep-alive that keeps
 * wanting to read costs no epoll_ctl(2) a request (tests/unit/test_loop.c counts them).
 */
#pragma once
#include "base/macros.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

enum { LOOP_TURN_END_CALLS = 4 };

/* Its fields are loop.c's own; they stand here so that the calls below can be inlined. */
struct loop {
    struct ev_loop *ev;
    int64_t now; /* 0: not read yet in this turn */
    ev_prepare before_sleep;
    ev_check after_sleep;
    unsigned turn_end_count;
    struct {
        void (*call)(void *arg);
        void *arg;
    } turn_end[LOOP_TURN_END_CALLS];
};

enum loop_events { LOOP_READ = EV_READ, LOOP_WRITE = EV_WRITE };

/* `main_thread` also gives signals and children (libev's default loop: one a process). */
MUST_USE struct loop *loop_new(bool main_thread);
void loop_free(struct loop *l);
DEFINE_AUTO(loop)

/* Runs until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

int64_t loop_read_clock(struct loop *l);
/* Monotonic nanoseconds (clock_mono_ns), read once a turn: cheap, at most a turn old. */
static inline int64_t loop_now(struct loop *l)
{
    return LIKELY(l->now) ? l->now : loop_read_clock(l);
}

/* Called once a turn, after all ready descriptors were served and before the loop sleeps: at most
 * LOOP_TURN_END_CALLS of them, in this order, for the life of the loop. */
void loop_at_turn_end(struct loop *l, void (*call)(void *arg), void *arg);

/* A descriptor.  `events` is what is wanted now: 0 stops without forgetting the descriptor. */
struct loop_io {
    ev_io ev;
    struct loop *loop;
    void (*ready)(struct loop_io *io, int events);
};
/* For each descriptor once, before loop_io_want; a watcher that is still active is stopped by its owner
 * first. */
void loop_io_init(struct loop_io *io, struct loop *l, int fd, void (*ready)(struct loop_io *io, int events));
void loop_io_change(struct loop_io *io, int events);

static inline int loop_io_wanted(const struct loop_io *io)
{
    return ev_is_active(&io->ev) ? io->ev.events & (LOOP_READ | LOOP_WRITE) : 0;
}

/* No system call where nothing changes. */
static inline void loop_io_want(struct loop_io *io, int events)
{
    if (loop_io_wanted(io) != events)
        loop_io_change(io, events);
}

/* Also takes back an event that was already found ready: no callback follows. */
void loop_io_stop(struct loop_io *io);

/* A deadline that is mostly moved and seldom met.  Moving it later costs one store; the timer itself
 * is touched only when it fires early or when the deadline comes nearer. */
struct loop_deadline {
    ev_timer ev;
    struct loop *loop;
    int64_t at;    /* loop_now's scale; 0: none */
    int64_t fires; /* when the timer will look; 0: it does not run */
    void (*due)(struct loop_deadline *d);
};
void loop_deadline_init(struct loop_deadline *d, struct loop *l, void (*due)(struct loop_deadline *d));
void loop_deadline_start(struct loop_deadline *d);
void loop_deadline_clear(struct loop_deadline *d);

/* `at` 0 is loop_deadline_clear; a moment that is past is due in the next turn. */
static inline void loop_deadline_set(struct loop_deadline *d, int64_t at)
{
    d->at = at;
    if (UNLIKELY(at == 0))
        loop_deadline_clear(d);
    else if (UNLIKELY(!d->fires || at < d->fires))
        loop_deadline_start(d);
}

static inline void loop_deadline_after(struct loop_deadline *d, int64_t ns)
{
    loop_deadline_set(d, loop_now(d->loop) + ns);
}

/* None for now, at the cost of one store: the timer finds out by itself.  An owner that goes away calls
 * loop_deadline_clear. */
static inline void loop_deadline_pause(struct loop_deadline *d)
{
    d->at = 0;
}

/* Work for as soon as the present callback has returned: before the loop sleeps, without a system call.
 * For callers that promised not to call back from within a call of theirs. */
struct loop_soon {
    ev_watcher ev;
    struct loop *loop;
    void (*call)(struct loop_soon *s);
};
void loop_soon_init(struct loop_soon *s, struct loop *l, void (*call)(struct loop_soon *s));
void loop_soon_start(struct loop_soon *s); /* once, however often it is asked for */
void loop_soon_stop(struct loop_soon *s);

/* A wake-up from another thread. */
struct loop_wake {
    ev_async ev;
    struct loop *loop;
    void (*woken)(struct loop_wake *w);
};
void loop_wake_init(struct loop_wake *w, struct loop *l, void (*woken)(struct loop_wake *w));
void loop_wake_send(struct loop_wake *w); /* from any thread; several may become one call */
void loop_wake_stop(struct loop_wake *w);

/* A signal or a child's end: main thread's loop only. */
struct loop_signal {
    ev_signal ev;
    struct loop *loop;
    void (*caught)(struct loop_signal *s, int signo);
};
void loop_signal_init(struct loop_signal *s, struct loop *l, int signo,
                      void (*caught)(struct loop_signal *s, int signo));
void loop_signal_stop(struct loop_signal *s);

struct loop_child {
    ev_child ev;
    struct loop *loop;
    void (*ended)(struct loop_child *c, int status); /* status: waitpid(2) */
};
void loop_child_init(struct loop_child *c, struct loop *l, int pid,
                     void (*ended)(struct loop_child *c, int status));
void loop_child_stop(struct loop_child *c);
