#include "proxy/conn.h"

#include "proxy/capture.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/jail.h"
#include "proxy/sources.h"
#include "proxy/tunnel.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_NS = 2000000000, LINGER_READ = 16 << 10 };

static const unsigned legal_next[CONN_STATE_COUNT] = {
#define S(constant) (1u << CONN_##constant)
#define STATE(constant, name, next) [CONN_##constant] = (next),
#include "proxy/states.def"
#undef STATE
#undef S
};

void conn_enter(struct conn *c, enum conn_state next)
{
    assert(legal_next[c->state] & 1u << next);
    c->state = next;
}

void conn_timer(struct conn *c, enum conn_timer timer, int64_t ns)
{
    c->timer = timer;
    loop_deadline_after(&c->deadline, ns);
}

struct slice conn_task_name(const struct conn *c)
{
    return slice_str(c->task ? c->task->name : NULL);
}

/* --- the end of a connection --- */

void conn_close(struct conn *c, bool abort)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->exchange && (c->state == CONN_EXCHANGE || c->state == CONN_CERT || c->state == CONN_TUNNEL))
        exchange_abandoned(c->exchange);
    exchange_free(c->exchange);
    if (c->intercepted && !c->had_request)
        intercept_record_end(c);
    conn_enter(c, CONN_CLOSED);
    certs_forget(&c->cert_waiter);
    upstream_unpin(c);
    if (c->stream.tls && !abort)
        tls_close_notify(c->stream.tls);
    tls_conn_free(TAKE(c->stream.tls));
    tls_cert_free(TAKE(c->cert));
    loop_deadline_clear(&c->deadline);
    loop_io_stop(&c->io);
    if (abort)
        stream_reset_on_close(c->stream.fd);
    close(TAKE_FD(c->stream.fd));
    if (c->task)
        task_connection_end(c->task);
    source_end(TAKE(c->source));
    list_remove(&c->node);
    list_insert(&c->worker->graveyard, &c->node);
}

void conn_bury(struct worker *w)
{
    LIST_FOREACH(it, &w->graveyard) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);
        list_remove(&c->node);
        blocks_take(&w->blocks, &c->in);
        blocks_take(&w->blocks, &c->out);
        client_free(c->client);
        jail_free(c->jail);
        free(c);
        worker_conn_gone(w);
    }
}

void conn_close_idle(struct worker *w)
{
    LIST_FOREACH(it, &w->conns) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);
        if (c->state == CONN_SNIFF)
            capture_cut(c);
        else if (c->state == CONN_HEAD && buf_len(&c->in) == 0)
            conn_close(c, false);
        else
            c->close_after = true;
    }
}

/* --- steps that belong to the connection itself --- */

/* Closing with unread bytes would make the kernel send RST, which may overtake the answer: the sending
 * side is closed first, and what still comes is read and dropped for a moment. */
static void begin_linger(struct conn *c)
{
    if (c->stream.tls)
        tls_close_notify(c->stream.tls);
    if (shutdown(c->stream.fd, SHUT_WR) < 0) {
        conn_close(c, false);
        return;
    }
    conn_enter(c, CONN_LINGER);
    conn_timer(c, TIMER_LINGER, LINGER_NS);
    c->readable = true;
}

static bool flush_step(struct conn *c)
{
    if (stream_flush(&c->stream, &c->out) < 0) {
        conn_close(c, true);
        return false;
    }
    if (buf_len(&c->out)) {
        conn_timer(c, TIMER_IDLE, snapshot_timeouts(c->worker->snapshot)->body_stall);
        return false;
    }
    if (c->close_after || c->eof) {
        begin_linger(c);
        return true;
    }
    const struct proxy_timeouts *t = snapshot_timeouts(c->worker->snapshot);
    blocks_take(&c->worker->blocks, &c->out);
    conn_enter(c, CONN_HEAD);
    c->head_seen = 0;
    if (buf_len(&c->in)) {
        conn_timer(c, TIMER_HEAD, t->head); /* the next one has begun already */
    } else {
        blocks_take(&c->worker->blocks, &c->in);
        conn_timer(c, TIMER_IDLE, c->task ? t->idle : t->head);
    }
    return true;
}

static bool linger_step(struct conn *c)
{
    if (!c->readable)
        return false;
    c->readable = false;
    char dropped[LINGER_READ];
    ssize_t n = recv(c->stream.fd, dropped, sizeof dropped, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        conn_close(c, false);
    return false;
}

/* The certificate's waiter moves the connection on. */
static bool wait_step(struct conn *c UNUSED)
{
    return false;
}

static bool (*const steps[CONN_STATE_COUNT])(struct conn *) = {
    [CONN_HEAD] = head_step,
    [CONN_SNIFF] = capture_step,
    [CONN_CERT] = wait_step,
    [CONN_HANDSHAKE] = intercept_handshake_step,
    [CONN_EXCHANGE] = exchange_step,
    [CONN_TUNNEL] = tunnel_step,
    [CONN_COMMIT] = exchange_commit_step,
    [CONN_FLUSH] = flush_step,
    [CONN_LINGER] = linger_step,
};

/* A client that is not read shows its end only when it is: so reading goes on while there is room, which
 * also takes pipelined requests in. */
static bool wants_read(const struct conn *c)
{
    if (c->eof)
        return false;
    switch (c->state) {
    case CONN_SNIFF:
        return !c->captured_ends;
    case CONN_EXCHANGE:
        return c->exchange->request_done ? buf_len(&c->in) == 0
                                         : buf_len(&c->exchange->up_out) < HIGH_WATER && buf_len(&c->in) < HIGH_WATER;
    case CONN_TUNNEL:
        return tunnel_wants_client(c);
    case CONN_CERT:
    case CONN_COMMIT:
    case CONN_FLUSH:
        return false;
    default:
        return true;
    }
}

static void update_wants(struct conn *c)
{
    bool write = c->stream.want_write || c->stream.read_wants_write;
    loop_io_want(&c->io, (wants_read(c) ? LOOP_READ : 0) | (write ? LOOP_WRITE : 0));
    if (c->state == CONN_EXCHANGE || c->state == CONN_TUNNEL)
        upstream_want(c->exchange);
}

void conn_pump(struct conn *c)
{
    while (c->state != CONN_CLOSED && steps[c->state](c))
        ;
    if (c->state != CONN_CLOSED)
        update_wants(c);
}

static void io_ready(struct loop_io *io, int events)
{
    struct conn *c = CONTAINER_OF(io, struct conn, io);
    if (events & LOOP_READ)
        c->readable = true;
    if (events & LOOP_WRITE && c->stream.read_wants_write)
        c->readable = true;
    conn_pump(c);
}

/* --- time --- */

static void deadline_due(struct loop_deadline *d)
{
    struct conn *c = CONTAINER_OF(d, struct conn, deadline);
    switch (c->timer) {
    case TIMER_HEAD:
        c->client_late = true;
        conn_pump(c);
        break;
    case TIMER_RESPONSE_HEAD:
    case TIMER_STALL:
        exchange_stalled(c->exchange);
        conn_pump(c);
        break;
    case TIMER_TUNNEL:
        tunnel_late(c->exchange);
        conn_pump(c);
        break;
    case TIMER_CERT:
        certs_forget(&c->cert_waiter);
        exchange_refuse(c->exchange, REASON_KEEPER_UNAVAILABLE, "the keeper does not answer");
        conn_pump(c);
        break;
    case TIMER_IDLE:
    case TIMER_HANDSHAKE:
    case TIMER_LINGER:
        conn_close(c, c->timer == TIMER_LINGER || buf_len(&c->out) > 0); /* what is cut must look cut */
        break;
    }
}

/* A record that waited is made. */
static void client_settled(void *arg)
{
    struct conn *c = arg;
    if (c->exchange)
        exchange_client_settled(c->exchange);
    else if (c->state == CONN_SNIFF && c->captured_ends)
        conn_pump(c);
}

void conn_ask_client(struct conn *c, int sock, const struct fetch_address *remote)
{
    c->client = client_ask(c->worker, sock, &c->peer, remote, client_settled, c);
}

/* Who it is, and where it wanted to go, is known from the jail; neither has to be believed. */
static void enter_jail(struct conn *c, const struct listener *l)
{
    struct fetch_address remote;
    c->jail = jail_ref(l->jail);
    if (l->capture) {
        capture_begin(c, l->ask);
        return;
    }
    if (stream_own_address(c->stream.fd, &remote) == 0)
        conn_ask_client(c, l->ask, &remote);
}

/* Before it has said a word: else a user could hold all our descriptors, and the place of all exchanges. */
static struct source *begin_of_user(struct worker *w, const struct jail *jail)
{
    return sources_begin_user(w->sources, jail->owner, snapshot_limits(w->snapshot)->connections_per_task);
}

int conn_new(const struct listener *l, int fd, const struct fetch_address *peer)
{
    struct worker *w = l->worker;
    struct source *user = NULL;
    if (l->jail && l->jail->guest && !(user = begin_of_user(w, l->jail)))
        return -1;
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        source_end(user);
        return -1;
    }
    c->source = user;
    size_t head_max = snapshot_limits(w->snapshot)->head_size;
    c->worker = w;
    c->stream.fd = fd;
    c->peer = *peer;
    fetch_address_print(peer, c->peer_text);
    c->in = BUF_INIT(head_max + HIGH_WATER);
    c->out = BUF_INIT(head_max + 4 * HIGH_WATER);
    list_init(&c->cert_waiter.node);
    list_insert(&w->conns, &c->node);
    w->conn_count++;
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        /* only slower */
    }
    loop_io_init(&c->io, w->loop, fd, io_ready);
    loop_deadline_init(&c->deadline, w->loop, deadline_due);
    /* Who has not said which task it is must do so soon: else anybody could hold all our descriptors. */
    conn_timer(c, TIMER_IDLE, snapshot_timeouts(w->snapshot)->head);
    if (l->jail)
        enter_jail(c, l);
    else if (!(c->source = sources_begin(w->sources, peer, snapshot_limits(w->snapshot)->connections_per_source)))
        request_refuse_unread(c, REASON_TOO_MANY_CONNECTIONS, "this address has too many connections open");
    conn_pump(c);
    return 0;
}
