/* app/control_rates: how often one user may come, whoever else does. */
#include "app/control_rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND 1000000000ll

enum { ALICE = 1000, BOB = 1001 };

static int set_up(void **state)
{
    *state = control_rates_new();
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    control_rates_free(*state);
    return 0;
}

static unsigned starts(struct control_rates *r, uid_t uid, int64_t now)
{
    unsigned count = 0;
    while (control_rates_start(r, uid, now))
        assert_in_range(++count, 1, CONTROL_STARTS_BURST);
    return count;
}

static unsigned udp(struct control_rates *r, uid_t uid, int64_t now)
{
    unsigned count = 0;
    while (control_rates_udp(r, uid, 1, now))
        assert_in_range(++count, 1, CONTROL_UDP_BURST);
    return count;
}

/* To add a case: a row; times ascend. */
static const struct {
    int64_t at;
    uid_t uid;
    unsigned starts, udp;
} rows[] = {
    {1000 * SECOND, ALICE, CONTROL_STARTS_BURST, CONTROL_UDP_BURST}, /* a burst */
    {1000 * SECOND, ALICE, 0, 0},                                    /* and no more */
    {1000 * SECOND, BOB, CONTROL_STARTS_BURST, CONTROL_UDP_BURST},   /* another user's is his own */
    {1001 * SECOND, ALICE, CONTROL_STARTS_PER_SECOND, CONTROL_UDP_PER_SECOND},
    {1003 * SECOND, ALICE, 2 * CONTROL_STARTS_PER_SECOND, 2 * CONTROL_UDP_PER_SECOND},
    {9000 * SECOND, ALICE, CONTROL_STARTS_BURST, CONTROL_UDP_BURST}, /* never more than the burst */
};

static void a_user_has_a_burst_and_a_rate(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(starts(*state, rows[i].uid, rows[i].at), rows[i].starts);
        assert_int_equal(udp(*state, rows[i].uid, rows[i].at), rows[i].udp);
    }
}

static void what_does_not_fit_as_a_whole_takes_nothing(void **state)
{
    assert_false(control_rates_udp(*state, ALICE, CONTROL_UDP_BURST + 1, SECOND));
    assert_true(control_rates_udp(*state, ALICE, CONTROL_UDP_BURST, SECOND));
    assert_true(control_rates_udp(*state, ALICE, 0, SECOND));
    assert_false(control_rates_udp(*state, ALICE, 1, SECOND));
}

/* More users than there is room for: none of them is locked out, and who came just now is still known. */
static void many_users_lock_nobody_out(void **state)
{
    for (uid_t uid = 0; uid < 3 * CONTROL_RATES_USERS; uid++)
        assert_int_equal(starts(*state, uid, SECOND), CONTROL_STARTS_BURST);
    assert_int_equal(starts(*state, 3 * CONTROL_RATES_USERS - 1, SECOND), 0);
    assert_int_equal(starts(*state, 2 * CONTROL_RATES_USERS, SECOND), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_user_has_a_burst_and_a_rate),
        CASE(what_does_not_fit_as_a_whole_takes_nothing),
        CASE(many_users_lock_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
