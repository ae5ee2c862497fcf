#include "proxy_world.h"

#include "base/crypto.h"
#include "fetch_world.h"
#include "tls/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { SLOTS = 32 };

static const char policy_text[] =
    "exeat: 1\n"
    "allow:\n"
    "  - {name: read, host: api.test, scheme: http, paths: [/**]}\n"
    "  - {name: read more, host: \"**.api.test\", paths: [/**]}\n"
    "  - {name: write, host: api.test, scheme: http, methods: [POST], paths: [/**],\n"
    "     body: {max: 1KiB}}\n";

/* --- the data plane --- */

struct world world;

static void *keep(void *arg)
{
    struct err e;
    (void)arg;
    if (keeper_serve(world.tls.ca, world.keeper_ends, WORKERS, 0, &e) < 0)
        print_error("keeper: %s\n", e.text);
    return NULL;
}

static void drained(void *arg)
{
    (void)arg;
    atomic_fetch_add(&world.drained, 1);
}

/* `text` NULL: without any task. */
static struct proxy_snapshot *make_snapshot(const char *text)
{
    struct err e;
    struct proxy_settings s;
    struct proxy_snapshot *made = NULL;
    AUTO(policy) *policy = NULL;
    struct fetch_override to[] = {{.host = "api.test", .port = 80}, {.host = "api.test", .port = 443}};
    struct proxy_task_settings task = {.name = "t", .has_token = true};
    if (text)
        must(policy_compile("policy.yaml", slice_str(text), "t", NULL, NULL, &policy, &e), &e);
    task.policy = policy;
    assert_int_equal(crypto_sha256(SLICE("tok"), task.token_sha256), 0);
    assert_int_equal(fetch_address_parse(SLICE("127.0.0.1"), plain_origin.port, &to[0].to), 0);
    assert_int_equal(fetch_address_parse(SLICE("127.0.0.1"), tls_origin.port, &to[1].to), 0);
    proxy_settings_defaults(&s);
    s.timeouts.head = 300000000;
    s.tasks = &task;
    s.task_count = text ? 1 : 0;
    s.overrides = to;
    s.override_count = ARRAY_LEN(to);
    s.trust = world.tls.trust;
    if (world.plan && world.plan->settle)
        world.plan->settle(&s);
    must(proxy_snapshot_new(&s, ++world.generation, &made, &e), &e);
    return made;
}

void reload(const char *text)
{
    AUTO(proxy_snapshot) *next = make_snapshot(text);
    proxy_reload(world.proxy, next);
}

/* The keeper's thread, and the proxy's ends of its sockets. */
static void start_keeper(int ends[WORKERS])
{
    for (int i = 0; i < WORKERS; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        world.keeper_ends[i] = fds[0];
        ends[i] = fds[1];
    }
    assert_int_equal(pthread_create(&world.keeper, NULL, keep, NULL), 0);
}

static void join_keeper(void)
{
    pthread_join(world.keeper, NULL);
    for (int i = 0; i < WORKERS; i++)
        close(world.keeper_ends[i]);
}

void keeper_dies(void)
{
    for (int i = 0; i < WORKERS; i++)
        shutdown(world.keeper_ends[i], SHUT_RDWR);
    join_keeper();
    world.keeper_dead = true;
}

void another_keeper(void)
{
    int ends[WORKERS];
    start_keeper(ends);
    world.keeper_dead = false;
    proxy_set_keepers(world.proxy, ends);
}

static void start_proxy(void)
{
    struct err e;
    int ends[WORKERS];
    AUTO(proxy_snapshot) *snapshot =
        make_snapshot(world.plan && world.plan->policy ? world.plan->policy : policy_text);
    start_keeper(ends);
    struct proxy_setup setup = {
        .listeners = &world.listener,
        .listener_count = 1,
        .workers = WORKERS,
        .keepers = ends,
        .inflight = world.inflight,
        .snapshot = snapshot,
        .drained = drained,
    };
    must(proxy_new(&setup, &world.proxy, &e), &e);
    must(proxy_run(world.proxy, world.log, &e), &e);
}

int proxy_world_start(void **state)
{
    struct err e;
    const struct world_plan *plan = *state;
    memset(&world, 0, sizeof world);
    world.plan = plan;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full file is an error, not an end */
    getrlimit(RLIMIT_FSIZE, &world.whole_files);
    world.file = BUF_INIT(FIXTURE_FILE_MAX);
    if (audit_fixture_setup(state) < 0)
        return -1;
    world.files = *state;
    fixture_init(&world.tls);
    world.cert = fixture_cert(&world.tls, "api.test", fixture_now()); /* before the CA is the keeper's */
    world.log = fixture_open(world.files);
    world.inflight_fd = inflight_create(plan && plan->slots ? plan->slots : SLOTS, &e);
    must(inflight_map(world.inflight_fd, &world.inflight, &e), &e);
    origin_start(&plain_origin, NULL, NULL);
    origin_start(&tls_origin, world.tls.server, world.cert);
    world.listener = world_listen("127.0.0.1", 0, 64, &world.port);
    assert_int_equal(fcntl(world.listener, F_SETFL, O_NONBLOCK), 0);
    start_proxy();
    return 0;
}

static void count_slot(void *arg, const struct inflight_entry *entry)
{
    print_error("still in flight: %s %s\n", entry->method, entry->url);
    ++*(unsigned *)arg;
}

int proxy_world_stop(void **state)
{
    unsigned slots = 0;
    proxy_stop(world.proxy);
    if (!world.keeper_dead)
        join_keeper();
    origin_stop(&plain_origin);
    origin_stop(&tls_origin);
    audit_close(world.log);
    empty_the_disk();
    inflight_recover(world.inflight, count_slot, &slots);
    const char *broken = fixture_verify(world.files);
    if (broken)
        print_error("%s\n", broken);
    close(world.listener);
    inflight_free(world.inflight);
    close(world.inflight_fd);
    tls_cert_free(world.cert);
    fixture_free(&world.tls);
    buf_free(&world.file);
    return audit_fixture_teardown(state) < 0 || slots || broken ? -1 : 0;
}

/* --- a client --- */

int dial_with(int fd)
{
    const struct timeval limit = {.tv_sec = 10};
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(world.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        connect(fd, (const struct sockaddr *)&to, sizeof to) < 0)
        return -1;
    return fd;
}

int dial(void)
{
    int fd = dial_with(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    assert_true(fd >= 0);
    return fd;
}

void send_text(int fd, const char *text)
{
    say(fd, slice_str(text));
}

void get(int fd, const char *method, const char *path)
{
    char text[512];
    snprintf(text, sizeof text, "%s http://api.test%s HTTP/1.1\r\n" TOKEN "\r\n", method, path);
    send_text(fd, text);
}

bool read_some(int fd, struct buf *in)
{
    char *to = buf_reserve(in, 4096);
    ssize_t n = to ? recv(fd, to, 4096, 0) : -1;
    if (n > 0)
        buf_commit(in, (size_t)n);
    return n > 0;
}

const char *read_until(int fd, struct buf *in, const char *end)
{
    for (;;) {
        const char *text = buf_cstr(in);
        if (text && strstr(text, end))
            return text;
        if (!read_some(fd, in))
            fail_msg("the connection ended before `%s`: %.*s", end, SLICE_FMT(buf_slice(in)));
    }
}

int read_to_end(int fd, struct buf *in)
{
    for (;;) {
        char *to = buf_reserve(in, 65536);
        ssize_t n = recv(fd, to, 65536, 0);
        if (n <= 0)
            return n < 0 ? errno : 0;
        buf_commit(in, (size_t)n);
    }
}

/* --- a client behind TLS --- */

struct tls_conn *tunnel(int fd, const char *name)
{
    AUTO_BUF in = BUF_INIT(1 << 16);
    struct tls_peer peer = peer_of(name, "t");
    char text[512];
    snprintf(text, sizeof text,
             "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\nProxy-Authorization: Basic dDp0b2s=\r\n\r\n", name,
             name);
    send_text(fd, text);
    read_until(fd, &in, "\r\n\r\n");
    if (!slice_starts(buf_slice(&in), SLICE("HTTP/1.1 200 ")))
        return NULL;
    AUTO(tls_conn) *tls = tls_connect(world.tls.client, fd, &peer);
    assert_non_null(tls);
    assert_int_equal(tls_handshake(tls), 0);
    return TAKE(tls);
}

void tls_get(struct tls_conn *tls, const char *name, const char *path)
{
    char text[512];
    int len = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, name);
    assert_int_equal(tls_write(tls, text, (size_t)len), len);
}

const char *tls_read_until(struct tls_conn *tls, struct buf *in, const char *end)
{
    for (;;) {
        const char *text = buf_cstr(in);
        if (text && strstr(text, end))
            return text;
        ssize_t n = tls_read(tls, buf_reserve(in, 16384), 16384);
        if (n <= 0)
            fail_msg("the tunnel ended (%zd) before `%s`: %.*s", n, end, SLICE_FMT(buf_slice(in)));
        buf_commit(in, (size_t)n);
    }
}

ssize_t tls_read_to_end(struct tls_conn *tls, struct buf *in)
{
    for (;;) {
        ssize_t n = tls_read(tls, buf_reserve(in, 16384), 16384);
        if (n <= 0)
            return n;
        buf_commit(in, (size_t)n);
    }
}

/* --- what there is to see --- */

bool holds(struct slice text, const char *words)
{
    return words[0] == '\0' || memmem(text.ptr, text.len, words, strlen(words)) != NULL;
}

struct slice log_now(void)
{
    buf_free(&world.file);
    return fixture_read(world.files, "audit.jsonl", &world.file);
}

void expect_recorded(const char *words)
{
    if (!holds(log_now(), words))
        fail_msg("no `%s` in the log:\n%.*s", words, SLICE_FMT(log_now()));
}

void await_record(const char *words)
{
    for (int tries = 0; tries < 300; tries++) {
        if (holds(log_now(), words))
            return;
        pause_ms(10);
    }
    expect_recorded(words);
}

void fill_the_disk(void)
{
    struct rlimit none = {.rlim_cur = log_now().len, .rlim_max = world.whole_files.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
}

void empty_the_disk(void)
{
    setrlimit(RLIMIT_FSIZE, &world.whole_files);
}
