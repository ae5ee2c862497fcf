#include "proxy_origin.h"

#include "fetch_world.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct origin plain_origin, tls_origin;

void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

bool say(int fd, struct slice s)
{
    while (s.len) {
        ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        s = slice_skip(s, (size_t)n);
    }
    return true;
}

/* --- a connection's bytes --- */

static bool answer(struct origin_conn *c, struct slice s)
{
    if (!c->tls)
        return say(c->fd, s);
    while (s.len) {
        ssize_t n = tls_write(c->tls, s.ptr, s.len);
        if (n <= 0)
            return false;
        s = slice_skip(s, (size_t)n);
    }
    return true;
}

static ssize_t hear(struct origin_conn *c, char *to, size_t len)
{
    return c->tls ? tls_read(c->tls, to, len) : recv(c->fd, to, len, 0);
}

/* --- what it does --- */

/* To add an answer: a row.  One that says "close" ends the connection; at /cut, without close_notify. */
static const struct {
    const char *path, *answer;
} scripts[] = {
    {"/length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
    {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
    {"/close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"},
    {"/none", "HTTP/1.1 204 No Content\r\n\r\n"},
    {"/interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
    {"/cut-open", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"},
    {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\nok"},
    {"/twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
               "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"},
    {"/broken", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok"},
};

static bool say_half(struct origin_conn *c)
{
    static const char zeros[HALF];
    return answer(c, slice_of(zeros, HALF));
}

static bool hold(struct origin_conn *c)
{
    answer(c, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 80000\r\n\r\n"));
    say_half(c);
    sem_wait(&c->origin->go);
    return say_half(c);
}

/* A second answer that nobody asked for, when the first has arrived. */
static bool speak_up(struct origin_conn *c)
{
    answer(c, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    sem_wait(&c->origin->go);
    bool more = answer(c, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"));
    sem_post(&c->origin->spoken);
    return more;
}

/* Keeps the connection, it says, and ends it. */
static bool leave(struct origin_conn *c)
{
    answer(c, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    return false;
}

static bool flood(struct origin_conn *c)
{
    while (!atomic_load(&c->origin->closing))
        if (!answer(c, SLICE("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")))
            break;
    return false;
}

static bool drip(struct origin_conn *c)
{
    answer(c, SLICE("HTTP/1.1 200 OK\r\nX: "));
    while (!atomic_load(&c->origin->closing) && answer(c, SLICE("x")))
        pause_ms(10);
    return false;
}

static const struct {
    const char *path;
    bool (*serve)(struct origin_conn *c); /* false when the connection ends */
} deeds[] = {
    {"/hold", hold}, {"/speak-up", speak_up}, {"/leave", leave}, {"/flood", flood}, {"/drip", drip},
};

/* False when the connection ends with the answer. */
static bool serve_one(struct origin_conn *c, struct slice head)
{
    struct slice rest = head, method, path;
    slice_next(&rest, ' ', &method);
    slice_next(&rest, ' ', &path);
    atomic_fetch_add(&c->origin->requests, 1);
    c->cut = slice_starts(path, SLICE("/cut"));
    if (slice_eq(method, SLICE("POST")))
        return true; /* reads on, answers nothing */
    for (size_t i = 0; i < ARRAY_LEN(deeds); i++)
        if (slice_starts(path, slice_str(deeds[i].path)))
            return deeds[i].serve(c);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        if (!slice_starts(path, slice_str(scripts[i].path)))
            continue;
        struct slice all = slice_str(scripts[i].answer);
        if (slice_eq(method, SLICE("HEAD")))
            all = slice_of(all.ptr, (size_t)(strstr(all.ptr, "\r\n\r\n") + 4 - all.ptr));
        return answer(c, all) && !strstr(scripts[i].answer, "close");
    }
    return false;
}

/* --- connections --- */

static int give_certificate(void *arg, struct tls_cert **ret)
{
    *ret = ((struct origin *)arg)->cert;
    return 0;
}

static bool secure(struct origin_conn *c)
{
    struct origin *o = c->origin;
    const struct tls_accept want = {
        .host = SLICE("api.test"), .task = SLICE("t"), .certificate = give_certificate, .arg = o};
    if (!o->server)
        return true;
    c->tls = tls_accept(o->server, c->fd, &want);
    return c->tls && tls_handshake(c->tls) == 0; /* the descriptor blocks: one call does it */
}

/* Requests until one ends the connection.  How it ended: 0 cleanly, else errno. */
static int serve_all(struct origin_conn *c, struct buf *in, bool *ret_posting)
{
    bool more = true, posting = false;
    int error = 0;
    while (more) {
        char *to = buf_reserve(in, 4096);
        ssize_t n = to ? hear(c, to, 4096) : 0;
        error = n < 0 ? errno : 0;
        if (n <= 0)
            break;
        buf_commit(in, (size_t)n);
        const char *text = buf_cstr(in), *end;
        while (more && !posting && text && (end = strstr(text, "\r\n\r\n"))) {
            posting = strncmp(text, "POST", 4) == 0;
            more = serve_one(c, slice_of(text, (size_t)(end - text)));
            if (!posting)
                buf_consume(in, (size_t)(end + 4 - text));
            text = buf_len(in) ? buf_cstr(in) : NULL;
        }
    }
    *ret_posting = posting;
    return error;
}

static void *serve(void *arg)
{
    struct origin_conn *c = arg;
    struct origin *o = c->origin;
    struct buf in = BUF_INIT(1 << 20);
    bool posting = false;
    int error = secure(c) ? serve_all(c, &in, &posting) : 0;
    if (posting) {
        buf_free(&o->seen);
        o->seen = in;
        atomic_store(&o->last_errno, error);
    } else {
        buf_free(&in);
    }
    if (c->tls && !c->cut)
        tls_close_notify(c->tls);
    shutdown(c->fd, SHUT_RDWR);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct origin *o = arg;
    for (;;) {
        int fd = accept(o->fd, NULL, NULL);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
            pause_ms(5);
            continue;
        }
        if (fd < 0)
            return NULL;
        unsigned i = atomic_load(&o->count);
        if (i == ORIGIN_CONNS)
            abort();      /* no test needs that many */
        const int on = 1; /* what is said has been sent (Nagle would keep it until the next request) */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        o->conns[i] = (struct origin_conn){.origin = o, .fd = fd};
        atomic_fetch_add(&o->count, 1); /* before its first answer */
        if (pthread_create(&o->conns[i].thread, NULL, serve, &o->conns[i]) != 0)
            abort();
    }
}

void origin_start(struct origin *o, struct tls_server *server, struct tls_cert *cert)
{
    memset(o, 0, sizeof *o);
    o->server = server;
    o->cert = cert;
    atomic_store(&o->last_errno, -1);
    sem_init(&o->go, 0, 0);
    sem_init(&o->spoken, 0, 0);
    o->fd = world_listen("127.0.0.1", 0, 64, &o->port);
    assert_true(o->fd >= 0);
    assert_int_equal(pthread_create(&o->acceptor, NULL, accept_all, o), 0);
}

void origin_stop(struct origin *o)
{
    atomic_store(&o->closing, true);
    shutdown(o->fd, SHUT_RDWR);
    pthread_join(o->acceptor, NULL);
    for (unsigned i = 0; i < o->count; i++) {
        shutdown(o->conns[i].fd, SHUT_RDWR);
        sem_post(&o->go);
    }
    for (unsigned i = 0; i < o->count; i++) {
        pthread_join(o->conns[i].thread, NULL);
        tls_conn_free(o->conns[i].tls);
        close(o->conns[i].fd);
    }
    close(o->fd);
    buf_free(&o->seen);
    sem_destroy(&o->go);
    sem_destroy(&o->spoken);
}
