/* proxy/relay: services and published ports through a whole data plane.  The jail's network is this process's
 * own. */
#include "base/clock.h"
#include "proxy/relay.h"
#include "proxy/tasks.h"
#include "proxy_world.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum { JAIL = 7, INSIDE = 4001, LONG = 3 << 20, REFUSALS = BLOCKED_RECORD_BURST + 2000 };

/* One service: 127.0.0.1:INSIDE of the jail, whose listener is `door`, is the host's `port`. */
static struct {
    int door, target;
    uint16_t door_port, port;
} service;

static int listen_at(const char *address, uint16_t *ret_port)
{
    struct sockaddr_storage sa = {.ss_family = strchr(address, ':') ? AF_INET6 : AF_INET};
    struct fetch_address a;
    socklen_t len = sizeof sa;
    assert_int_equal(fetch_address_parse(slice_str(address), 0, &a), 0);
    int fd = socket(a.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, fetch_address_to_sockaddr(&a, &sa)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(fetch_address_from_sockaddr((struct sockaddr *)&sa, len, &a), 0);
    *ret_port = a.port;
    return fd;
}

static const struct timeval patience = {.tv_sec = 10};

/* Returns what connect(2) says, for who may be thrown out before it has returned. */
static int try_to_connect(uint16_t port, int *ret_fd)
{
    const struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    *ret_fd = fd;
    return connect(fd, (const struct sockaddr *)&a, sizeof a);
}

static int connect_to(uint16_t port)
{
    int fd;
    assert_int_equal(try_to_connect(port, &fd), 0);
    return fd;
}

static int accept_from(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

static const char *policy_of(const char *keys)
{
    static char text[300];
    int n = snprintf(text, sizeof text, "exeat: 1\n%sallow: []\n", keys);
    assert_in_range(n, 1, sizeof text - 1);
    return text;
}

static const char *service_policy(void)
{
    static char keys[200];
    snprintf(keys, sizeof keys, "services: [{target: 127.0.0.1:%u, port: %d}]\n", service.port, INSIDE);
    return policy_of(keys);
}

/* Nobody answers who asked. */
static void add_jail(void)
{
    struct err e;
    int ask[WORKERS];
    struct proxy_jail jail = {.id = JAIL, .task = SLICE("t"), .ask = ask};
    for (size_t i = 0; i < JAIL_SOCKETS; i++)
        jail.fds[i] = -1;
    for (int i = 0; i < WORKERS; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        ask[i] = pair[0];
        close(pair[1]);
    }
    must(proxy_add_jail(world.proxy, &jail, &e), &e);
}

static void serve(uint16_t host_port)
{
    struct relay_order o = {.kind = RELAY_SERVICE, .to = -1, .port = INSIDE, .host_port = host_port};
    assert_int_equal(fetch_address_parse(SLICE("127.0.0.1"), host_port, &o.target), 0);
    o.from = listen_at("127.0.0.1", &service.door_port);
    assert_int_equal(fcntl(o.from, F_SETFL, O_NONBLOCK), 0);
    proxy_jail_relay(world.proxy, JAIL, &o);
}

/* A worker takes a new snapshot before an order that came later: at the new door the new policy is in force.
 */
static void reload_and_serve(const char *text)
{
    reload(text);
    serve(service.port);
}

static int start(void **state)
{
    if (proxy_world_start(state) < 0)
        return -1;
    service.target = listen_at("127.0.0.1", &service.port);
    add_jail();
    reload_and_serve(service_policy());
    return 0;
}

static int stop(void **state)
{
    close(service.target);
    return proxy_world_stop(state);
}

static void open_way(int *ret_client, int *ret_target)
{
    *ret_client = connect_to(service.door_port);
    *ret_target = accept_from(service.target);
}

static void close_both(int one, int other)
{
    close(one);
    close(other);
}

static void expect_text(int fd, const char *text)
{
    AUTO_BUF in = BUF_INIT(1 << 16);
    read_until(fd, &in, text);
}

static void expect_end(int fd, int expected)
{
    AUTO_BUF in = BUF_INIT(LONG + 65536);
    assert_int_equal(read_to_end(fd, &in), expected);
}

/* --- a service --- */

static void what_is_said_goes_both_ways_and_is_on_record(void **state)
{
    int client, target;
    (void)state;
    open_way(&client, &target);
    send_text(client, "select 1");
    expect_text(target, "select 1");
    expect_recorded("\"kind\":\"open\""); /* before a byte of it came here */
    send_text(target, "one");
    expect_text(client, "one");
    shutdown(client, SHUT_WR);
    expect_end(target, 0);
    send_text(target, "!"); /* half-closed */
    expect_text(client, "!");
    shutdown(target, SHUT_WR);
    expect_end(client, 0);
    await_record("\"kind\":\"service\"");
    expect_recorded("\"sent\":8,\"received\":4");
    expect_recorded("\"url\":\"tcp://127.0.0.1:4001\"");
    expect_recorded("not inspected");
    close_both(client, target);
}

static void a_reset_stays_one(void **state)
{
    const struct linger now = {.l_onoff = 1};
    int client, target;
    (void)state;
    open_way(&client, &target);
    send_text(client, "x");
    expect_text(target, "x");
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(client);
    expect_end(target, ECONNRESET);
    await_record("\"outcome\":\"aborted\"");
    close(target);
}

static void a_service_that_does_not_run_is_on_record(void **state)
{
    (void)state;
    close(service.target);
    service.target = -1;
    int client = connect_to(service.door_port);
    expect_end(client, ECONNRESET);
    await_record("\"reason\":\"upstream-refused\"");
    expect_recorded("nothing listens there");
    assert_false(holds(log_now(), "\"kind\":\"open\""));
    close(client);
}

static void what_was_sent_before_the_jail_ended_arrives(void **state)
{
    static const char text[LONG];
    int client, target;
    (void)state;
    open_way(&client, &target);
    size_t sent = 0;
    for (ssize_t n; (n = send(client, text, sizeof text - sent, MSG_DONTWAIT)) > 0;)
        sent += (size_t)n;
    close(client);
    proxy_remove_jail(world.proxy, JAIL, false);
    AUTO_BUF in = BUF_INIT(LONG + 65536);
    assert_int_equal(read_to_end(target, &in), 0);
    assert_int_equal(buf_len(&in), sent);
    await_record("\"kind\":\"service\"");
    assert_false(holds(log_now(), "aborted"));
    close(target);
}

/* A target that never ends need not be waited for when nobody can hear it. */
static void a_jail_that_is_gone_waits_for_no_answer(void **state)
{
    int client, target;
    (void)state;
    open_way(&client, &target);
    send_text(client, "bye");
    close(client);
    proxy_remove_jail(world.proxy, JAIL, false);
    expect_text(target, "bye");
    await_record("\"kind\":\"service\"");
    close(target);
}

/* --- what may not be --- */

static void expect_refused(const char *reason)
{
    char words[80];
    int client = connect_to(service.door_port);
    snprintf(words, sizeof words, "\"reason\":\"%s\"", reason);
    expect_end(client, ECONNRESET);
    await_record(words);
    expect_recorded("\"verdict\":\"block\"");
    close(client);
}

static void a_reload_that_takes_it_away_cuts_it(void **state)
{
    int client, target;
    (void)state;
    open_way(&client, &target);
    send_text(client, "x");
    expect_text(target, "x");
    int64_t begin = clock_mono_ns();
    reload(policy_of(""));
    expect_end(client, ECONNRESET);
    assert_in_range(clock_mono_ns() - begin, 0, 1000000000);
    expect_end(target, ECONNRESET);
    await_record("\"reason\":\"port-not-allowed\"");
    close_both(client, target);
    expect_refused("port-not-allowed");
}

static void a_reload_that_leaves_it_leaves_it_alone(void **state)
{
    int client, target;
    (void)state;
    open_way(&client, &target);
    reload_and_serve(service_policy());
    int other = connect_to(service.door_port), other_target = accept_from(service.target);
    send_text(other, "new");
    expect_text(other_target, "new");
    send_text(client, "still there");
    expect_text(target, "still there");
    close_both(client, target);
    close_both(other, other_target);
}

static void another_target_at_the_same_port_is_another_service(void **state)
{
    char keys[200];
    (void)state;
    snprintf(keys, sizeof keys, "services: [{target: \"[::1]:%u\", port: %d}]\n", service.port, INSIDE);
    reload_and_serve(policy_of(keys));
    expect_refused("port-not-allowed");
}

static void an_expired_policy_has_no_services(void **state)
{
    char keys[200];
    (void)state;
    snprintf(keys, sizeof keys, "expires: 2020-01-01\nservices: [{target: 127.0.0.1:%u, port: %d}]\n",
             service.port, INSIDE);
    reload_and_serve(policy_of(keys));
    expect_refused("rule-expired");
}

static void without_its_task_there_is_none(void **state)
{
    (void)state;
    reload_and_serve(NULL);
    expect_refused("policy-unavailable");
}

static struct fetch_address own_listener;

static void name_own_listener(struct proxy_settings *s)
{
    assert_int_equal(fetch_address_parse(SLICE("127.0.0.1"), world.port, &own_listener), 0);
    s->listeners = &own_listener;
    s->listener_count = 1;
}

static void a_listener_of_exeat_is_no_service(void **state)
{
    char keys[200];
    (void)state;
    snprintf(keys, sizeof keys, "services: [{target: 127.0.0.1:%u, port: %d}]\n", world.port, INSIDE);
    reload(policy_of(keys));
    serve(world.port);
    expect_refused("address-blocked");
}

static void allow_two_connections(struct proxy_settings *s)
{
    s->limits.connections_per_task = 2;
}

static void they_count_among_the_connections_of_the_task(void **state)
{
    int clients[2], targets[2];
    (void)state;
    for (int i = 0; i < 2; i++)
        open_way(&clients[i], &targets[i]);
    expect_refused("too-many-connections");
    close_both(clients[0], targets[0]);
    await_record("\"kind\":\"service\",\"task\":\"t\",\"run\":\"R-1\",\"verdict\":\"allow\"");
    open_way(&clients[0], &targets[0]);
    for (int i = 0; i < 2; i++)
        close_both(clients[i], targets[i]);
}

/* Of one task: the others need the log too. */
static void refusals_are_recorded_within_the_audit_budget(void **state)
{
    (void)state;
    reload_and_serve(policy_of(""));
    for (int i = 0; i < REFUSALS; i++) {
        int client;
        if (try_to_connect(service.door_port, &client) == 0)
            expect_end(client, ECONNRESET);
        else
            assert_int_equal(errno, ECONNRESET);
        close(client);
    }
    await_record("refused without a record of their own");
    assert_in_range(fixture_lines(log_now()), BLOCKED_RECORD_BURST, REFUSALS);
}

/* --- the log --- */

static void without_a_log_nothing_goes_through(void **state)
{
    int client, target;
    (void)state;
    open_way(&client, &target);
    send_text(client, "x");
    expect_text(target, "x");
    fill_the_disk();
    int other = connect_to(service.door_port);
    expect_end(other, ECONNRESET);
    expect_end(client, ECONNRESET);
    expect_end(target, ECONNRESET);
    close_both(client, target);
    close(other);
    empty_the_disk();
    await_record("\"kind\":\"service\"");
    expect_recorded("\"reason\":\"audit-unavailable\"");
}

/* --- a published port --- */

static const struct published {
    const char *address; /* where the server in the jail listens; NULL: there is none */
    int family;          /* of the socket that the jail's pid 1 made */
    const char *reached; /* `upstream.address` of the record */
} published[] = {
    {"127.0.0.1", AF_INET, "127.0.0.1"},
    {"127.0.0.1", AF_INET6, "127.0.0.1"},
    {"::1", AF_INET6, "::1"},
    {"::", AF_INET6, "::1"},
    {NULL, AF_INET6, NULL},
    {NULL, AF_INET, NULL},
};

/* The browser's connection, and the end of it that the supervisor hands over. */
static void be_a_browser(int *ret_browser, int *ret_accepted)
{
    uint16_t port;
    int listener = listen_at("127.0.0.1", &port);
    *ret_browser = connect_to(port);
    *ret_accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    close(listener);
}

static void try_published(const struct published *p)
{
    char keys[100], words[80];
    uint16_t port;
    int browser, server = listen_at(p->address ? p->address : "127.0.0.1", &port);
    struct relay_order o = {.kind = RELAY_PUBLISHED, .port = port, .host_port = 8080};
    if (!p->address) {
        close(server);
        server = -1;
    }
    snprintf(keys, sizeof keys, "publish: [{port: %u, on: 8080}]\n", port);
    reload(policy_of(keys));
    be_a_browser(&browser, &o.from);
    o.to = socket(p->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    proxy_jail_relay(world.proxy, JAIL, &o);
    if (!p->address) {
        expect_end(browser, ECONNRESET);
        await_record("nothing listens on that port in the jail");
    } else {
        int inside = accept_from(server);
        send_text(browser, "GET / HTTP/1.0");
        expect_text(inside, "GET / HTTP/1.0");
        send_text(inside, "a page");
        close(inside);
        expect_text(browser, "a page");
        expect_end(browser, 0);
        snprintf(words, sizeof words, "\"upstream\":{\"address\":\"%s\",\"port\":%u", p->reached, port);
        expect_recorded(words);
        close(server);
    }
    close(browser);
}

static void a_published_port_reaches_a_server_on_either_loopback(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(published); i++)
        try_published(&published[i]);
    await_record("\"sent\":6,\"received\":14");
    expect_recorded("\"url\":\"tcp://127.0.0.1:8080\"");
}

static void an_order_for_a_jail_that_is_gone_is_closed(void **state)
{
    int browser;
    struct relay_order o = {.kind = RELAY_PUBLISHED, .port = 1, .host_port = 8080};
    (void)state;
    be_a_browser(&browser, &o.from);
    o.to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    proxy_remove_jail(world.proxy, JAIL, false);
    proxy_jail_relay(world.proxy, JAIL, &o);
    expect_end(browser, 0);
    close(browser);
}

#define TEST(name)            cmocka_unit_test_setup_teardown(name, start, stop)
#define TEST_WITH(name, plan) cmocka_unit_test_prestate_setup_teardown(name, start, stop, (void *)&(plan))

int main(void)
{
    static struct world_plan two = {.settle = allow_two_connections}, own = {.settle = name_own_listener};
    const struct CMUnitTest tests[] = {
        TEST(what_is_said_goes_both_ways_and_is_on_record),
        TEST(a_reset_stays_one),
        TEST(a_service_that_does_not_run_is_on_record),
        TEST(what_was_sent_before_the_jail_ended_arrives),
        TEST(a_jail_that_is_gone_waits_for_no_answer),
        TEST(a_reload_that_takes_it_away_cuts_it),
        TEST(a_reload_that_leaves_it_leaves_it_alone),
        TEST(another_target_at_the_same_port_is_another_service),
        TEST(an_expired_policy_has_no_services),
        TEST(without_its_task_there_is_none),
        TEST_WITH(a_listener_of_exeat_is_no_service, own),
        TEST_WITH(they_count_among_the_connections_of_the_task, two),
        TEST(refusals_are_recorded_within_the_audit_budget),
        TEST(without_a_log_nothing_goes_through),
        TEST(a_published_port_reaches_a_server_on_either_loopback),
        TEST(an_order_for_a_jail_that_is_gone_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
