/* The watchers that live inside their owners: each is libev's plus who is to be told. */
#include "loop/loop.h"

#include <assert.h>

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
    struct loop_io *io = CONTAINER_OF(w, struct loop_io, ev);

    (void)ev;
    io->ready(io, revents & (LOOP_READ | LOOP_WRITE));
}

void loop_io_init(struct loop_io *io, struct loop *l, int fd, void (*ready)(struct loop_io *io, int events))
{
    ev_io_init(&io->ev, on_io, fd, 0);
    io->loop = l;
    io->ready = ready;
}

/* ev_io_modify, not ev_io_set: the latter makes libev call epoll_ctl(2) even where, at the end of the
 * turn, the interest is what it was. */
void loop_io_change(struct loop_io *io, int events)
{
    ev_io_stop(io->loop->ev, &io->ev);
    if (!events)
        return;
    ev_io_modify(&io->ev, events);
    ev_io_start(io->loop->ev, &io->ev);
}

void loop_io_stop(struct loop_io *io)
{
    ev_io_stop(io->loop->ev, &io->ev);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct loop_deadline *d = CONTAINER_OF(w, struct loop_deadline, ev);

    (void)ev, (void)revents;
    d->fires = 0;
    if (!d->at)
        return;
    if (loop_now(d->loop) < d->at) {
        loop_deadline_start(d);
        return;
    }
    d->at = 0;
    d->due(d);
}

void loop_deadline_init(struct loop_deadline *d, struct loop *l, void (*due)(struct loop_deadline *d))
{
    *d = (struct loop_deadline){.loop = l, .due = due};
    ev_timer_init(&d->ev, on_timer, 0., 0.);
}

void loop_deadline_start(struct loop_deadline *d)
{
    int64_t left = d->at - loop_now(d->loop);

    ev_timer_stop(d->loop->ev, &d->ev);
    ev_timer_set(&d->ev, left > 0 ? (double)left / 1e9 : 0., 0.);
    ev_timer_start(d->loop->ev, &d->ev);
    d->fires = d->at;
}

void loop_deadline_clear(struct loop_deadline *d)
{
    ev_timer_stop(d->loop->ev, &d->ev);
    d->at = d->fires = 0;
}

static void on_soon(struct ev_loop *ev, ev_watcher *w, int revents)
{
    struct loop_soon *s = CONTAINER_OF(w, struct loop_soon, ev);

    (void)ev, (void)revents;
    s->call(s);
}

void loop_soon_init(struct loop_soon *s, struct loop *l, void (*call)(struct loop_soon *s))
{
    *s = (struct loop_soon){.loop = l, .call = call};
    ev_init(&s->ev, on_soon);
}

void loop_soon_start(struct loop_soon *s)
{
    ev_feed_event(s->loop->ev, &s->ev, EV_CUSTOM);
}

void loop_soon_stop(struct loop_soon *s)
{
    ev_clear_pending(s->loop->ev, &s->ev);
}

static void on_async(struct ev_loop *ev, ev_async *w, int revents)
{
    struct loop_wake *wake = CONTAINER_OF(w, struct loop_wake, ev);

    (void)ev, (void)revents;
    wake->woken(wake);
}

void loop_wake_init(struct loop_wake *w, struct loop *l, void (*woken)(struct loop_wake *w))
{
    *w = (struct loop_wake){.loop = l, .woken = woken};
    ev_async_init(&w->ev, on_async);
    ev_async_start(l->ev, &w->ev);
}

void loop_wake_send(struct loop_wake *w)
{
    ev_async_send(w->loop->ev, &w->ev);
}

void loop_wake_stop(struct loop_wake *w)
{
    ev_async_stop(w->loop->ev, &w->ev);
}

static void on_signal(struct ev_loop *ev, ev_signal *w, int revents)
{
    struct loop_signal *s = CONTAINER_OF(w, struct loop_signal, ev);

    (void)ev, (void)revents;
    s->caught(s, w->signum);
}

void loop_signal_init(struct loop_signal *s, struct loop *l, int signo,
                      void (*caught)(struct loop_signal *s, int signo))
{
    assert(ev_is_default_loop(l->ev));
    *s = (struct loop_signal){.loop = l, .caught = caught};
    ev_signal_init(&s->ev, on_signal, signo);
    ev_signal_start(l->ev, &s->ev);
}

void loop_signal_stop(struct loop_signal *s)
{
    ev_signal_stop(s->loop->ev, &s->ev);
}

static void on_child(struct ev_loop *ev, ev_child *w, int revents)
{
    struct loop_child *c = CONTAINER_OF(w, struct loop_child, ev);

    (void)ev, (void)revents;
    ev_child_stop(c->loop->ev, w);
    c->ended(c, w->rstatus);
}

void loop_child_init(struct loop_child *c, struct loop *l, int pid,
                     void (*ended)(struct loop_child *c, int status))
{
    assert(ev_is_default_loop(l->ev));
    *c = (struct loop_child){.loop = l, .ended = ended};
    ev_child_init(&c->ev, on_child, pid, 0);
    ev_child_start(l->ev, &c->ev);
}

void loop_child_stop(struct loop_child *c)
{
    ev_child_stop(c->loop->ev, &c->ev);
}
