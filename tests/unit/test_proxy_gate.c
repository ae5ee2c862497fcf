/* Accepting on sockets whose other holder may do with them what he likes. */
#include "proxy/gate.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CONNECTIONS = 64, PATIENCE_MS = 10000 };

struct taken {
    _Atomic unsigned count[JAIL_SOCKETS];
    int event;
};

static void take(void *arg, enum jail_socket which, int fd)
{
    struct taken *t = arg;
    atomic_fetch_add(&t->count[which], 1);
    assert_int_equal(eventfd_write(t->event, 1), 0);
    close(fd);
}

/* As a stranger would leave it: it blocks. */
static int listen_somewhere(struct sockaddr_in *ret)
{
    socklen_t len = sizeof *ret;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof *ret), 0);
    assert_int_equal(listen(fd, SOMAXCONN), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
    return fd;
}

static void connect_to(const struct sockaddr_in *a)
{
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)a, sizeof *a), 0);
}

static void await(struct taken *t, unsigned wanted)
{
    unsigned seen = 0;
    while (seen < wanted) {
        struct pollfd p = {t->event, POLLIN, 0};
        eventfd_t n;
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        assert_int_equal(eventfd_read(t->event, &n), 0);
        seen += (unsigned)n;
    }
}

static void fill(int sockets[JAIL_SOCKETS])
{
    for (size_t i = 0; i < JAIL_SOCKETS; i++)
        sockets[i] = -1;
}

static void each_connection_comes_with_its_place(void **state)
{
    (void)state;
    static const enum jail_socket places[] = {JAIL_PROXY4, JAIL_CAPTURE6, JAIL_DNS_TCP4};
    struct sockaddr_in at[ARRAY_LEN(places)];
    struct taken t = {.event = eventfd(0, EFD_CLOEXEC)};
    int sockets[JAIL_SOCKETS];
    fill(sockets);
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        sockets[places[i]] = listen_somewhere(&at[i]);
    struct gate *g = gate_new(sockets, take, &t);
    assert_non_null(g);
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        for (size_t n = 0; n <= i; n++)
            connect_to(&at[i]);
    await(&t, 1 + 2 + 3);
    gate_free(g);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        assert_int_equal(t.count[places[i]], i + 1);
        close(sockets[places[i]]);
    }
    close(t.event);
}

/* Two are woken for each connection, and the one that comes too late waits in accept(2): it ends all the
 * same. */
static void one_that_waits_for_ever_can_be_ended(void **state)
{
    (void)state;
    struct sockaddr_in at;
    struct taken t = {.event = eventfd(0, EFD_CLOEXEC)};
    int sockets[JAIL_SOCKETS];
    fill(sockets);
    sockets[JAIL_PROXY4] = listen_somewhere(&at);
    struct gate *first = gate_new(sockets, take, &t), *second = gate_new(sockets, take, &t);
    assert_non_null(first);
    assert_non_null(second);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        connect_to(&at);
    await(&t, CONNECTIONS);
    gate_free(first);
    gate_free(second);
    assert_int_equal(t.count[JAIL_PROXY4], CONNECTIONS);
    close(sockets[JAIL_PROXY4]);
    close(t.event);
}

static void a_socket_that_is_shut_is_no_circle_and_no_end(void **state)
{
    (void)state;
    struct sockaddr_in dead, alive;
    struct taken t = {.event = eventfd(0, EFD_CLOEXEC)};
    int sockets[JAIL_SOCKETS];
    fill(sockets);
    sockets[JAIL_PROXY4] = listen_somewhere(&dead);
    sockets[JAIL_CAPTURE4] = listen_somewhere(&alive);
    struct gate *g = gate_new(sockets, take, &t);
    assert_non_null(g);
    assert_int_equal(shutdown(sockets[JAIL_PROXY4], SHUT_RDWR), 0);
    connect_to(&alive);
    await(&t, 1);
    gate_free(g);
    assert_int_equal(t.count[JAIL_CAPTURE4], 1);
    close(sockets[JAIL_PROXY4]);
    close(sockets[JAIL_CAPTURE4]);
    close(t.event);
}

static struct linger linger_of(int fd)
{
    struct linger l = {.l_linger = -1};
    socklen_t len = sizeof l;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len), 0);
    return l;
}

static void take_that_lingers(void *arg, enum jail_socket which, int fd)
{
    assert_int_equal(linger_of(fd).l_onoff, 0);
    take(arg, which, fd);
}

/* A worker that closes it would wait until the client has read all. */
static void no_connection_lingers_because_its_listener_does(void **state)
{
    (void)state;
    const struct linger hours = {.l_onoff = 1, .l_linger = 36000};
    struct sockaddr_in at;
    struct taken t = {.event = eventfd(0, EFD_CLOEXEC)};
    int sockets[JAIL_SOCKETS];
    fill(sockets);
    sockets[JAIL_PROXY4] = listen_somewhere(&at);
    assert_int_equal(setsockopt(sockets[JAIL_PROXY4], SOL_SOCKET, SO_LINGER, &hours, sizeof hours), 0);
    struct gate *g = gate_new(sockets, take_that_lingers, &t);
    assert_non_null(g);
    connect_to(&at);
    await(&t, 1);
    gate_free(g);
    assert_int_equal(linger_of(sockets[JAIL_PROXY4]).l_onoff, 1);
    gate_close_at_once(sockets[JAIL_PROXY4]);
    assert_int_equal(linger_of(sockets[JAIL_PROXY4]).l_onoff, 0);
    close(sockets[JAIL_PROXY4]);
    close(t.event);
}

static void nothing_is_freed_as_nothing(void **state)
{
    (void)state;
    gate_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_connection_comes_with_its_place),
        cmocka_unit_test(one_that_waits_for_ever_can_be_ended),
        cmocka_unit_test(a_socket_that_is_shut_is_no_circle_and_no_end),
        cmocka_unit_test(no_connection_lingers_because_its_listener_does),
        cmocka_unit_test(nothing_is_freed_as_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
