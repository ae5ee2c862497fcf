/* proxy/duplex: bytes between two connections, over TCP on loopback. */
#include "proxy/duplex.h"

#include "loop/loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000 };

/* near: what the duplex has; far: whoever is connected there. */
struct line {
    struct blocks blocks;
    struct duplex duplex;
    int near[DUPLEX_SIDES], far[DUPLEX_SIDES];
};

static void connect_pair(int *ret_near, int *ret_far)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    *ret_far = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    assert_true(connect(*ret_far, (struct sockaddr *)&a, sizeof a) == 0 || errno == EINPROGRESS);
    *ret_near = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(*ret_near >= 0);
    close(listener);
}

static int setup(void **state)
{
    struct line *l = calloc(1, sizeof *l);
    assert_non_null(l);
    for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++)
        connect_pair(&l->near[s], &l->far[s]);
    duplex_init(&l->duplex, &l->blocks, l->near[DUPLEX_CLIENT], l->near[DUPLEX_TARGET]);
    *state = l;
    return 0;
}

static void hang_up(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void reset(int *fd)
{
    const struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    hang_up(fd);
}

static int teardown(void **state)
{
    struct line *l = *state;
    duplex_clear(&l->duplex);
    blocks_free(&l->blocks);
    for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++) {
        hang_up(&l->near[s]);
        hang_up(&l->far[s]);
    }
    free(l);
    return 0;
}

/* As an event loop would: moves until nothing it waits for is ready any more. */
static enum duplex_state pump(struct line *l)
{
    enum duplex_state state = DUPLEX_GOES_ON;
    for (;;) {
        struct pollfd p[DUPLEX_SIDES];
        for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++) {
            int wants = duplex_wants(&l->duplex, s);
            p[s] = (struct pollfd){
                .fd = wants ? l->near[s] : -1,
                .events = (short)((wants & LOOP_READ ? POLLIN : 0) | (wants & LOOP_WRITE ? POLLOUT : 0))};
        }
        if (poll(p, DUPLEX_SIDES, 0) == 0)
            return state;
        state = duplex_move(&l->duplex);
        if (state != DUPLEX_GOES_ON)
            return state;
    }
}

static void await_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
}

static void say(struct line *l, enum duplex_side s, const char *text)
{
    assert_int_equal(send(l->far[s], text, strlen(text), 0), strlen(text));
    await_readable(l->near[s]);
}

static void expect(struct line *l, enum duplex_side s, const char *text)
{
    char got[100] = "";
    size_t len = 0;
    while (len < strlen(text)) {
        await_readable(l->far[s]);
        ssize_t n = recv(l->far[s], got + len, sizeof got - 1 - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_string_equal(got, text);
}

static void expect_end(struct line *l, enum duplex_side s)
{
    char one;
    await_readable(l->far[s]);
    assert_int_equal(recv(l->far[s], &one, 1, 0), 0);
}

/* --- */

static void bytes_go_both_ways_and_are_counted(void **state)
{
    struct line *l = *state;
    say(l, DUPLEX_CLIENT, "select 1");
    say(l, DUPLEX_TARGET, "hello");
    assert_int_equal(pump(l), DUPLEX_GOES_ON);
    expect(l, DUPLEX_TARGET, "select 1");
    expect(l, DUPLEX_CLIENT, "hello");
    assert_int_equal(l->duplex.moved[DUPLEX_CLIENT], 8);
    assert_int_equal(l->duplex.moved[DUPLEX_TARGET], 5);
}

static void an_end_is_passed_on_and_the_other_side_goes_on(void **state)
{
    struct line *l = *state;
    say(l, DUPLEX_CLIENT, "the last");
    shutdown(l->far[DUPLEX_CLIENT], SHUT_WR);
    assert_int_equal(pump(l), DUPLEX_GOES_ON);
    expect(l, DUPLEX_TARGET, "the last");
    expect_end(l, DUPLEX_TARGET);
    say(l, DUPLEX_TARGET, "an answer");
    assert_int_equal(pump(l), DUPLEX_GOES_ON);
    expect(l, DUPLEX_CLIENT, "an answer");
    shutdown(l->far[DUPLEX_TARGET], SHUT_WR);
    await_readable(l->near[DUPLEX_TARGET]);
    assert_int_equal(pump(l), DUPLEX_ENDED);
    expect_end(l, DUPLEX_CLIENT);
}

static void a_reset_is_no_end(void **state)
{
    struct line *l = *state;
    reset(&l->far[DUPLEX_TARGET]);
    await_readable(l->near[DUPLEX_TARGET]);
    assert_int_equal(pump(l), DUPLEX_CUT);
}

/* Fills the way from the client to a target that does not read. */
static size_t fill_up(struct line *l)
{
    static const char piece[4096];
    size_t sent = 0;
    for (;;) {
        ssize_t n = send(l->far[DUPLEX_CLIENT], piece, sizeof piece, 0);
        sent += n > 0 ? (size_t)n : 0;
        assert_int_equal(pump(l), DUPLEX_GOES_ON);
        struct pollfd p = {.fd = l->far[DUPLEX_CLIENT], .events = POLLOUT};
        bool both_full = n < 0 && !(duplex_wants(&l->duplex, DUPLEX_CLIENT) & LOOP_READ);
        if (both_full && poll(&p, 1, 0) == 0)
            return sent;
    }
}

static void who_does_not_read_is_not_written_for(void **state)
{
    struct line *l = *state;
    char got[65536];
    size_t sent = fill_up(l), came = 0;
    assert_true(sent > BLOCK_BYTES);
    assert_in_range(buf_len(&l->duplex.from[DUPLEX_CLIENT]), 1, BLOCK_BYTES);
    assert_int_equal(duplex_wants(&l->duplex, DUPLEX_TARGET), LOOP_READ | LOOP_WRITE);
    shutdown(l->far[DUPLEX_CLIENT], SHUT_WR);
    for (;;) {
        await_readable(l->far[DUPLEX_TARGET]);
        ssize_t n = recv(l->far[DUPLEX_TARGET], got, sizeof got, 0);
        assert_true(n >= 0);
        if (n == 0)
            break;
        came += (size_t)n;
        assert_int_equal(pump(l), DUPLEX_GOES_ON);
    }
    assert_int_equal(came, sent);
    assert_int_equal(l->duplex.moved[DUPLEX_CLIENT], sent);
}

/* "413", and a reset because nobody reads the rest. */
static void last_words_before_a_reset_arrive(void **state)
{
    struct line *l = *state;
    fill_up(l);
    assert_int_equal(send(l->far[DUPLEX_TARGET], "too much", 8, 0), 8);
    await_readable(l->near[DUPLEX_TARGET]);
    hang_up(&l->far[DUPLEX_TARGET]); /* with bytes unread: the kernel resets */
    struct pollfd p = {.fd = l->near[DUPLEX_TARGET], .events = 0};
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_int_equal(pump(l), DUPLEX_CUT);
    expect(l, DUPLEX_CLIENT, "too much");
}

static void an_idle_connection_holds_no_memory(void **state)
{
    struct line *l = *state;
    say(l, DUPLEX_CLIENT, "ping");
    assert_int_equal(pump(l), DUPLEX_GOES_ON);
    for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++) {
        assert_null(l->duplex.from[s].data);
        assert_int_equal(duplex_wants(&l->duplex, s), LOOP_READ);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_go_both_ways_and_are_counted),
        TEST(an_end_is_passed_on_and_the_other_side_goes_on),
        TEST(a_reset_is_no_end),
        TEST(who_does_not_read_is_not_written_for),
        TEST(last_words_before_a_reset_arrive),
        TEST(an_idle_connection_holds_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
