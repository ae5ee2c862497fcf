/* sandbox/jail_wire: what a side of the conversation says last is heard, however it ends. */
#include "sandbox/jail_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { OURS, THEIRS, PATIENCE_MS = 5000 };

static int connect_ends(void **state)
{
    static int ends[2];
    *state = ends;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int close_ends(void **state)
{
    int *ends = *state;
    close(ends[OURS]);
    return 0;
}

static void say_failed(int sock)
{
    struct err e;
    err_set(&e, "no room");
    jail_say_failed(sock, JAIL_STEP_mounts, &e);
}

static void expect_last_words(int sock)
{
    struct jail_packet p;
    struct err e;
    assert_int_equal(jail_receive(sock, PATIENCE_MS, &p, &e), JAIL_GOT);
    assert_int_equal(p.type, JAIL_FAILED);
    assert_int_equal(p.message.step, JAIL_STEP_mounts);
    assert_string_equal(p.message.text, "no room");
    assert_int_equal(jail_receive(sock, PATIENCE_MS, &p, &e), JAIL_END);
}

static void last_words_are_heard(void **state)
{
    const int *ends = *state;
    say_failed(ends[THEIRS]);
    close(ends[THEIRS]);
    expect_last_words(ends[OURS]);
}

/* The kernel reports such an end as ECONNRESET, before what had been said. */
static void last_words_of_one_that_did_not_listen_are_heard(void **state)
{
    const int *ends = *state;
    assert_int_equal(jail_say(ends[OURS], JAIL_GO, 0), 0);
    say_failed(ends[THEIRS]);
    close(ends[THEIRS]);
    expect_last_words(ends[OURS]);
}

static void an_end_without_a_word_is_one(void **state)
{
    const int *ends = *state;
    struct jail_packet p;
    struct err e;
    assert_int_equal(jail_say(ends[OURS], JAIL_GO, 0), 0);
    close(ends[THEIRS]);
    assert_int_equal(jail_receive(ends[OURS], PATIENCE_MS, &p, &e), JAIL_END);
}

static void what_is_no_message_is_refused(void **state)
{
    static const char half[] = "half a message";
    const int *ends = *state;
    struct jail_packet p;
    struct err e;
    assert_int_equal(jail_send(ends[THEIRS], half, sizeof half, NULL, 0), 0);
    assert_int_equal(jail_receive(ends[OURS], PATIENCE_MS, &p, &e), JAIL_BROKEN);
    assert_int_equal(jail_receive(ends[OURS], 0, &p, &e), JAIL_LATE);
    close(ends[THEIRS]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(last_words_are_heard, connect_ends, close_ends),
        cmocka_unit_test_setup_teardown(last_words_of_one_that_did_not_listen_are_heard, connect_ends,
                                        close_ends),
        cmocka_unit_test_setup_teardown(an_end_without_a_word_is_one, connect_ends, close_ends),
        cmocka_unit_test_setup_teardown(what_is_no_message_is_refused, connect_ends, close_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
