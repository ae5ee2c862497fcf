/* loop/: interests, deadlines, turn ends, wake-ups, signals; and what they cost in system calls. */
#include "loop/loop.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Stands before the C library's: libev's calls come through here. */
static unsigned epoll_ctl_calls;
__attribute__((visibility("default"))) int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    epoll_ctl_calls++;
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

enum { MS = 1000000 };

static struct loop *loop;

static int set_up(void **state)
{
    (void)state;
    loop = loop_new(false);
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void stop_at_deadline(struct loop_deadline *d)
{
    loop_stop(d->loop);
}

static void run_for(int64_t ns)
{
    struct loop_deadline end;

    loop_deadline_init(&end, loop, stop_at_deadline);
    loop_deadline_set(&end, clock_mono_ns() + ns);
    loop_run(loop);
    loop_deadline_clear(&end);
}

/* One side of a socket pair that answers each byte with one, a number of times. */
struct player {
    struct loop_io io;
    int fd;
    unsigned left;
    bool toggles; /* drops its interest and takes it up again in the same turn */
};

static void answer(struct loop_io *io, int events)
{
    struct player *p = CONTAINER_OF(io, struct player, io);
    char byte;

    assert_int_equal(events, LOOP_READ);
    assert_int_equal(read(p->fd, &byte, 1), 1);
    if (p->left-- == 0) {
        loop_stop(io->loop);
        return;
    }
    if (p->toggles) {
        loop_io_want(io, 0);
        loop_io_want(io, LOOP_READ | LOOP_WRITE);
    }
    assert_int_equal(write(p->fd, "x", 1), 1);
    loop_io_want(io, LOOP_READ);
}

static void play(bool toggles)
{
    int fds[2];
    struct player a = {.left = 1000, .toggles = toggles}, b = {.left = 1000, .toggles = toggles};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    a.fd = fds[0], b.fd = fds[1];
    loop_io_init(&a.io, loop, a.fd, answer);
    loop_io_init(&b.io, loop, b.fd, answer);
    loop_io_want(&a.io, LOOP_READ);
    loop_io_want(&b.io, LOOP_READ);
    assert_int_equal(write(a.fd, "x", 1), 1);
    epoll_ctl_calls = 0;
    loop_run(loop);
    loop_io_stop(&a.io);
    loop_io_stop(&b.io);
    close(fds[0]);
    close(fds[1]);
}

static void a_thousand_exchanges_make_two_epoll_ctl_calls(void **state)
{
    (void)state;
    play(false);
    assert_int_equal(epoll_ctl_calls, 2);
}

static void an_interest_dropped_and_taken_up_within_a_turn_costs_nothing(void **state)
{
    (void)state;
    play(true);
    assert_int_equal(epoll_ctl_calls, 2);
}

struct counter {
    struct loop_io io;
    unsigned calls;
    int events;
};

static void count_io(struct loop_io *io, int events)
{
    struct counter *c = CONTAINER_OF(io, struct counter, io);
    c->calls++;
    c->events |= events;
    loop_io_want(io, 0);
}

static void a_watcher_that_wants_nothing_is_not_called_and_can_want_again(void **state)
{
    struct counter c = {0};
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    loop_io_init(&c.io, loop, fds[0], count_io);
    assert_int_equal(loop_io_wanted(&c.io), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_io_want(&c.io, LOOP_READ);
    assert_int_equal(loop_io_wanted(&c.io), LOOP_READ);
    run_for(2 * MS);
    assert_int_equal(c.calls, 1);
    assert_int_equal(c.events, LOOP_READ);
    loop_io_want(&c.io, LOOP_READ | LOOP_WRITE);
    run_for(2 * MS);
    assert_int_equal(c.calls, 2);
    assert_int_equal(c.events, LOOP_READ | LOOP_WRITE);
    loop_io_stop(&c.io);
    close(fds[0]);
    close(fds[1]);
}

static void a_number_used_again_for_another_descriptor_is_watched(void **state)
{
    struct counter c = {0};

    (void)state;
    for (int round = 0; round < 3; round++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        loop_io_init(&c.io, loop, fds[0], count_io);
        loop_io_want(&c.io, LOOP_READ);
        assert_int_equal(write(fds[1], "x", 1), 1);
        c.calls = 0;
        run_for(2 * MS);
        assert_int_equal(c.calls, 1);
        loop_io_stop(&c.io);
        close(fds[0]);
        close(fds[1]);
    }
}

static unsigned due_calls;
static int64_t due_at;

static void note_due(struct loop_deadline *d)
{
    due_calls++;
    due_at = loop_now(d->loop);
    loop_stop(d->loop);
}

static void a_deadline_comes_at_its_time_and_once(void **state)
{
    struct loop_deadline d;
    int64_t at = clock_mono_ns() + 10 * MS;

    (void)state;
    due_calls = 0;
    loop_deadline_init(&d, loop, note_due);
    loop_deadline_set(&d, at);
    loop_run(loop);
    assert_int_equal(due_calls, 1);
    assert_true(due_at >= at);
    assert_int_equal(d.at, 0);
    run_for(15 * MS);
    assert_int_equal(due_calls, 1);
}

static void a_deadline_moved_later_does_not_touch_the_timer_and_comes_later(void **state)
{
    struct loop_deadline d;
    int64_t start = clock_mono_ns();

    (void)state;
    due_calls = 0;
    loop_deadline_init(&d, loop, note_due);
    loop_deadline_set(&d, start + 5 * MS);
    loop_deadline_set(&d, start + 30 * MS);
    assert_int_equal(d.fires, start + 5 * MS);
    loop_run(loop);
    assert_int_equal(due_calls, 1);
    assert_true(due_at >= start + 30 * MS);
}

static void a_deadline_moved_nearer_comes_nearer(void **state)
{
    struct loop_deadline d;
    int64_t start = clock_mono_ns();

    (void)state;
    loop_deadline_init(&d, loop, note_due);
    loop_deadline_set(&d, start + 3600000 * (int64_t)MS);
    loop_deadline_set(&d, start + 5 * MS);
    loop_run(loop);
    assert_true(due_at < start + 3600000 * (int64_t)MS);
}

static void a_deadline_cleared_or_paused_does_not_come(void **state)
{
    struct loop_deadline cleared, paused;

    (void)state;
    due_calls = 0;
    loop_deadline_init(&cleared, loop, note_due);
    loop_deadline_init(&paused, loop, note_due);
    loop_deadline_after(&cleared, 3 * MS);
    loop_deadline_after(&paused, 3 * MS);
    loop_deadline_set(&cleared, 0);
    loop_deadline_pause(&paused);
    run_for(10 * MS);
    assert_int_equal(due_calls, 0);
    assert_int_equal(paused.fires, 0);
    loop_deadline_after(&paused, 1 * MS);
    loop_run(loop);
    assert_int_equal(due_calls, 1);
}

static void a_deadline_in_the_past_comes_at_once(void **state)
{
    struct loop_deadline d;

    (void)state;
    due_calls = 0;
    loop_deadline_init(&d, loop, note_due);
    loop_deadline_set(&d, 1);
    loop_run(loop);
    assert_int_equal(due_calls, 1);
}

struct order {
    char seen[16];
    size_t count;
    struct loop_soon soon;
    struct loop_io io;
};

static void end_of_turn(void *arg)
{
    struct order *o = arg;
    if (o->count && o->seen[o->count - 1] != 'e' && o->count < sizeof o->seen)
        o->seen[o->count++] = 'e';
}

static void soon_called(struct loop_soon *s)
{
    struct order *o = CONTAINER_OF(s, struct order, soon);
    o->seen[o->count++] = 's';
}

static void order_ready(struct loop_io *io, int events)
{
    struct order *o = CONTAINER_OF(io, struct order, io);
    (void)events;
    loop_soon_start(&o->soon);
    loop_soon_start(&o->soon);
    o->seen[o->count++] = 'r';
    loop_io_want(io, 0);
}

static void ready_then_soon_then_the_end_of_the_turn(void **state)
{
    struct order o = {0};
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    loop_at_turn_end(loop, end_of_turn, &o);
    loop_soon_init(&o.soon, loop, soon_called);
    loop_io_init(&o.io, loop, fds[0], order_ready);
    loop_io_want(&o.io, LOOP_WRITE);
    run_for(5 * MS);
    assert_memory_equal(o.seen, "rse", 3);
    assert_int_equal(o.count, 3);
    loop_io_stop(&o.io);
    close(fds[0]);
    close(fds[1]);
}

static struct loop_io *late_io;

static void want_late(void *arg)
{
    (void)arg;
    if (!late_io)
        return;
    loop_io_want(late_io, LOOP_WRITE);
    late_io = NULL;
}

static void stop_when_ready(struct loop_io *io, int events)
{
    (void)events;
    loop_stop(io->loop);
}

static void what_the_end_of_a_turn_starts_is_served_before_a_long_sleep(void **state)
{
    struct loop_io io;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    loop_io_init(&io, loop, fds[0], stop_when_ready);
    late_io = &io;
    loop_at_turn_end(loop, want_late, NULL);
    loop_run(loop); /* would sleep for ever: nothing else is there */
    loop_io_stop(&io);
    close(fds[0]);
    close(fds[1]);
}

static void soon_stopped(struct loop_soon *s)
{
    (void)s;
    fail_msg("called after loop_soon_stop");
}

static void soon_can_be_taken_back(void **state)
{
    struct loop_soon soon;

    (void)state;
    loop_soon_init(&soon, loop, soon_stopped);
    loop_soon_start(&soon);
    loop_soon_stop(&soon);
    run_for(2 * MS);
}

static void woken(struct loop_wake *w)
{
    loop_stop(w->loop);
}

static void *wake_from_elsewhere(void *arg)
{
    loop_wake_send(arg);
    return NULL;
}

static void another_thread_wakes_the_loop(void **state)
{
    struct loop_wake wake;
    pthread_t thread;

    (void)state;
    loop_wake_init(&wake, loop, woken);
    assert_int_equal(pthread_create(&thread, NULL, wake_from_elsewhere, &wake), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    loop_wake_stop(&wake);
}

static int caught_signal;

static void caught(struct loop_signal *s, int signo)
{
    caught_signal = signo;
    loop_stop(s->loop);
}

static int ended_status = -1;

static void ended(struct loop_child *c, int status)
{
    ended_status = status;
    loop_stop(c->loop);
}

static void the_main_loop_hears_signals_and_children(void **state)
{
    AUTO(loop) *main_loop = loop_new(true);
    struct loop_signal s;
    struct loop_child c;

    (void)state;
    assert_non_null(main_loop);
    loop_signal_init(&s, main_loop, SIGUSR1, caught);
    kill(getpid(), SIGUSR1);
    loop_run(main_loop);
    assert_int_equal(caught_signal, SIGUSR1);
    loop_signal_stop(&s);

    int pid = fork();
    if (pid == 0)
        _exit(7);
    loop_child_init(&c, main_loop, pid, ended);
    loop_run(main_loop);
    assert_true(WIFEXITED(ended_status));
    assert_int_equal(WEXITSTATUS(ended_status), 7);
    loop_child_stop(&c);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_thousand_exchanges_make_two_epoll_ctl_calls),
        CASE(an_interest_dropped_and_taken_up_within_a_turn_costs_nothing),
        CASE(a_watcher_that_wants_nothing_is_not_called_and_can_want_again),
        CASE(a_number_used_again_for_another_descriptor_is_watched),
        CASE(a_deadline_comes_at_its_time_and_once),
        CASE(a_deadline_moved_later_does_not_touch_the_timer_and_comes_later),
        CASE(a_deadline_moved_nearer_comes_nearer),
        CASE(a_deadline_cleared_or_paused_does_not_come),
        CASE(a_deadline_in_the_past_comes_at_once),
        CASE(ready_then_soon_then_the_end_of_the_turn),
        CASE(what_the_end_of_a_turn_starts_is_served_before_a_long_sleep),
        CASE(soon_can_be_taken_back),
        CASE(another_thread_wakes_the_loop),
        CASE(the_main_loop_hears_signals_and_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
