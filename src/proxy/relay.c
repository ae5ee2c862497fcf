#include "proxy/relay.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/ulid.h"
#include "proxy/jail.h"
#include "proxy/stream.h"
#include "proxy/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RELAYS_MAX = 512, READ_BYTES = 16 << 10, RETRY_NS = 100000000, URL_BYTES = 80 };

struct service {
    struct list node;
    struct relays *all;
    struct loop_io io;
    struct loop_deadline retry; /* after EMFILE, as worker.c does */
    struct relay_order order;
};

struct relays {
    struct worker *worker;
    struct jail *jail;
    struct list services, relays;
    unsigned count;
};

/* The client, who connected, and the target. */
enum side { CLIENT, TARGET, SIDES };

struct relay {
    struct list node;
    struct relays *all;
    struct relay_order order;
    struct fetch_address target;
    struct loop_io io[SIDES];
    struct loop_deadline late; /* while it connects */
    struct stream stream[SIDES];
    struct buf from[SIDES]; /* read there, not yet written to the other side */
    bool eof[SIDES], shut[SIDES];
    uint64_t moved[SIDES]; /* bytes that came from there and left to the other side */
    bool open;
    int64_t began;
    char id[ULID_BYTES], url[URL_BYTES];
};

/* --- records --- */

static int record(const struct relay *r, enum audit_kind kind, enum reason reason, const char *outcome)
{
    bool out = r->order.kind == RELAY_SERVICE; /* the client is inside */
    char address[FETCH_ADDRESS_TEXT];
    struct worker *w = r->all->worker;
    fetch_address_print(&r->target, address);
    const struct audit_event ev = {
        .kind = kind,
        .id = r->id,
        .task = r->all->jail->task,
        .verdict = "allow",
        .reason = reason,
        .url = slice_str(r->url),
        .protocol = "tcp",
        .sent = r->moved[out ? CLIENT : TARGET],
        .received = r->moved[out ? TARGET : CLIENT],
        .ns = kind == AUDIT_OPEN ? -1 : clock_mono_ns() - r->began,
        .upstream_address = address,
        .upstream_port = r->target.port,
        .upstream_protocol = "tcp",
        .begun = true,
        .detail = out ? "not inspected; a service of this machine" : "not inspected; published to this machine",
        .outcome = outcome,
    };
    if (audit_queue(w->audit, &ev, NULL) < 0)
        return -1;
    w->queued++;
    return 0;
}

/* --- the end of one --- */

static void listen_again(struct relays *all)
{
    LIST_FOREACH(it, &all->services)
    loop_io_want(&LIST_ENTRY(it, struct service, node)->io, LOOP_READ);
}

static void forget(struct relay *r)
{
    struct relays *all = r->all;
    loop_deadline_clear(&r->late);
    for (enum side s = CLIENT; s < SIDES; s++) {
        loop_io_stop(&r->io[s]);
        blocks_take(&all->worker->blocks, &r->from[s]);
        close(r->stream[s].fd);
    }
    list_remove(&r->node);
    free(r);
    if (all->count-- == RELAYS_MAX)
        listen_again(all);
}

static void end(struct relay *r, enum reason reason, const char *outcome)
{
    if (record(r, AUDIT_SERVICE, reason, outcome) < 0)
        log_error("the end of a connection to %s is not on record", r->url);
    forget(r);
}

/* With RST to both sides: what was cut must not look whole. */
static void cut(struct relay *r, enum reason reason)
{
    const struct linger now = {.l_onoff = 1};
    for (enum side s = CLIENT; s < SIDES; s++)
        if (setsockopt(r->stream[s].fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) < 0) {
            /* It is not connected: then nobody takes it for whole. */
        }
    end(r, reason, "aborted");
}

/* --- bytes --- */

static enum side other(enum side s)
{
    return s == CLIENT ? TARGET : CLIENT;
}

/* -1: the connection there was cut. */
static int fill(struct relay *r, enum side s)
{
    if (r->eof[s] || buf_len(&r->from[s]))
        return 0;
    blocks_give(&r->all->worker->blocks, &r->from[s]);
    ssize_t n = stream_read(&r->stream[s], &r->from[s], READ_BYTES);
    if (n == TLS_WANT_READ)
        return 0;
    r->eof[s] = n == 0;
    return n < 0 ? -1 : 0;
}

static int drain(struct relay *r, enum side s)
{
    struct stream *to = &r->stream[other(s)];
    ssize_t n = buf_len(&r->from[s]) ? stream_flush(to, &r->from[s]) : 0;
    if (n < 0)
        return -1;
    r->moved[s] += (uint64_t)n;
    if (buf_len(&r->from[s]))
        return 0;
    blocks_take(&r->all->worker->blocks, &r->from[s]);
    if (r->eof[s] && !r->shut[s]) {
        r->shut[s] = true;
        return shutdown(to->fd, SHUT_WR);
    }
    return 0;
}

static void want(struct relay *r)
{
    for (enum side s = CLIENT; s < SIDES; s++) {
        bool reads = !r->eof[s] && buf_len(&r->from[s]) == 0;
        loop_io_want(&r->io[s], (reads ? LOOP_READ : 0) | (buf_len(&r->from[other(s)]) ? LOOP_WRITE : 0));
    }
}

/* One piece each way: the worker has others to serve. */
static void move(struct relay *r)
{
    if (!audit_available(r->all->worker->log)) {
        cut(r, REASON_AUDIT_UNAVAILABLE);
        return;
    }
    for (enum side s = CLIENT; s < SIDES; s++)
        if (fill(r, s) < 0 || drain(r, s) < 0) {
            cut(r, REASON_NONE);
            return;
        }
    if (r->shut[CLIENT] && r->shut[TARGET])
        end(r, REASON_NONE, NULL);
    else
        want(r);
}

/* --- its beginning --- */

static int dial(struct relay *r)
{
    struct sockaddr_storage sa;
    struct fetch_address to = r->target;
    int domain = AF_INET6;
    socklen_t len = sizeof domain;
    if (getsockopt(r->stream[TARGET].fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
        return -1;
    if (domain == AF_INET6 && to.family == AF_INET) { /* a socket of the jail's: ::ffff:127.0.0.1 (ipv6(7)) */
        static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
        memcpy(to.bytes, mapped, sizeof mapped);
        memcpy(to.bytes + sizeof mapped, r->target.bytes, 4);
        to.family = AF_INET6;
    }
    len = fetch_address_to_sockaddr(&to, &sa);
    loop_io_want(&r->io[TARGET], LOOP_WRITE);
    return connect(r->stream[TARGET].fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS ? -1 : 0;
}

/* Servers that listen on `localhost` often mean ::1 alone. */
static bool dial_other_loopback(struct relay *r)
{
    if (r->order.kind != RELAY_PUBLISHED || r->target.family == AF_INET6)
        return false;
    r->target = (struct fetch_address){.family = AF_INET6, .port = r->order.port, .bytes = {[15] = 1}};
    return dial(r) == 0;
}

static void on_connected(struct relay *r)
{
    int why = 0;
    socklen_t len = sizeof why;
    if (getsockopt(r->stream[TARGET].fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
        why = errno;
    if (why == ECONNREFUSED && dial_other_loopback(r))
        return;
    if (why != 0) {
        cut(r, REASON_UPSTREAM_REFUSED);
        return;
    }
    loop_deadline_clear(&r->late);
    r->open = true;
    if (record(r, AUDIT_OPEN, REASON_NONE, NULL) < 0)
        cut(r, REASON_AUDIT_UNAVAILABLE);
    else
        move(r);
}

static void on_ready(struct relay *r)
{
    if (r->open)
        move(r);
    else
        on_connected(r);
}

static void on_client(struct loop_io *io, int events UNUSED)
{
    on_ready(CONTAINER_OF(io, struct relay, io[CLIENT]));
}

static void on_target(struct loop_io *io, int events UNUSED)
{
    on_ready(CONTAINER_OF(io, struct relay, io[TARGET]));
}

static void on_late(struct loop_deadline *d)
{
    cut(CONTAINER_OF(d, struct relay, late), REASON_UPSTREAM_TIMEOUT);
}

/* Takes both descriptors over. */
static void begin(struct relays *all, const struct relay_order *o, int client, int target)
{
    struct relay *r = audit_available(all->worker->log) && all->count < RELAYS_MAX ? calloc(1, sizeof *r) : NULL;
    if (!r) {
        close(client);
        close(target);
        return;
    }
    *r = (struct relay){.all = all, .order = *o, .target = o->target, .began = clock_mono_ns()};
    if (o->kind == RELAY_PUBLISHED)
        r->target = (struct fetch_address){.family = AF_INET, .port = o->port, .bytes = {127, 0, 0, 1}};
    ulid_make(clock_wall_ms(), r->id);
    snprintf(r->url, sizeof r->url, "tcp://127.0.0.1:%u", o->kind == RELAY_SERVICE ? o->port : o->host_port);
    r->stream[CLIENT].fd = client;
    r->stream[TARGET].fd = target;
    for (enum side s = CLIENT; s < SIDES; s++)
        r->from[s] = BUF_INIT(BLOCK_BYTES);
    loop_io_init(&r->io[CLIENT], all->worker->loop, client, on_client);
    loop_io_init(&r->io[TARGET], all->worker->loop, target, on_target);
    loop_deadline_init(&r->late, all->worker->loop, on_late);
    loop_deadline_after(&r->late, snapshot_timeouts(all->worker->snapshot)->connect);
    list_insert(&all->relays, &r->node);
    all->count++;
    if (dial(r) < 0)
        cut(r, REASON_UPSTREAM_REFUSED);
}

/* --- listeners in the jail --- */

static void retry_accept(struct loop_deadline *d)
{
    loop_io_want(&CONTAINER_OF(d, struct service, retry)->io, LOOP_READ);
}

static void accept_one(struct loop_io *io, int events UNUSED)
{
    struct service *s = CONTAINER_OF(io, struct service, io);
    const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    if (s->all->count == RELAYS_MAX) {
        loop_io_want(io, 0); /* until one ends */
        return;
    }
    AUTO_FD int target = socket(s->order.target.family, type, 0);
    int client = target < 0 ? -1 : accept4(s->order.from, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client >= 0) {
        begin(s->all, &s->order, client, TAKE_FD(target));
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        loop_io_want(io, 0);
        loop_deadline_after(&s->retry, RETRY_NS);
    }
}

static void serve(struct relays *all, const struct relay_order *o)
{
    struct service *s = calloc(1, sizeof *s);
    if (!s) {
        log_error("no memory for a service of jail %u", all->jail->id);
        close(o->from);
        return;
    }
    s->all = all;
    s->order = *o;
    list_insert(&all->services, &s->node);
    loop_io_init(&s->io, all->worker->loop, o->from, accept_one);
    loop_deadline_init(&s->retry, all->worker->loop, retry_accept);
    loop_io_want(&s->io, LOOP_READ);
}

/* --- all of a jail's --- */

void relay_order_clear(struct relay_order *o)
{
    if (o->kind == RELAY_NONE)
        return;
    fd_auto_close(&o->from);
    fd_auto_close(&o->to);
    o->kind = RELAY_NONE;
}

struct relays *relays_new(struct worker *w, struct jail *jail)
{
    struct relays *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->worker = w;
    all->jail = jail;
    list_init(&all->services);
    list_init(&all->relays);
    return all;
}

void relays_take(struct relays *all, const struct relay_order *o)
{
    if (o->kind == RELAY_SERVICE)
        serve(all, o);
    else
        begin(all, o, o->from, o->to);
}

void relays_stop_listening(struct relays *all)
{
    LIST_FOREACH(it, &all->services)
    {
        struct service *s = LIST_ENTRY(it, struct service, node);
        loop_deadline_clear(&s->retry);
        loop_io_stop(&s->io);
        close(s->order.from);
        list_remove(&s->node);
        free(s);
    }
}

void relays_free(struct relays *all)
{
    if (!all)
        return;
    relays_stop_listening(all);
    LIST_FOREACH(it, &all->relays)
    cut(LIST_ENTRY(it, struct relay, node), REASON_NONE);
    free(all);
}
