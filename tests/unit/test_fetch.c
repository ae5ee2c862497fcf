/* fetch/: names, judging, dialling, TLS, pools; over a name server and origins of the test's own. */
#include "base/clock.h"
#include "fetch/fetch.h"
#include "fetch_world.h"
#include "tls/ca.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MS     1000000ll
#define SECOND (1000 * MS)

static bool own_network; /* all addresses are ours: public ones can be dialled */
static struct world_dns *dns;
static struct loop *loop;
static struct fetch *fetch;
static struct fetch_override overrides[4];
static struct fetch_address listeners[2];
static struct fetch_settings settings;
static uint64_t generation;

static struct fetch_address address(const char *text, uint16_t port)
{
    struct fetch_address a;

    assert_int_equal(fetch_address_parse(slice_str(text), port, &a), 0);
    return a;
}

static void configure(void)
{
    struct err e;

    if (fetch_configure(fetch, &settings, ++generation, &e) < 0)
        fail_msg("%s", e.text);
}

static void override(const char *host, uint16_t port, const char *to, uint16_t to_port)
{
    overrides[settings.override_count++] =
        (struct fetch_override){.host = host, .port = port, .to = address(to, to_port)};
    configure();
}

static int set_up(void **state)
{
    struct err e;

    (void)state;
    loop = loop_new(false);
    if (!loop || fetch_new(loop, &fetch, &e) < 0 || fetch_set_name_servers(fetch, world_dns_csv(dns), &e) < 0)
        return -1;
    settings = (struct fetch_settings){.overrides = overrides,
                                       .listeners = listeners,
                                       .connect_ns = 10 * SECOND,
                                       .handshake_ns = 10 * SECOND,
                                       .pool_idle_ns = 60 * SECOND};
    configure();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fetch_free(fetch);
    loop_free(loop);
    tls_trust_free(settings.trust);
    return 0;
}

/* --- asking --- */

struct asked {
    struct fetch_op *op;
    unsigned calls;
    struct fetch_result result;
};

static unsigned awaited;

static void note(void *arg, const struct fetch_result *result)
{
    struct asked *a = arg;

    a->calls++;
    a->result = *result;
    if (--awaited == 0)
        loop_stop(loop);
}

static struct fetch_want want(const char *task, enum http_scheme scheme, const char *host, uint16_t port)
{
    struct fetch_want w = {
        .task = slice_str(task), .scheme = scheme, .authority = {.host = slice_str(host), .port = port}};
    struct fetch_address literal;

    if (fetch_address_parse(slice_str(host), port, &literal) == 0) {
        w.authority.kind = literal.family == AF_INET ? HTTP_HOST_IPV4 : HTTP_HOST_IPV6;
        memcpy(w.authority.address, literal.bytes, sizeof literal.bytes);
    }
    return w;
}

static void stop_loop(struct loop_deadline *d)
{
    loop_stop(d->loop);
}

static void run_for(int64_t ns)
{
    struct loop_deadline end;

    loop_deadline_init(&end, loop, stop_loop);
    loop_deadline_set(&end, clock_mono_ns() + ns);
    loop_run(loop);
    loop_deadline_clear(&end);
}

static void start(struct asked *a, const struct fetch_want *w)
{
    *a = (struct asked){0};
    awaited++;
    a->op = fetch_connect(fetch, w, note, a);
    assert_non_null(a->op);
    assert_int_equal(a->calls, 0); /* never from within the call */
}

/* Generous: only a hang gets here. */
static void await_all(void)
{
    run_for(30 * SECOND);
    assert_int_equal(awaited, 0);
}

static struct asked ask(const struct fetch_want *w)
{
    struct asked a;

    start(&a, w);
    await_all();
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.result.fault == FETCH_OK, a.result.conn != NULL);
    return a;
}

static void expect(const struct fetch_want *w, enum fetch_fault fault, const char *detail)
{
    struct asked a = ask(w);

    if (a.result.conn)
        fetch_release(fetch, a.result.conn, false);
    assert_int_equal(a.result.fault, fault);
    if (detail)
        assert_string_equal(a.result.detail, detail);
}

static struct fetch_conn *connected(const struct fetch_want *w)
{
    struct asked a = ask(w);

    if (a.result.fault != FETCH_OK)
        fail_msg("fault %d: %s", a.result.fault, a.result.detail);
    return a.result.conn;
}

static struct fetch_conn *acquire_pooled(const struct fetch_want *w)
{
    struct asked unused;
    struct fetch_op *op;
    struct fetch_conn *c = fetch_acquire(fetch, w, note, &unused, &op);

    assert_int_equal(c == NULL, op != NULL);
    fetch_cancel(op);
    return c;
}

/* A listener that an override sends "origin.test:80" to. */
static int plain_origin(void)
{
    uint16_t port;
    int fd = world_listen("127.0.0.1", 0, 16, &port);

    assert_true(fd >= 0);
    override("origin.test", 80, "127.0.0.1", port);
    return fd;
}

static bool has_visitor(int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};

    return poll(&p, 1, 50) == 1;
}

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

/* --- pools --- */

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

/* What an origin does to an idle connection so that it must not be used again. */
static void expect_dropped_after(void (*deed)(int fd))
{
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);

    fetch_release(fetch, connected(&w), true);
    int fd = accept(origin, NULL, NULL);
    deed(fd);
    run_for(20 * MS);
    assert_null(acquire_pooled(&w));
    if (deed != (void (*)(int))(void *)close)
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
    expect_dropped_after(send_a_byte);
}

static void an_idle_connection_that_ends_is_dropped(void **state)
{
    (void)state;
    expect_dropped_after(send_the_end);
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

static void a_task_keeps_a_bounded_number_of_idle_connections(void **state)
{
    int origin = plain_origin();
    struct fetch_want w = want("t", HTTP_SCHEME_HTTP, "origin.test", 80);
    struct fetch_conn *c[257];
    unsigned kept = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = connected(&w);
        close(accept(origin, NULL, NULL));
    }
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        fetch_release(fetch, c[i], true);
    for (struct fetch_conn *one; (one = acquire_pooled(&w)); kept++)
        fetch_release(fetch, one, false);
    assert_int_equal(kept, 256);
    close(origin);
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

/* --- TLS --- */

/* An origin with a certificate of the test's CA; a connection at a time, in a thread. */
struct tls_origin {
    int fd, quit[2];
    uint16_t port;
    struct tls_server *server;
    struct tls_cert *cert;
    pthread_t thread;
};

static struct ca *ca;

static int give_certificate(void *arg, struct tls_cert **ret)
{
    *ret = ((struct tls_origin *)arg)->cert;
    return 0;
}

static bool wait_for(struct tls_origin *o, int fd, short events)
{
    struct pollfd p[] = {{.fd = fd, .events = events}, {.fd = o->quit[0], .events = POLLIN}};

    return poll(p, 2, -1) > 0 && !p[1].revents;
}

static void serve_tls(struct tls_origin *o, int fd)
{
    const struct tls_accept accept = {
        .host = SLICE("tls.test"), .task = SLICE("t"), .certificate = give_certificate, .arg = o};
    AUTO(tls_conn) *t = tls_accept(o->server, fd, &accept);
    char bytes[256];
    ssize_t r;

    while ((r = tls_handshake(t)) == TLS_WANT_READ || r == TLS_WANT_WRITE)
        if (!wait_for(o, fd, r == TLS_WANT_READ ? POLLIN : POLLOUT))
            return;
    while (r == 0 && wait_for(o, fd, POLLIN)) {
        ssize_t n = tls_read(t, bytes, sizeof bytes);
        if (n == 0 || (n < 0 && n != TLS_WANT_READ))
            return;
    }
}

static void *run_tls_origin(void *arg)
{
    struct tls_origin *o = arg;

    while (wait_for(o, o->fd, POLLIN)) {
        AUTO_FD int fd = accept4(o->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            serve_tls(o, fd);
    }
    return NULL;
}

/* `trusted`: the client knows the CA that made the certificate. */
static struct tls_origin *tls_origin_start(const char *name, bool trusted)
{
    struct tls_origin *o = calloc(1, sizeof *o);
    AUTO(tls_key) *key = NULL;
    AUTO(ca) *stranger = NULL;
    AUTO_BUF der = BUF_INIT(8192), pem = BUF_INIT(8192);
    uint8_t public[512];
    size_t public_len;
    struct err e;

    assert_non_null(o);
    assert_int_equal(tls_key_new(&key, &e), 0);
    assert_int_equal(tls_key_public(key, public, sizeof public, &public_len), 0);
    assert_int_equal(ca_set_leaf(ca, slice_of((char *)public, public_len), &e), 0);
    assert_int_equal(ca_mint(ca, slice_str(name), time(NULL), &der, &e), 0);
    assert_int_equal(tls_cert_from_der(buf_slice(&der), &o->cert, &e), 0);
    assert_int_equal(tls_server_new(key, &o->server, &e), 0);
    assert_int_equal(ca_new("a stranger", 2, &stranger, &e), 0);
    assert_int_equal(ca_cert_pem(trusted ? ca : stranger, &pem, &e), 0);
    assert_int_equal(tls_trust_new(buf_slice(&pem), SLICE(""), &settings.trust, &e), 0);
    o->fd = world_listen("127.0.0.1", 0, 16, &o->port);
    assert_true(o->fd >= 0 && pipe(o->quit) == 0);
    assert_int_equal(pthread_create(&o->thread, NULL, run_tls_origin, o), 0);
    override("tls.test", 443, "127.0.0.1", o->port);
    return o;
}

static void tls_origin_stop(struct tls_origin *o)
{
    close(o->quit[1]);
    pthread_join(o->thread, NULL);
    close(o->quit[0]);
    close(o->fd);
    tls_cert_free(o->cert);
    tls_server_free(o->server);
    free(o);
}

static void a_good_certificate_is_accepted_and_its_tickets_do_not_end_the_pooling(void **state)
{
    struct tls_origin *o = tls_origin_start("tls.test", true);
    struct fetch_want w = want("t", HTTP_SCHEME_HTTPS, "tls.test", 443);

    (void)state;
    struct fetch_conn *c = connected(&w);
    assert_string_equal(tls_version_name(c->tls), "TLSv1.3");
    fetch_release(fetch, c, true);
    run_for(50 * MS); /* the tickets come and are read */
    assert_ptr_equal(acquire_pooled(&w), c);
    fetch_release(fetch, c, false);
    c = connected(&w);
    assert_true(tls_resumed(c->tls));
    fetch_release(fetch, c, true);
    run_for(50 * MS); /* a ticket serves once (RFC 8446 C.4): here comes the next */
    configure();      /* the same trust: the sessions are kept, the connection is not */
    assert_null(acquire_pooled(&w));
    c = connected(&w);
    assert_true(tls_resumed(c->tls));
    fetch_release(fetch, c, false);
    tls_origin_stop(o);
}

static void a_certificate_for_another_name_or_of_a_stranger_is_refused(void **state)
{
    struct fetch_want w = want("t", HTTP_SCHEME_HTTPS, "tls.test", 443);
    struct tls_origin *o = tls_origin_start("other.test", true);

    (void)state;
    struct asked a = ask(&w);
    assert_int_equal(a.result.fault, FETCH_TLS);
    assert_true(a.result.detail[0]);
    tls_origin_stop(o);
    tls_trust_free(TAKE(settings.trust));
    settings.override_count = 0;
    o = tls_origin_start("tls.test", false);
    a = ask(&w);
    assert_int_equal(a.result.fault, FETCH_TLS);
    tls_origin_stop(o);
}

static void a_silent_tls_origin_is_waited_for_within_limits(void **state)
{
    struct tls_origin *o = tls_origin_start("tls.test", true);
    struct fetch_want w = want("t", HTTP_SCHEME_HTTPS, "tls.test", 443);
    uint16_t port;
    int silent = world_listen("127.0.0.1", 0, 4, &port);

    (void)state;
    settings.override_count = 0;
    settings.handshake_ns = 100 * MS;
    override("tls.test", 443, "127.0.0.1", port);
    expect(&w, FETCH_TIMEOUT, NULL);
    close(silent);
    tls_origin_stop(o);
}

static void an_origin_that_hangs_up_in_the_handshake_is_a_tls_fault(void **state)
{
    struct tls_origin *o = tls_origin_start("tls.test", true);
    struct fetch_want w = want("t", HTTP_SCHEME_HTTPS, "tls.test", 443);
    struct asked a;
    uint16_t port;
    int rude = world_listen("127.0.0.1", 0, 4, &port);

    (void)state;
    settings.override_count = 0;
    override("tls.test", 443, "127.0.0.1", port);
    start(&a, &w);
    awaited++;
    run_for(20 * MS);
    close(accept(rude, NULL, NULL));
    awaited--;
    if (a.calls == 0)
        await_all();
    assert_int_equal(a.result.fault, FETCH_TLS);
    assert_true(a.result.detail[0]);
    close(rude);
    tls_origin_stop(o);
}

/* --- giving up --- */

static void cancelling_at_any_moment_calls_nobody_and_leaves_nothing(void **state)
{
    struct tls_origin *o = tls_origin_start("tls.test", true);
    struct fetch_want wants[] = {
        want("t", HTTP_SCHEME_HTTP, "silent.test", 80),
        want("t", HTTP_SCHEME_HTTP, "private.test", 80),
        want("t", HTTP_SCHEME_HTTP, "10.0.0.1", 80),
        want("t", HTTP_SCHEME_HTTPS, "tls.test", 443),
    };

    (void)state;
    for (int64_t wait = 0; wait < 5; wait++) {
        for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
            struct asked a;
            start(&a, &wants[i]);
            awaited++; /* so that a result does not stop the loop */
            if (wait)
                run_for(wait * wait * MS / 4);
            if (a.calls == 0)
                fetch_cancel(a.op);
            else if (a.result.conn)
                fetch_release(fetch, a.result.conn, false);
            unsigned calls = a.calls;
            run_for(2 * MS);
            assert_int_equal(a.calls, calls);
            awaited = 0;
        }
    }
    tls_origin_stop(o);
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
        CASE(names_that_cannot_be_used_say_why),
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
        CASE(a_returned_connection_is_handed_out_again_at_once),
        CASE(pools_cross_neither_tasks_nor_schemes_nor_hosts_nor_ports),
        CASE(an_idle_connection_that_speaks_is_dropped),
        CASE(an_idle_connection_that_ends_is_dropped),
        CASE(idle_connections_leave_after_their_time),
        CASE(a_task_keeps_a_bounded_number_of_idle_connections),
        CASE(a_new_generation_uses_nothing_of_the_old),
        CASE(a_pooled_peer_is_judged_again),
        CASE(an_aborted_connection_is_reset_not_ended),
        CASE(a_good_certificate_is_accepted_and_its_tickets_do_not_end_the_pooling),
        CASE(a_certificate_for_another_name_or_of_a_stranger_is_refused),
        CASE(a_silent_tls_origin_is_waited_for_within_limits),
        CASE(an_origin_that_hangs_up_in_the_handshake_is_a_tls_fault),
        CASE(cancelling_at_any_moment_calls_nobody_and_leaves_nothing),
        CASE(freeing_it_ends_all_that_is_under_way),
        CASE(taking_from_the_pool_is_quick),
    };
    struct err e;

    signal(SIGPIPE, SIG_IGN); /* of the TLS origin, whose visitors leave when they like */
    own_network = world_enter();
    dns = world_dns_start();
    if (!dns || ca_new("test CA", 2, &ca, &e) < 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_dns_stop(dns);
    ca_free(ca);
    return failed;
}
