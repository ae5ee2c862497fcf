/* proxy/tasks: what a task may use at once, whoever asks for it and however often the policy is loaded. */
#include "proxy/sources.h"
#include "proxy/tasks.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000000000ll

static struct task_table *table;

static int set_up(void **state)
{
    (void)state;
    table = task_table_new();
    return table ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    task_table_free(table);
    return 0;
}

static void a_name_has_one_state(void **state)
{
    (void)state;
    struct task_state *a = task_table_get(table, SLICE("a"));
    assert_non_null(a);
    assert_string_equal(a->name, "a");
    assert_ptr_equal(task_table_get(table, SLICE("a")), a);
    assert_ptr_not_equal(task_table_get(table, SLICE("aa")), a);
    assert_ptr_not_equal(task_table_get(table, SLICE("b")), a);
}

/* More names than buckets: chains. */
static void many_names_stay_apart(void **state)
{
    struct task_state *seen[3000];
    char name[16];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        snprintf(name, sizeof name, "task-%zu", i);
        seen[i] = task_table_get(table, slice_str(name));
        assert_string_equal(seen[i]->name, name);
    }
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        snprintf(name, sizeof name, "task-%zu", i);
        assert_ptr_equal(task_table_get(table, slice_str(name)), seen[i]);
    }
}

static void connections_are_counted_to_the_limit_and_back(void **state)
{
    (void)state;
    struct task_state *t = task_table_get(table, SLICE("t")), *other = task_table_get(table, SLICE("other"));
    for (int i = 0; i < 3; i++)
        assert_true(task_connection_begin(t, 3));
    assert_false(task_connection_begin(t, 3));
    assert_false(task_connection_begin(t, 3)); /* a refusal is not counted */
    assert_true(task_connection_begin(other, 3));
    task_connection_end(t);
    assert_true(task_connection_begin(t, 3));
    assert_false(task_connection_begin(t, 3));
    assert_false(task_connection_begin(t, 2)); /* a lower limit after a reload */
    assert_true(task_connection_begin(t, 4));
    assert_false(task_connection_begin(other, 0));
}

enum { THREADS = 4, TRIES = 20000, LIMIT = 5 };

static void *begin_and_end(void *arg)
{
    struct task_state *t = arg;
    size_t over = 0;
    for (int i = 0; i < TRIES; i++) {
        if (!task_connection_begin(t, LIMIT))
            continue;
        over += atomic_load(&t->connections) > LIMIT + THREADS;
        task_connection_end(t);
    }
    return (void *)over;
}

static void workers_count_together(void **state)
{
    (void)state;
    struct task_state *t = task_table_get(table, SLICE("t"));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, begin_and_end, t), 0);
    for (int i = 0; i < THREADS; i++) {
        void *over;
        assert_int_equal(pthread_join(threads[i], &over), 0);
        assert_null(over);
    }
    assert_int_equal(atomic_load(&t->connections), 0);
}

static unsigned certs_at(struct task_state *t, int64_t now)
{
    unsigned made = 0;
    while (task_blocked_cert(t, now))
        assert_in_range(++made, 1, 10 * BLOCKED_CERT_BURST);
    return made;
}

/* To add a case: a row; times ascend. */
static const struct {
    int64_t at;
    unsigned certs;
} budget[] = {
    {1000 * SECOND, BLOCKED_CERT_BURST}, /* a burst */
    {1000 * SECOND, 0},                  /* and no more */
    {1000 * SECOND + SECOND / 2, 0},     /* half of one is none */
    {1001 * SECOND, 1},                  /* one a second */
    {1005 * SECOND + SECOND / 2, 4},     /* saved up */
    {1006 * SECOND, 1},                  /* the half was not lost */
    {5000 * SECOND, BLOCKED_CERT_BURST}, /* never more than the burst */
    {5000 * SECOND + 10 * SECOND, 10},
};

static void certificates_for_blocked_names_have_a_budget_in_time(void **state)
{
    (void)state;
    struct task_state *t = task_table_get(table, SLICE("t"));
    for (size_t i = 0; i < ARRAY_LEN(budget); i++)
        assert_int_equal(certs_at(t, budget[i].at), budget[i].certs);
}

static void one_tasks_budget_is_not_anothers(void **state)
{
    (void)state;
    assert_int_equal(certs_at(task_table_get(table, SLICE("a")), SECOND), BLOCKED_CERT_BURST);
    assert_int_equal(certs_at(task_table_get(table, SLICE("b")), SECOND), BLOCKED_CERT_BURST);
    assert_int_equal(certs_at(task_table_get(table, SLICE("a")), SECOND), 0);
}

/* A name that comes and goes has what is left to whom it belongs. */
static void tasks_of_one_payer_have_one_budget(void **state)
{
    (void)state;
    const struct slice payer = SLICE("1000/");
    struct task_state *a = task_table_hold(table, SLICE("1000/a"), payer);
    struct task_state *other = task_table_hold(table, SLICE("1001/a"), SLICE("1001/"));
    struct task_state *alone = task_table_hold(table, SLICE("alone"), SLICE(""));
    for (unsigned i = 0; i < BLOCKED_RECORD_BURST; i++)
        assert_true(task_may_note(a, 1000 * SECOND));
    assert_true(task_record(a, 1000 * SECOND, 1000, 1000 + 1));
    task_table_release(table, a);
    struct task_state *b = task_table_hold(table, SLICE("1000/b"), payer);
    assert_ptr_not_equal(b, b->payer);
    assert_false(task_may_note(b, 1000 * SECOND));
    assert_int_equal(b->unrecorded, 1);
    assert_false(task_record(b, 1000 * SECOND, 1000, 1000 + 1));
    assert_true(task_connection_begin(b, 1)); /* these are its own */
    assert_int_equal(certs_at(b, 1000 * SECOND), BLOCKED_CERT_BURST);
    assert_true(task_may_note(other, 1000 * SECOND));
    assert_true(task_may_note(alone, 1000 * SECOND));
    task_table_release(table, b);
    task_table_release(table, other);
    task_table_release(table, alone);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void blocked_records_have_a_burst_and_a_rate(void **state)
{
    (void)state;
    struct task_state *t = task_table_get(table, SLICE("t"));
    unsigned count = 0;
    while (task_blocked_record(t, 1000 * SECOND))
        count++;
    assert_int_equal(count, BLOCKED_RECORD_BURST);
    for (count = 0; task_blocked_record(t, 1002 * SECOND); count++)
        ;
    assert_int_equal(count, 2 * BLOCKED_RECORDS_PER_SECOND);
    assert_true(task_blocked_record(task_table_get(table, SLICE("other")), 1000 * SECOND));
    assert_false(task_may_note(t, 1002 * SECOND));
    assert_int_equal(t->unrecorded, 1);
    assert_true(task_may_note(NULL, 1002 * SECOND));
}

static void a_share_of_the_log_is_bytes_a_day(void **state)
{
    (void)state;
    struct task_state *t = task_table_get(table, SLICE("t"));
    const int64_t day = 86400 * SECOND;
    unsigned count = 0;
    while (task_record(t, day, 1000, 1 << 20))
        count++;
    assert_in_range(count, 1047, 1048);
    assert_true(task_record(t, day, 1000, 0)); /* no share, no limit */
    assert_false(task_record(t, day + day / 4000, 1000, 1 << 20));
    assert_true(task_record(t, day + day / 2, 500000, 1 << 20));
    assert_false(task_record(t, 100 * day, 2 << 20, 1 << 20)); /* more than a share at once */
}

static void add_up(void *arg, const char *name, uint64_t count)
{
    *(uint64_t *)arg += strcmp(name, "t") == 0 ? count : 1000000;
}

static void what_has_no_record_is_counted_once(void **state)
{
    (void)state;
    struct task_state *t = task_table_get(table, SLICE("t"));
    uint64_t sum = 0;
    assert_non_null(task_table_get(table, SLICE("nothing")));
    atomic_fetch_add(&t->unrecorded, 7);
    task_table_take_unrecorded(table, add_up, &sum);
    task_table_take_unrecorded(table, add_up, &sum);
    assert_int_equal(sum, 7);
}

/* A task that lives shorter than a second has its count all the same. */
static void what_was_refused_outlives_its_task(void **state)
{
    (void)state;
    struct task_state *t = task_table_hold(table, SLICE("t"), SLICE("1000/"));
    uint64_t sum = 0;
    atomic_fetch_add(&t->unrecorded, 3);
    task_table_release(table, t);
    task_table_take_unrecorded(table, add_up, &sum);
    task_table_take_unrecorded(table, add_up, &sum);
    assert_int_equal(sum, 3);
    t = task_table_hold(table, SLICE("t"), SLICE(""));
    assert_ptr_equal(t->payer, t); /* another one of that name */
    task_table_release(table, t);
}

/* One connection more of an address, where each may have two. */
static struct source *open_from(struct sources *all, const char *address)
{
    struct fetch_address a = {.family = strchr(address, ':') ? AF_INET6 : AF_INET};
    assert_int_equal(inet_pton(a.family, address, a.bytes), 1);
    return sources_begin(all, &a, 2);
}

static void addresses_count_one_by_one_and_networks_of_ipv6_as_one(void **state)
{
    (void)state;
    struct sources *all = sources_new();
    struct source *held[] = {open_from(all, "10.0.0.1"), open_from(all, "10.0.0.1"), open_from(all, "10.0.0.2"),
                             open_from(all, "2001:db8::1"), open_from(all, "2001:db8::2:3")};
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        assert_non_null(held[i]);
    assert_null(open_from(all, "10.0.0.1"));
    assert_null(open_from(all, "2001:db8::4"));
    source_end(held[0]);
    source_end(held[3]);
    held[0] = open_from(all, "10.0.0.1");
    held[3] = open_from(all, "2001:db8:0:1::1");
    assert_non_null(held[0]);
    assert_non_null(held[3]);
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        source_end(held[i]);
    source_end(NULL);
    sources_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_name_has_one_state),
        CASE(many_names_stay_apart),
        CASE(connections_are_counted_to_the_limit_and_back),
        CASE(workers_count_together),
        CASE(certificates_for_blocked_names_have_a_budget_in_time),
        CASE(one_tasks_budget_is_not_anothers),
        CASE(blocked_records_have_a_burst_and_a_rate),
        CASE(tasks_of_one_payer_have_one_budget),
        CASE(a_share_of_the_log_is_bytes_a_day),
        CASE(what_has_no_record_is_counted_once),
        CASE(what_was_refused_outlives_its_task),
        CASE(addresses_count_one_by_one_and_networks_of_ipv6_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
