#include "proxy/tunnel.h"

#include "base/clock.h"
#include "tls/hello.h"

#include <stdio.h>
#include <sys/socket.h>

/* A fatal alert unrecognized_name in a record of its own (RFC 8446 6, RFC 6066 3). */
static const struct slice alert_name = SLICE("\x15\x03\x03\x00\x02\x02\x70");

/* --- before it is open --- */

/* Ends it with a record; an alert, if any, still reaches the client. */
static void refuse(struct exchange *x, enum reason reason, const char *detail, struct slice alert)
{
    struct conn *c = x->conn;
    x->blocked = true;
    x->reason = reason;
    snprintf(x->detail, sizeof x->detail, "%s", detail);
    buf_clear(&c->in);
    if (alert.len && buf_append(&c->out, alert) < 0)
        c->cut = true;
    exchange_complete(x);
}

static int64_t idle_of(const struct exchange *x)
{
    return x->charge.idle_ns ? x->charge.idle_ns : snapshot_timeouts(x->snapshot)->idle;
}

static void opened(void *arg, const struct fetch_result *result)
{
    struct exchange *x = arg;
    struct conn *c = x->conn;
    x->op = NULL;
    if (result->fault != FETCH_OK) {
        upstream_refused(x, result);
    } else {
        upstream_attach(x, result->conn);
        x->kind = AUDIT_TUNNEL;
        x->status = 200;
        snprintf(x->detail, sizeof x->detail, "not inspected");
        x->tunnel = TUNNEL_OPEN;
        conn_timer(c, TIMER_TUNNEL, idle_of(x));
    }
    conn_pump(c);
}

static void open_way(struct exchange *x)
{
    struct conn *c = x->conn;
    struct fetch_want want = upstream_want_of(x);
    want.opaque = true;
    x->tunnel = TUNNEL_DIAL;
    x->op = fetch_connect(c->worker->fetch, &want, opened, x);
    loop_deadline_pause(&c->deadline); /* the connection has its own */
    if (!x->op)
        exchange_fail(x, REASON_OVERLOADED, "no memory for a connection to the origin");
}

/* CONNECT = SNI, as where TLS is terminated: an address has none. */
static const char *name_problem(const struct exchange *x, const struct tls_hello *h)
{
    const struct http_authority *a = &x->target.authority;
    if (h->hides_name)
        return "the server name is or may be encrypted (ECH), so nobody can hold it against the CONNECT; "
               "switch ECH and its GREASE off in the client";
    if (a->kind != HTTP_HOST_NAME)
        return h->name_len ? "a server name where the CONNECT has an address" : NULL;
    if (h->name_len == 0)
        return "no server name where the CONNECT has one";
    return slice_eq_nocase(slice_of(h->name, h->name_len), a->host) ? NULL
                                                                     : "another server name than in the CONNECT";
}

static bool hello_step(struct exchange *x)
{
    struct conn *c = x->conn;
    struct tls_hello hello;
    if (!c->readable || c->eof)
        return false;
    c->readable = false;
    ssize_t n = stream_read(&c->stream, &c->worker->blocks, &c->in);
    if (n == TLS_WANT_READ)
        return false;
    int got = n > 0 ? tls_hello_read(buf_slice(&c->in), &hello) : -1;
    const char *problem = got > 0 ? name_problem(x, &hello) : NULL;
    if (n <= 0)
        refuse(x, REASON_CLIENT_TLS_FAILED, "the client left before its ClientHello", SLICE(""));
    else if (got < 0)
        refuse(x, REASON_TUNNEL_NOT_TLS, "the first bytes are no ClientHello", SLICE(""));
    else if (problem)
        refuse(x, REASON_SNI_MISMATCH, problem, alert_name);
    else if (got > 0)
        open_way(x);
    return true;
}

/* --- open --- */

/* One of the two ways through it. */
struct way {
    struct stream *from, *to;
    struct buf *via;
    bool *readable, *eof, *shut;
    uint64_t *counted;
};

static struct way to_origin(struct exchange *x)
{
    struct conn *c = x->conn;
    return (struct way){&c->stream, &x->up_stream, &c->in, &c->readable, &c->eof, &x->up_shut, NULL};
}

static struct way to_client(struct exchange *x)
{
    struct conn *c = x->conn;
    return (struct way){&x->up_stream, &c->stream, &c->out, &x->up_readable, &x->up_eof, &x->client_shut, &x->received};
}

/* 1: something came or ended, 0: nothing, -1: cut. */
static int fill(struct exchange *x, struct way *w)
{
    if (*w->eof || !*w->readable || buf_len(w->via) >= HIGH_WATER)
        return 0;
    *w->readable = false;
    ssize_t n = stream_read(w->from, &x->conn->worker->blocks, w->via);
    if (n == TLS_WANT_READ)
        return 0;
    if (n < 0)
        return -1;
    *w->eof = n == 0;
    if (w->counted)
        *w->counted += (uint64_t)n;
    return 1;
}

/* Bytes that left, or -1. */
static ssize_t drain(struct exchange *x, struct way *w)
{
    ssize_t n = buf_len(w->via) ? stream_flush(w->to, w->via) : 0;
    if (n < 0)
        return -1;
    if (buf_len(w->via) == 0)
        blocks_take(&x->conn->worker->blocks, w->via);
    if (*w->eof && buf_len(w->via) == 0 && !*w->shut) {
        *w->shut = true;
        if (shutdown(w->to->fd, SHUT_WR) < 0)
            return -1;
    }
    return n;
}

static void client_gone(struct exchange *x)
{
    conn_close(x->conn, true);
}

static void origin_gone(struct exchange *x)
{
    exchange_fail(x, REASON_UPSTREAM_CLOSED, "the origin cut the connection");
}

/* True when something moved; the exchange may have ended. */
static bool send_step(struct exchange *x)
{
    struct way w = to_origin(x);
    int came = fill(x, &w);
    if (came < 0) {
        client_gone(x);
        return false;
    }
    if (buf_len(w.via) && charge_cover(x, buf_len(w.via)) < 0)
        return false;
    ssize_t n = drain(x, &w);
    if (n < 0) {
        origin_gone(x);
        return false;
    }
    if (n > 0 && !upstream_sent(x, (size_t)n))
        return false;
    return came > 0 || n > 0;
}

static bool receive_step(struct exchange *x)
{
    struct way w = to_client(x);
    int came = fill(x, &w);
    if (came < 0) {
        origin_gone(x);
        return false;
    }
    ssize_t n = drain(x, &w);
    if (n < 0) {
        client_gone(x);
        return false;
    }
    x->to_client += (uint64_t)n;
    return came > 0 || n > 0;
}

static bool open_step(struct exchange *x)
{
    struct conn *c = x->conn;
    bool moved = send_step(x);
    if (c->state == CONN_TUNNEL)
        moved = receive_step(x) || moved;
    if (c->state != CONN_TUNNEL)
        return true;
    if (x->up_shut && x->client_shut) {
        upstream_drop(x, UPSTREAM_CLOSE);
        exchange_complete(x);
        return true;
    }
    if (moved)
        conn_timer(c, TIMER_TUNNEL, idle_of(x));
    return moved;
}

bool tunnel_step(struct conn *c)
{
    struct exchange *x = c->exchange;
    switch (x->tunnel) {
    case TUNNEL_HELLO:
        return hello_step(x);
    case TUNNEL_OPEN:
        return open_step(x);
    default:
        return false;
    }
}

bool tunnel_wants_client(const struct conn *c)
{
    return c->exchange->tunnel != TUNNEL_DIAL && buf_len(&c->in) < HIGH_WATER;
}

void tunnel_late(struct exchange *x)
{
    if (x->tunnel == TUNNEL_HELLO)
        refuse(x, REASON_CLIENT_TLS_FAILED, "no ClientHello within timeouts.tls_handshake", SLICE(""));
    else
        exchange_fail(x, REASON_UPSTREAM_TIMEOUT,
                      x->charge.idle_ns ? "nothing has moved within `limits.idle`"
                                        : "nothing has moved within timeouts.idle");
}

void tunnel_judge_again(struct exchange *x, const struct proxy_snapshot *snapshot)
{
    const struct snapshot_task *t = snapshot_task_named(snapshot, conn_task_name(x->conn));
    struct verdict now = {.kind = VERDICT_BLOCK, .reason = REASON_POLICY_UNAVAILABLE};
    if (t && t->policy)
        policy_match_connect(t->policy, &x->target.authority, clock_wall_ms(), &now);
    if (now.kind != VERDICT_ALLOW)
        exchange_refuse(x, now.reason, "the policy in force now does not allow it any longer");
    else if (!now.opaque)
        exchange_refuse(x, REASON_HOST_NOT_ALLOWED, "the policy in force now lets nothing through uninspected there");
    else if (upstream_forbids(x, now.rule))
        exchange_refuse(x, REASON_ADDRESS_BLOCKED, "the policy in force now does not let it go to this address");
    else if (!charge_again(x, t->charges, now.rule))
        exchange_refuse(x, REASON_UPLOAD_BUDGET, "the policy in force now allows less");
    else if (upstream_cancel_outdated(x, &now))
        open_way(x);
}

/* --- its beginning --- */

void tunnel_begin(struct exchange *x)
{
    struct conn *c = x->conn;
    struct worker *w = c->worker;
    if (request_fill_log(x) < 0)
        return;
    x->slot = inflight_note(w->inflight, x->id, c->task->name, x->method, x->url);
    if (!x->slot) {
        exchange_refuse(x, REASON_OVERLOADED, "the in-flight table is full");
        return;
    }
    if (charge_begin(x) < 0)
        return;
    blocks_take(&w->blocks, &c->in);
    conn_enter(c, CONN_TUNNEL);
    x->tunnel = TUNNEL_HELLO;
    list_insert(&w->young, &x->young);
    conn_timer(c, TIMER_TUNNEL, snapshot_timeouts(x->snapshot)->tls_handshake);
    c->readable = true;
    if (intercept_say_established(c) < 0) {
        conn_close(c, true);
        return;
    }
    x->mute = true; /* from here on it can only be cut */
    c->close_after = true;
}
