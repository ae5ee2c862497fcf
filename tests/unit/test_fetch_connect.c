/* fetch/: names, judging, dialling; over a name server and origins of the test's own. */
#include "fetch_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- names --- */

static void names_that_cannot_be_used_say_why(void **state)
{
    static const struct {
        const char *host;
        enum fetch_fault fault;
        const char *detail;
    } rows[] = {
        {"nx.test", FETCH_DNS, "no such name"},
        {"empty.test", FETCH_DNS, "the name has no address"},
        {"private.test", FETCH_ADDRESS_BLOCKED, "private network"},
        {"loopback.test", FETCH_ADDRESS_BLOCKED, "loopback"},
        {"mixed.test", FETCH_ADDRESS_BLOCKED, "private network"},
        {"mixed6.test", FETCH_ADDRESS_BLOCKED, "private network"},
        {"mapped.test", FETCH_ADDRESS_BLOCKED, "metadata service"},
        {"long.test", FETCH_ADDRESS_BLOCKED, "private network"}, /* the 62nd address, over TCP */
        {"127.0.0.1", FETCH_ADDRESS_BLOCKED, "loopback"},
        {"::1", FETCH_ADDRESS_BLOCKED, "loopback"},
        {"169.254.169.254", FETCH_ADDRESS_BLOCKED, "metadata service"},
        {"::ffff:10.0.0.1", FETCH_ADDRESS_BLOCKED, "private network"},
        {"localhost", FETCH_ADDRESS_BLOCKED, "loopback"},
        {"a.localhost", FETCH_ADDRESS_BLOCKED, "loopback"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fetch_want w = want("t", HTTP_SCHEME_HTTP, rows[i].host, 80);
        expect(&w, rows[i].fault, rows[i].detail);
    }
}

/* As a rule that says `addresses`. */
static bool permits(const void *arg, const struct fetch_address *a)
{
    uint8_t first = a->bytes[0];
    return a->family == AF_INET ? slice_find(slice_str(arg), (char)first) >= 0 : slice_find(slice_str(arg), '6') >= 0;
}

static void a_rule_lets_through_exactly_the_networks_that_it_writes(void **state)
{
    static const struct {
        const char *host, *permitted; /* first bytes of IPv4 addresses; "6": all IPv6 ones */
        enum fetch_fault fault;
        const char *detail;
    } rows[] = {
        {"127.0.0.1", "\x7f", FETCH_REFUSED, "Connection refused"},
        {"127.0.0.1", "\x0a" "6", FETCH_ADDRESS_BLOCKED, "loopback"},
        {"loopback.test", "\x7f", FETCH_REFUSED, "Connection refused"},
        {"private.test", "\x7f", FETCH_ADDRESS_BLOCKED, "private network"},
        {"mixed.test", "\x7f", FETCH_ADDRESS_BLOCKED, "private network"}, /* one forbidden blocks the name */
        {"mixed6.test", "\x0a", FETCH_ADDRESS_BLOCKED, "private network"},
        {"::1", "6", FETCH_REFUSED, "Connection refused"},
        {"::1", "\x7f", FETCH_ADDRESS_BLOCKED, "loopback"},
        {"::ffff:127.0.0.1", "6", FETCH_ADDRESS_BLOCKED, "loopback"}, /* what is dialled is IPv4 */
        {"::ffff:127.0.0.1", "\x7f", FETCH_REFUSED, "Connection refused"},
        {"localhost", "\x7f", FETCH_REFUSED, "Connection refused"},
        {"a.localhost", "6", FETCH_REFUSED, "Connection refused"},
        {"localhost", "\x0a", FETCH_ADDRESS_BLOCKED, "loopback"},
        {"198.18.0.1", "\xc6", FETCH_ADDRESS_BLOCKED, "synthetic range"}, /* never */
        {"2001:2::1", "6", FETCH_ADDRESS_BLOCKED, "synthetic range"},
        {"64:ff9b::198.18.0.1", "6", FETCH_ADDRESS_BLOCKED, "synthetic range"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fetch_want w = want("t", HTTP_SCHEME_HTTP, rows[i].host, 9);
        w.permit = (struct fetch_permit){permits, rows[i].permitted};
        expect(&w, rows[i].fault, rows[i].detail);
    }
}

static void a_permit_does_not_open_our_own_listeners(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "127.0.0.1", 0);

    (void)state;
    w.permit = (struct fetch_permit){permits, "\x7f"};
    int own = world_listen("127.0.0.1", 0, 16, &w.authority.port);
    listeners[0] = address("127.0.0.1", w.authority.port);
    settings.listener_count = 1;
    configure();
    expect(&w, FETCH_ADDRESS_BLOCKED, "a listener of exeat's own");
    assert_false(has_visitor(own));
    close(own);
}

static void a_pooled_connection_is_judged_by_each_requests_own_rule(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "loopback.test", 0);

    (void)state;
    int origin = world_listen("127.0.0.1", 0, 16, &w.authority.port);
    w.permit = (struct fetch_permit){permits, "\x7f"};
    fetch_release(fetch, connected(&w), true);
    w.permit.arg = "\x0a";
    assert_null(acquire_pooled(&w));
    w.permit = (struct fetch_permit){0};
    assert_null(acquire_pooled(&w));
    w.permit = (struct fetch_permit){permits, "\x7f"};
    fetch_release(fetch, connected(&w), true);
    struct fetch_conn *c = acquire_pooled(&w);
    assert_non_null(c);
    assert_true(fetch_may_serve(fetch, c, &w));
    w.permit.arg = "\x0a";
    assert_false(fetch_may_serve(fetch, c, &w));
    fetch_release(fetch, c, false);
    close(origin);
}

static void a_name_with_one_forbidden_address_is_not_dialled(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "mixed.test", 0);

    (void)state;
    if (!own_network)
        skip();
    int origin = world_listen("93.184.216.34", 0, 16, &w.authority.port);
    assert_true(origin >= 0);
    expect(&w, FETCH_ADDRESS_BLOCKED, "private network");
    assert_false(has_visitor(origin));
    close(origin);
}

static void literals_overrides_and_localhost_ask_no_name_server(void **state)
{
    unsigned before = world_dns_queries(dns);
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);

    (void)state;
    fetch_release(fetch, connected(&w), false);
    w = want("t", HTTP_SCHEME_HTTP, "localhost", 80);
    expect(&w, FETCH_ADDRESS_BLOCKED, NULL);
    w = want("t", HTTP_SCHEME_HTTP, "10.0.0.1", 80);
    expect(&w, FETCH_ADDRESS_BLOCKED, NULL);
    assert_int_equal(world_dns_queries(dns), before);
    close(origin);
}

static void a_single_label_is_looked_up_only_where_a_rule_writes_it(void **state)
{
    unsigned before = world_dns_queries(dns);
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "intranet", 1);

    (void)state;
    expect(&w, FETCH_DNS, NULL);
    assert_int_equal(world_dns_queries(dns), before);
    w.single_label_ok = true;
    settings.connect_ns = 300 * MS; /* nothing answers on that address */
    configure();
    struct asked a = ask(&w);
    assert_true(a.result.fault == FETCH_REFUSED || a.result.fault == FETCH_TIMEOUT);
    assert_true(world_dns_queries(dns) > before);
}

static void the_environment_has_no_say_in_names(void **state)
{
    struct err e;

    (void)state;
    setenv("LOCALDOMAIN", "test", 1);
    setenv("RES_OPTIONS", "ndots:9", 1);
    fetch_free(fetch);
    assert_int_equal(fetch_new(loop, &fetch, &e), 0);
    assert_int_equal(fetch_set_name_servers(fetch, world_dns_csv(dns), &e), 0);
    configure();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "private", 80); /* private.test would be blocked */
    w.single_label_ok = true;
    expect(&w, FETCH_DNS, "no such name");
    unsetenv("LOCALDOMAIN");
    unsetenv("RES_OPTIONS");
}

static void a_silent_name_server_is_waited_for_within_limits_and_blocks_nobody(void **state)
{
    struct fetch_want silent = want("t", HTTP_SCHEME_HTTP, "silent.test", 80);
    struct fetch_want other = want("t", HTTP_SCHEME_HTTP, "private.test", 80);
    struct asked a, b;

    (void)state;
    settings.connect_ns = 500 * MS;
    configure();
    start(&a, &silent);
    awaited--; /* the other one alone is waited for */
    start(&b, &other);
    await_all();
    assert_int_equal(a.calls, 0);
    assert_int_equal(b.result.fault, FETCH_ADDRESS_BLOCKED);
    awaited = 1;
    await_all();
    assert_int_equal(a.result.fault, FETCH_DNS);
}

static void look_ups_of_a_task_are_bounded_also_by_given_up_ones(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "any.test", 80);
    char name[32];

    (void)state;
    for (int i = 0; i < 64; i++) {
        struct asked a;
        snprintf(name, sizeof name, "s%d.silent.test", i);
        w.authority.host = slice_str(name);
        start(&a, &w);
        fetch_cancel(a.op);
        awaited--;
    }
    w.authority.host = SLICE("one-more.test");
    expect(&w, FETCH_OVERLOADED, NULL);
    w.task = SLICE("another");
    expect(&w, FETCH_DNS, NULL);
}

static void look_ups_of_one_name_and_task_are_shared(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "private.test", 80);
    unsigned before = world_dns_queries(dns);
    struct asked a[5];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        start(&a[i], &w);
    fetch_cancel(a[1].op);
    awaited--;
    await_all();
    assert_int_equal(world_dns_queries(dns), before + 2); /* A and AAAA */
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        assert_int_equal(a[i].calls, i != 1);
        assert_int_equal(a[i].result.fault, i == 1 ? FETCH_OK : FETCH_ADDRESS_BLOCKED);
    }
}

/* --- dialling --- */

static void a_resolved_name_is_dialled_and_the_peer_is_what_was_judged(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "good.test", 0);

    (void)state;
    if (!own_network)
        skip();
    int origin = world_listen("93.184.216.34", 0, 16, &w.authority.port);
    assert_true(origin >= 0);
    struct fetch_conn *c = connected(&w);
    struct fetch_address peer = address("93.184.216.34", w.authority.port);
    assert_true(fetch_address_same_host(&c->peer, &peer));
    assert_int_equal(c->peer.port, peer.port);
    assert_true(fcntl(c->fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(c->fd, F_GETFL) & O_NONBLOCK);
    assert_false(c->reused);
    assert_null(c->tls);
    assert_int_equal(loop_io_wanted(&c->io), LOOP_READ);
    fetch_release(fetch, c, false);
    close(origin);
}

static void a_black_hole_in_one_family_is_gone_round(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "dual.test", 0);
    uint16_t port;
    int fill[4];

    (void)state;
    if (!own_network)
        skip();
    int origin = world_listen("93.184.216.34", 0, 16, &port);
    int hole = world_listen("2606:2800:220::34", port, 0, &port);
    assert_true(origin >= 0 && hole >= 0);
    w.authority.port = port;
    struct fetch_address to = address("2606:2800:220::34", port);
    struct sockaddr_storage sa;
    socklen_t len = fetch_address_to_sockaddr(&to, &sa);
    for (size_t i = 0; i < ARRAY_LEN(fill); i++) { /* a full backlog drops what comes next */
        fill[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fill[i], (struct sockaddr *)&sa, len) < 0)
            continue;
    }
    struct fetch_conn *c = connected(&w);
    assert_int_equal(c->peer.family, AF_INET);
    fetch_release(fetch, c, false);
    for (size_t i = 0; i < ARRAY_LEN(fill); i++)
        close(fill[i]);
    close(hole);
    close(origin);
}

static void a_closed_port_is_refused(void **state)
{
    uint16_t port;
    int fd = world_listen("127.0.0.1", 0, 1, &port);
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);

    (void)state;
    close(fd);
    override("origin.test", 80, "127.0.0.1", port);
    expect(&w, FETCH_REFUSED, "Connection refused");
}

static void an_override_holds_for_exactly_its_host_and_port(void **state)
{
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);

    (void)state;
    fetch_release(fetch, connected(&w), false);
    w.authority.port = 81;
    expect(&w, FETCH_DNS, NULL);
    w = want("t", HTTP_SCHEME_HTTP, "other.origin.test", 80);
    expect(&w, FETCH_DNS, NULL);
    close(origin);
}

static void our_own_listeners_are_refused_even_where_an_override_names_them(void **state)
{
    static const char *const guises[] = {"127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "127.0.0.5"};
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "self.test", 80);
    uint16_t port;
    int own = world_listen("0.0.0.0", 0, 4, &port);

    (void)state;
    listeners[0] = address("0.0.0.0", port);
    settings.listener_count = 1;
    for (size_t i = 0; i < ARRAY_LEN(guises); i++) {
        settings.override_count = 0;
        override("self.test", 80, guises[i], port);
        expect(&w, FETCH_ADDRESS_BLOCKED, "a listener of exeat's own");
    }
    assert_false(has_visitor(own));
    close(own);
}

static void environment_proxies_are_not_used(void **state)
{
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
    uint16_t port;
    int proxy = world_listen("127.0.0.1", 0, 4, &port), origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);
    char url[64];

    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        setenv(names[i], url, 1);
    fetch_release(fetch, connected(&w), false);
    assert_false(has_visitor(proxy));
    assert_true(has_visitor(origin));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    close(proxy);
    close(origin);
}

static void a_reload_without_the_proxy_leaves_who_is_on_the_way_through_it(void **state)
{
    static const char granted[] = "HTTP/1.1 200 OK\r\n\r\n";
    const struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);
    struct asked a;
    uint16_t port;
    int proxy = world_listen("127.0.0.1", 0, 4, &port);

    (void)state;
    settings.proxy = (struct fetch_proxy){
        .kind = FETCH_PROXY_HTTP, .at = want("", 0, "127.0.0.1", port).authority, .text = "http://the.proxy"};
    configure();
    start(&a, &w);
    for (int tries = 0; tries < 100 && !has_visitor(proxy); tries++)
        run_for(10 * MS);
    settings.proxy = (struct fetch_proxy){0};
    configure();
    int fd = accept(proxy, NULL, NULL);
    assert_int_equal(write(fd, granted, sizeof granted - 1), sizeof granted - 1);
    await_all();
    assert_int_equal(a.result.fault, FETCH_OK);
    assert_string_equal(a.result.conn->via, "http://the.proxy");
    fetch_release(fetch, a.result.conn, true);
    assert_null(acquire_pooled(&w)); /* of an older generation */
    close(fd);
    close(proxy);
}

static void freeing_it_ends_all_that_is_under_way(void **state)
{
    struct fetch_want names = want("t", HTTP_SCHEME_HTTP, "silent.test", 80);
    struct fetch_want blocked = want("t", HTTP_SCHEME_HTTP, "10.0.0.1", 80);
    struct fetch_want dialled = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);
    int origin = plain_origin();
    struct asked a, b, c;

    (void)state;
    start(&a, &names);
    start(&b, &blocked);
    start(&c, &dialled);
    fetch_free(fetch);
    fetch = NULL;
    run_for(10 * MS);
    assert_int_equal(a.calls + b.calls + c.calls, 0);
    awaited = 0;
    close(origin);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(names_that_cannot_be_used_say_why),
        CASE(a_rule_lets_through_exactly_the_networks_that_it_writes),
        CASE(a_permit_does_not_open_our_own_listeners),
        CASE(a_pooled_connection_is_judged_by_each_requests_own_rule),
        CASE(a_name_with_one_forbidden_address_is_not_dialled),
        CASE(literals_overrides_and_localhost_ask_no_name_server),
        CASE(a_single_label_is_looked_up_only_where_a_rule_writes_it),
        CASE(the_environment_has_no_say_in_names),
        CASE(a_silent_name_server_is_waited_for_within_limits_and_blocks_nobody),
        CASE(look_ups_of_a_task_are_bounded_also_by_given_up_ones),
        CASE(look_ups_of_one_name_and_task_are_shared),
        CASE(a_resolved_name_is_dialled_and_the_peer_is_what_was_judged),
        CASE(a_black_hole_in_one_family_is_gone_round),
        CASE(a_closed_port_is_refused),
        CASE(an_override_holds_for_exactly_its_host_and_port),
        CASE(our_own_listeners_are_refused_even_where_an_override_names_them),
        CASE(environment_proxies_are_not_used),
        CASE(a_reload_without_the_proxy_leaves_who_is_on_the_way_through_it),
        CASE(freeing_it_ends_all_that_is_under_way),
    };
    return run_fetch_tests(tests, ARRAY_LEN(tests));
}
