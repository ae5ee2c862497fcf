#include "proxy_world.h"

#include "base/crypto.h"
#include "fetch_world.h"
#include "tls/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 32 };

static const char policy_text[] =
    "exeat: 1\n"
    "allow:\n"
    "  - {name: read, host: api.test, scheme: http, paths: [/**]}\n"
    "  - {name: write, host: api.test, scheme: http, methods: [POST], paths: [/**],\n"
    "     body: {max: 1KiB}}\n";

/* --- an origin (plain HTTP), a thread a connection --- */

struct origin origin;

void say(int fd, struct slice s)
{
    while (s.len) {
        ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        s = slice_skip(s, (size_t)n);
    }
}

static void say_half(int fd)
{
    static const char zeros[HALF];
    say(fd, slice_of(zeros, HALF));
}

/* To add one: a row. */
static const struct {
    const char *path, *answer;
} scripts[] = {
    {"/length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
    {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
    {"/close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"},
    {"/none", "HTTP/1.1 204 No Content\r\n\r\n"},
    {"/interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
    {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\nok"},
};

/* False when the connection ends with the answer. */
static bool serve_one(int fd, struct slice head)
{
    struct slice rest = head, method, path;
    slice_next(&rest, ' ', &method);
    slice_next(&rest, ' ', &path);
    atomic_fetch_add(&origin.requests, 1);
    if (slice_eq(method, SLICE("POST")))
        return true; /* reads on, answers nothing */
    if (slice_eq(path, SLICE("/hold"))) {
        say(fd, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 80000\r\n\r\n"));
        say_half(fd);
        sem_wait(&origin.go);
        say_half(fd);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        if (!slice_starts(path, slice_str(scripts[i].path)))
            continue;
        struct slice answer = slice_str(scripts[i].answer);
        if (slice_eq(method, SLICE("HEAD")))
            answer = slice_of(answer.ptr, (size_t)(strstr(answer.ptr, "\r\n\r\n") + 4 - answer.ptr));
        say(fd, answer);
        return !strstr(scripts[i].answer, "close");
    }
    return false;
}

static void *serve(void *arg)
{
    int fd = *(int *)arg;
    struct buf in = BUF_INIT(1 << 20);
    bool more = true, posting = false;
    int error = 0;
    while (more) {
        char *to = buf_reserve(&in, 4096);
        ssize_t n = to ? recv(fd, to, 4096, 0) : 0;
        error = n < 0 ? errno : 0;
        if (n <= 0)
            break;
        buf_commit(&in, (size_t)n);
        const char *text = buf_cstr(&in), *end;
        while (more && !posting && text && (end = strstr(text, "\r\n\r\n"))) {
            posting = strncmp(text, "POST", 4) == 0;
            more = serve_one(fd, slice_of(text, (size_t)(end - text)));
            if (!posting)
                buf_consume(&in, (size_t)(end + 4 - text));
            text = buf_len(&in) ? buf_cstr(&in) : NULL;
        }
    }
    if (posting) {
        atomic_store(&origin.last_errno, error);
        origin.seen = in;
    } else {
        buf_free(&in);
    }
    shutdown(fd, SHUT_RDWR);
    return NULL;
}

static void *accept_all(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept(origin.fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        unsigned i = atomic_load(&origin.conns);
        if (i == ORIGIN_CONNS)
            abort(); /* no test needs that many */
        origin.fds[i] = fd;
        pthread_create(&origin.threads[i], NULL, serve, &origin.fds[i]);
        atomic_fetch_add(&origin.conns, 1);
    }
}

static void origin_start(void)
{
    origin = (struct origin){.last_errno = -1};
    sem_init(&origin.go, 0, 0);
    origin.fd = world_listen("127.0.0.1", 0, 64, &origin.port);
    assert_true(origin.fd >= 0);
    assert_int_equal(pthread_create(&origin.acceptor, NULL, accept_all, NULL), 0);
}

/* After the proxy: its connections have ended. */
static void origin_stop(void)
{
    shutdown(origin.fd, SHUT_RDWR);
    pthread_join(origin.acceptor, NULL);
    for (unsigned i = 0; i < origin.conns; i++) {
        shutdown(origin.fds[i], SHUT_RDWR);
        sem_post(&origin.go);
    }
    for (unsigned i = 0; i < origin.conns; i++) {
        pthread_join(origin.threads[i], NULL);
        close(origin.fds[i]);
    }
    close(origin.fd);
    buf_free(&origin.seen);
    sem_destroy(&origin.go);
}

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

static void make_snapshot(void)
{
    struct err e;
    struct proxy_settings s;
    struct fetch_override to = {.host = "api.test", .port = 80};
    struct proxy_task_settings task = {.name = "t", .policy = world.policy, .has_token = true};
    proxy_settings_defaults(&s);
    s.timeouts.head = 300000000;
    assert_int_equal(fetch_address_parse(SLICE("127.0.0.1"), origin.port, &to.to), 0);
    assert_int_equal(crypto_sha256(SLICE("tok"), task.token_sha256), 0);
    s.tasks = &task;
    s.task_count = 1;
    s.overrides = &to;
    s.override_count = 1;
    s.trust = world.tls.trust;
    must(proxy_snapshot_new(&s, 1, &world.snapshot, &e), &e);
}

static void start_proxy(void)
{
    struct err e;
    int ends[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        world.keeper_ends[i] = fds[0];
        ends[i] = fds[1];
    }
    assert_int_equal(pthread_create(&world.keeper, NULL, keep, NULL), 0);
    struct proxy_setup setup = {
        .listeners = &world.listener,
        .listener_count = 1,
        .workers = WORKERS,
        .keepers = ends,
        .inflight = world.inflight,
        .snapshot = world.snapshot,
        .drained = drained,
    };
    must(proxy_new(&setup, &world.proxy, &e), &e);
    must(proxy_run(world.proxy, world.log, &e), &e);
}

int proxy_world_start(void **state)
{
    struct err e;
    memset(&world, 0, sizeof world);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full file is an error, not an end */
    getrlimit(RLIMIT_FSIZE, &world.whole_files);
    world.file = BUF_INIT(FIXTURE_FILE_MAX);
    if (audit_fixture_setup(state) < 0)
        return -1;
    world.files = *state;
    fixture_init(&world.tls);
    must(policy_compile("policy.yaml", slice_str(policy_text), "t", NULL, NULL, &world.policy, &e), &e);
    world.log = fixture_open(world.files);
    world.inflight_fd = inflight_create(SLOTS, &e);
    must(inflight_map(world.inflight_fd, &world.inflight, &e), &e);
    origin_start();
    make_snapshot();
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

/* Whatever a test did: no slot is left, and the log is whole. */
int proxy_world_stop(void **state)
{
    unsigned slots = 0;
    proxy_stop(world.proxy);
    pthread_join(world.keeper, NULL);
    origin_stop();
    audit_close(world.log);
    setrlimit(RLIMIT_FSIZE, &world.whole_files);
    inflight_recover(world.inflight, count_slot, &slots);
    const char *broken = fixture_verify(world.files);
    if (broken)
        print_error("%s\n", broken);
    for (int i = 0; i < WORKERS; i++)
        close(world.keeper_ends[i]);
    close(world.listener);
    inflight_free(world.inflight);
    close(world.inflight_fd);
    proxy_snapshot_free(world.snapshot);
    policy_free(world.policy);
    fixture_free(&world.tls);
    buf_free(&world.file);
    return audit_fixture_teardown(state) < 0 || slots || broken ? -1 : 0;
}

/* --- a client --- */

int dial(void)
{
    struct timeval limit = {.tv_sec = 10};
    struct fetch_address a;
    struct sockaddr_storage sa;
    assert_int_equal(fetch_address_parse(SLICE("127.0.0.1"), world.port, &a), 0);
    socklen_t len = fetch_address_to_sockaddr(&a, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
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

/* Reads until `end` is there; the text so far. */
const char *read_until(int fd, struct buf *in, const char *end)
{
    for (;;) {
        const char *text = buf_cstr(in);
        if (text && strstr(text, end))
            return text;
        char *to = buf_reserve(in, 4096);
        ssize_t n = recv(fd, to, 4096, 0);
        if (n <= 0)
            fail_msg("the connection ended before `%s`: %s", end, text ? text : "");
        buf_commit(in, (size_t)n);
    }
}

/* All until the end: 0 where that was clean, else errno. */
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

void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Until the record is there: for those that follow the end of a connection. */
void await_record(const char *words)
{
    for (int tries = 0; tries < 200; tries++) {
        if (holds(log_now(), words))
            return;
        pause_ms(10);
    }
    expect_recorded(words);
}

/* From now on no file of this process grows. */
void fill_the_disk(void)
{
    struct rlimit none = {.rlim_cur = log_now().len, .rlim_max = world.whole_files.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
}
