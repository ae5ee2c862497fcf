#include "fetch_client.h"

#include "base/clock.h"

#include <poll.h>

bool own_network;
struct world_dns *dns;
struct loop *loop;
struct fetch *fetch;
struct fetch_override overrides[24];
struct fetch_address listeners[2];
struct fetch_settings settings;
uint64_t generation;

struct fetch_address address(const char *text, uint16_t port)
{
    struct fetch_address a;

    assert_int_equal(fetch_address_parse(slice_str(text), port, &a), 0);
    return a;
}

void configure(void)
{
    struct err e;

    if (fetch_configure(fetch, &settings, ++generation, &e) < 0)
        fail_msg("%s", e.text);
}

void override(const char *host, uint16_t port, const char *to, uint16_t to_port)
{
    overrides[settings.override_count++] =
        (struct fetch_override){.host = host, .port = port, .to = address(to, to_port)};
    configure();
}

int set_up(void **state)
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

int tear_down(void **state)
{
    (void)state;
    fetch_free(fetch);
    loop_free(loop);
    tls_trust_free(settings.trust);
    return 0;
}

/* --- asking --- */

unsigned awaited;

void note(void *arg, const struct fetch_result *result)
{
    struct asked *a = arg;

    a->calls++;
    a->result = *result;
    if (--awaited == 0)
        loop_stop(loop);
}

struct fetch_want want(const char *task, enum http_scheme scheme, const char *host, uint16_t port)
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

void run_for(int64_t ns)
{
    struct loop_deadline end;

    loop_deadline_init(&end, loop, stop_loop);
    loop_deadline_set(&end, clock_mono_ns() + ns);
    loop_run(loop);
    loop_deadline_clear(&end);
}

void start(struct asked *a, const struct fetch_want *w)
{
    *a = (struct asked){0};
    awaited++;
    a->op = fetch_connect(fetch, w, note, a);
    assert_non_null(a->op);
    assert_int_equal(a->calls, 0); /* never from within the call */
}

void await_all(void)
{
    /* Generous: only a hang gets here. */
    run_for(30 * SECOND);
    assert_int_equal(awaited, 0);
}

struct asked ask(const struct fetch_want *w)
{
    struct asked a;

    start(&a, w);
    await_all();
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.result.fault == FETCH_OK, a.result.conn != NULL);
    return a;
}

void expect(const struct fetch_want *w, enum fetch_fault fault, const char *detail)
{
    struct asked a = ask(w);

    if (a.result.conn)
        fetch_release(fetch, a.result.conn, false);
    assert_int_equal(a.result.fault, fault);
    if (detail)
        assert_string_equal(a.result.detail, detail);
}

struct fetch_conn *connected(const struct fetch_want *w)
{
    struct asked a = ask(w);

    if (a.result.fault != FETCH_OK)
        fail_msg("fault %d: %s", a.result.fault, a.result.detail);
    return a.result.conn;
}

struct fetch_conn *acquire_pooled(const struct fetch_want *w)
{
    struct asked unused;
    struct fetch_op *op;
    struct fetch_conn *c = fetch_acquire(fetch, w, note, &unused, &op);

    assert_int_equal(c == NULL, op != NULL);
    fetch_cancel(op);
    return c;
}

int plain_origin(void)
{
    uint16_t port;
    int fd = world_listen("127.0.0.1", 0, 16, &port);

    assert_true(fd >= 0);
    override("origin.test", 80, "127.0.0.1", port);
    return fd;
}

bool has_visitor(int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};

    return poll(&p, 1, 50) == 1;
}

int run_fetch_tests(const struct CMUnitTest *tests, size_t count)
{
    own_network = world_enter();
    dns = world_dns_start();
    if (!dns)
        return 1;
    int failed = _cmocka_run_group_tests("fetch", tests, count, NULL, NULL);
    world_dns_stop(dns);
    return failed;
}
