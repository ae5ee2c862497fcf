/* The event loop of a thread: descriptors, deadlines, wake-ups, signals (libev(3)).
 *
 * The only folder that includes ev.h.  Watchers live inside their owners: starting one allocates
 * nothing.  A watcher's owner stops it before it frees itself or closes the descriptor.
 * Not thread-safe except loop_wake_send.
 */
#pragma once
#include "base/macros.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

enum loop_events { LOOP_READ = EV_READ, LOOP_WRITE = EV_WRITE };

/* `main_thread` also gives signals and children (libev's default loop: one a process). */
MUST_USE struct loop *loop_new(bool main_thread);
void loop_free(struct loop *l);
DEFINE_AUTO(loop)

/* Runs until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Monotonic nanoseconds, read once a turn: cheap, at most a turn old. */
int64_t loop_now(struct loop *l);

/* Called once a turn, after all ready descriptors were served and before the loop sleeps. */
void loop_at_turn_end(struct loop *l, void (*call)(void *arg), void *arg);

/* A descriptor.  `events` is what is wanted now: 0 stops without forgetting the descriptor. */
struct loop_io {
    ev_io ev;
    struct loop *loop;
    void (*ready)(struct loop_io *io, int events);
};
void loop_io_init(struct loop_io *io, struct loop *l, int fd, void (*ready)(struct loop_io *io, int events));
void loop_io_want(struct loop_io *io, int events); /* no system call where nothing changes */
int loop_io_wanted(const struct loop_io *io);
void loop_io_stop(struct loop_io *io);

/* A deadline that is mostly moved and seldom met.  Moving it later costs one store; the timer itself
 * is touched only when it fires early or when the deadline comes nearer. */
struct loop_deadline {
    ev_timer ev;
    struct loop *loop;
    int64_t at; /* loop_now's scale; 0: none */
    void (*due)(struct loop_deadline *d);
};
void loop_deadline_init(struct loop_deadline *d, struct loop *l, void (*due)(struct loop_deadline *d));
void loop_deadline_set(struct loop_deadline *d, int64_t at);
void loop_deadline_after(struct loop_deadline *d, int64_t ns);
void loop_deadline_clear(struct loop_deadline *d);

/* A wake-up from another thread. */
struct loop_wake {
    ev_async ev;
    struct loop *loop;
    void (*woken)(struct loop_wake *w);
};
void loop_wake_init(struct loop_wake *w, struct loop *l, void (*woken)(struct loop_wake *w));
void loop_wake_send(struct loop_wake *w); /* from any thread */
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
void loop_child_init(struct loop_child *c, struct loop *l, int pid, void (*ended)(struct loop_child *c, int status));
void loop_child_stop(struct loop_child *c);
