/* fetch/: which connections are used again, and which must not be. */
#include "base/caps.h"
#include "base/clock.h"
#include "fetch_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void a_returned_connection_is_handed_out_again_at_once(void **state)
{
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);

    (void)state;
    struct fetch_conn *first = connected(&w), *second = connected(&w);
    fetch_release(fetch, first, true);
    fetch_release(fetch, second, true);
    assert_ptr_equal(acquire_pooled(&w), second); /* the warmest */
    assert_ptr_equal(acquire_pooled(&w), first);
    assert_true(first->reused);
    assert_null(acquire_pooled(&w));
    fetch_release(fetch, first, false);
    fetch_release(fetch, second, false);
    close(origin);
}

static void pools_cross_neither_tasks_nor_schemes_nor_hosts_nor_ports(void **state)
{
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80), other[4];

    (void)state;
    fetch_release(fetch, connected(&w), true);
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        other[i] = w;
    other[0].task = SLICE("u");
    other[1].scheme = HTTP_SCHEME_HTTPS;
    other[2].authority.host = SLICE("origin.tesu");
    other[3].authority.port = 81;
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_null(acquire_pooled(&other[i]));
    struct fetch_conn *c = acquire_pooled(&w);
    assert_non_null(c);
    fetch_release(fetch, c, false);
    close(origin);
}

/* What an origin does to an idle connection so that it must not be used again: whether the loop has seen it
 * since, or not. */
static void expect_dropped_after(void (*deed)(int fd), int64_t wait)
{
    settings.override_count = 0;
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);

    fetch_release(fetch, connected(&w), true);
    int fd = accept(origin, NULL, NULL);
    deed(fd);
    if (wait)
        run_for(wait);
    assert_null(acquire_pooled(&w));
    close(fd);
    close(origin);
}

static void send_a_byte(int fd)
{
    assert_int_equal(write(fd, "H", 1), 1);
}

static void send_the_end(int fd)
{
    shutdown(fd, SHUT_WR);
}

static void an_idle_connection_that_speaks_is_dropped(void **state)
{
    (void)state;
    expect_dropped_after(send_a_byte, 20 * MS);
    expect_dropped_after(send_a_byte, 0);
}

static void an_idle_connection_that_ends_is_dropped(void **state)
{
    (void)state;
    expect_dropped_after(send_the_end, 20 * MS);
    expect_dropped_after(send_the_end, 0);
}

static void idle_connections_leave_after_their_time(void **state)
{
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);
    char byte;

    (void)state;
    settings.pool_idle_ns = 20 * MS;
    configure();
    fetch_release(fetch, connected(&w), true);
    int fd = accept(origin, NULL, NULL);
    run_for(60 * MS);
    assert_null(acquire_pooled(&w));
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    close(fd);
    close(origin);
}

/* Gives back one connection more than `cap` over hosts "h0.test", "h1.test", … of tasks "t0", …, and counts those
 * that are still there; the first is the one that has gone. */
static unsigned kept_of(size_t cap, size_t hosts, size_t tasks)
{
    char names[16][16], task_names[16][4];
    struct fetch_want w[16];
    struct fetch_conn **c = calloc(cap + 1, sizeof(struct fetch_conn *));
    int *theirs = calloc(cap + 1, sizeof(int));
    unsigned kept = 0;

    settings.override_count = 0;
    int origin = plain_origin();
    for (size_t i = 0; i < hosts; i++) {
        snprintf(names[i], sizeof names[i], "h%zu.test", i);
        snprintf(task_names[i], sizeof task_names[i], "t%zu", i % tasks);
        override(names[i], 80, "127.0.0.1", settings.overrides[0].to.port);
        w[i] = want(task_names[i], HTTP_SCHEME_HTTP, names[i], 80);
    }
    for (size_t i = 0; i <= cap; i++) {
        c[i] = connected(&w[i % hosts]);
        theirs[i] = accept(origin, NULL, NULL);
    }
    for (size_t i = 0; i <= cap; i++)
        fetch_release(fetch, c[i], true);
    char byte;
    assert_int_equal(recv(theirs[0], &byte, 1, MSG_DONTWAIT), 0); /* the oldest */
    for (size_t i = 0; i < hosts; i++)
        for (struct fetch_conn *one; (one = acquire_pooled(&w[i])); kept++)
            fetch_release(fetch, one, false);
    for (size_t i = 0; i <= cap; i++)
        close(theirs[i]);
    close(origin);
    free(theirs);
    free(c);
    return kept;
}

static void idle_connections_are_bounded_by_host_task_and_in_all(void **state)
{
    struct rlimit files;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    if (files.rlim_max < 3 * CAP_POOL_IDLE || setrlimit(RLIMIT_NOFILE, &files) < 0)
        skip();
    assert_int_equal(kept_of(CAP_POOL_IDLE_PER_HOST, 1, 1), CAP_POOL_IDLE_PER_HOST);
    assert_int_equal(kept_of(CAP_POOL_IDLE_PER_TASK, 4, 1), CAP_POOL_IDLE_PER_TASK);
    assert_int_equal(kept_of(CAP_POOL_IDLE, 15, 15), CAP_POOL_IDLE);
}

static void a_new_generation_uses_nothing_of_the_old(void **state)
{
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);

    (void)state;
    fetch_release(fetch, connected(&w), true);
    struct fetch_conn *out = connected(&w);
    configure();
    assert_null(acquire_pooled(&w)); /* idle ones were closed at once */
    fetch_release(fetch, out, true);
    assert_null(acquire_pooled(&w)); /* and this one when it came back */
    close(origin);
}

static void a_pooled_peer_is_judged_again(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);
    int origin = plain_origin();

    (void)state;
    struct fetch_conn *c = connected(&w);
    listeners[0] = c->peer;
    settings.listener_count = 1;
    configure();
    c->generation = generation; /* as if it had been made under these settings */
    fetch_release(fetch, c, true);
    assert_null(acquire_pooled(&w));
    close(origin);
}

static void an_aborted_connection_is_reset_not_ended(void **state)
{
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);
    char byte;

    (void)state;
    struct fetch_conn *c = connected(&w);
    int fd = accept(origin, NULL, NULL);
    fetch_abort(fetch, c);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(fd);
    close(origin);
}

static void taking_from_the_pool_is_quick(void **state)
{
    enum { ROUNDS = 200000 };
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);

    (void)state;
    fetch_release(fetch, connected(&w), true);
    int64_t begin = clock_mono_ns();
    for (int i = 0; i < ROUNDS; i++) {
        struct fetch_op *op;
        struct fetch_conn *c = fetch_acquire(fetch, &w, note, NULL, &op);
        fetch_release(fetch, c, true);
    }
    print_message("# taking and returning: %.0f ns\n", (double)(clock_mono_ns() - begin) / ROUNDS);
    close(origin);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_returned_connection_is_handed_out_again_at_once),
        CASE(pools_cross_neither_tasks_nor_schemes_nor_hosts_nor_ports),
        CASE(an_idle_connection_that_speaks_is_dropped),
        CASE(an_idle_connection_that_ends_is_dropped),
        CASE(idle_connections_leave_after_their_time),
        CASE(idle_connections_are_bounded_by_host_task_and_in_all),
        CASE(a_new_generation_uses_nothing_of_the_old),
        CASE(a_pooled_peer_is_judged_again),
        CASE(an_aborted_connection_is_reset_not_ended),
        CASE(taking_from_the_pool_is_quick),
    };
    return run_fetch_tests(tests, ARRAY_LEN(tests));
}
