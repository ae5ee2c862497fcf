#include "proxy/exchange.h"

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/jail.h"

#include <stdio.h>
#include <stdlib.h>

static void record_written(struct audit_ticket *t, bool ok);
static void queue_record(struct exchange *x);

struct exchange *exchange_new(struct conn *c, enum audit_kind kind)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    struct worker *w = c->worker;
    x->conn = c;
    x->kind = kind;
    x->arena = ARENA_INIT(EXCHANGE_ARENA_BYTES);
    x->snapshot = proxy_snapshot_ref(w->snapshot);
    x->wall_ms = clock_wall_ms();
    x->started = clock_mono_ns();
    ulid_make(x->wall_ms, x->id);
    size_t head_max = snapshot_limits(w->snapshot)->head_size;
    x->up_out = BUF_INIT(head_max + 2 * HIGH_WATER);
    x->up_in = BUF_INIT(head_max + HIGH_WATER);
    x->request_trailers = x->response_trailers = BUF_INIT(CAP_TRAILER_BYTES + sizeof "\r\n");
    x->body_max = UINT64_MAX;
    x->request_done = true;
    list_init(&x->young);
    list_init(&x->ticket.node);
    x->ticket.written = record_written;
    c->exchange = x;
    return x;
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    struct worker *w = x->conn->worker;
    if (x->ticket_state == TICKET_WAITING)
        queue_record(x); /* nobody waits for the answer any more, and it is on record all the same */
    if (x->ticket_state == TICKET_PENDING)
        audit_ticket_forget(&x->ticket);
    list_remove(&x->young);
    upstream_drop(x, UPSTREAM_ABORT);
    charge_end(x);
    if (x->slot)
        inflight_clear(x->slot);
    blocks_take(&w->blocks, &x->up_out);
    blocks_take(&w->blocks, &x->up_in);
    buf_free(&x->request_trailers);
    buf_free(&x->response_trailers);
    proxy_snapshot_free(x->snapshot);
    arena_free(&x->arena);
    x->conn->exchange = NULL;
    free(x);
}

static const char *verdict_text(const struct exchange *x)
{
    return x->blocked ? "block" : "allow";
}

static struct audit_event event_of(const struct exchange *x, enum audit_kind kind)
{
    const struct conn *c = x->conn;
    struct audit_event ev = {
        .kind = kind,
        .id = x->id,
        .wall_ms = x->wall_ms,
        .task = c->task ? c->task->name : NULL,
        .verdict = verdict_text(x),
        .would_block = x->verdict.would_block && !x->blocked,
        .reason = x->reason,
        .rule = x->verdict.rule,
        .nearest = x->verdict.nearest,
        .method = x->method,
        .url = x->url,
        .protocol = x->kind == AUDIT_TUNNEL ? "tls" : "http/1.1",
        .status = x->status,
        .sent = x->sent,
        .received = x->received,
        .ns = clock_mono_ns() - x->started,
        .upstream_address = x->up_address[0] ? x->up_address : NULL,
        .upstream_port = x->up_port,
        .upstream_protocol = !x->up_address[0] ? NULL : x->kind == AUDIT_TUNNEL ? "tls" : "http/1.1",
        .upstream_tls = x->up_tls,
        .upstream_via = x->up_via,
        .client_address = c->peer_text,
        .begun = x->slot != NULL,
        .detail = x->detail[0] ? x->detail : NULL,
        .outcome = x->outcome,
        .tally = c->jail ? &c->jail->tally : NULL,
    };
    client_note(c->client, &ev);
    return ev;
}

void exchange_record_open(struct exchange *x)
{
    list_remove(&x->young);
    struct audit_event ev = event_of(x, AUDIT_OPEN);
    ev.ns = -1;
    ev.status = 0;
    if (audit_queue(x->conn->worker->audit, &ev, NULL) == 0)
        x->conn->worker->queued++;
    else
        exchange_refuse(x, REASON_AUDIT_UNAVAILABLE, NULL);
}

static void record_written(struct audit_ticket *t, bool ok)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, ticket);
    x->ticket_state = ok ? TICKET_WRITTEN : TICKET_FAILED;
    conn_pump(x->conn);
}

/* The log did not take the record.  What was held back must not leave; a client that has nothing of the
 * answer yet is told why. */
static bool replace_unrecorded(struct exchange *x)
{
    struct conn *c = x->conn;
    if (x->to_client > 0 || x->mute)
        return false;
    buf_clear(&c->out);
    c->close_after = true;
    c->cut = false;
    return blockpage_write(x, REASON_AUDIT_UNAVAILABLE, true, &c->out) == 0;
}

bool exchange_commit_step(struct conn *c)
{
    struct exchange *x = c->exchange;
    if (x->ticket_state == TICKET_PENDING || x->ticket_state == TICKET_WAITING)
        return false;
    if (x->ticket_state == TICKET_FAILED && !replace_unrecorded(x)) {
        conn_close(c, true);
        return false;
    }
    exchange_free(x);
    if (c->cut) {
        conn_close(c, true);
        return false;
    }
    conn_enter(c, CONN_FLUSH);
    return true;
}

static void queue_record(struct exchange *x)
{
    struct worker *w = x->conn->worker;
    if (x->unrecorded) {
        x->ticket_state = TICKET_WRITTEN;
        return;
    }
    struct audit_event ev = event_of(x, x->kind);
    bool queued = audit_queue(w->audit, &ev, &x->ticket) == 0;
    x->ticket_state = queued ? TICKET_PENDING : TICKET_FAILED;
    w->queued += queued;
}

void exchange_complete(struct exchange *x)
{
    struct conn *c = x->conn;
    list_remove(&x->young);
    conn_enter(c, CONN_COMMIT);
    conn_timer(c, TIMER_IDLE, snapshot_timeouts(x->snapshot)->idle);
    if (client_is_awaited(c->client) && !x->unrecorded)
        x->ticket_state = TICKET_WAITING; /* milliseconds, for a record that says who asked */
    else
        queue_record(x);
}

void exchange_client_settled(struct exchange *x)
{
    if (x->ticket_state != TICKET_WAITING)
        return;
    queue_record(x);
    if (x->ticket_state != TICKET_PENDING)
        conn_pump(x->conn);
}

/* Of a tunnel it says first what that is, however it ends. */
static void set_detail(struct exchange *x, const char *detail)
{
    const char *what = x->kind == AUDIT_TUNNEL ? "not inspected; " : "";
    if (detail)
        snprintf(x->detail, sizeof x->detail, "%s%s", what, detail);
}

/* Who sends what is malformed, ambiguous or for another protocol may mean the next bytes to be read
 * otherwise than we would; and a connection over a limit does not stay. */
static bool ends_connection(enum reason reason)
{
    switch (reason_status(reason)) {
    case 400:
    case 408:
    case 421:
    case 431:
        return true;
    default:
        return reason == REASON_UPGRADE_DENIED || reason == REASON_TOO_MANY_CONNECTIONS || reason == REASON_OVERLOADED;
    }
}

/* Where the request's body was not read to its end, nothing after it can be understood. */
static bool must_close(const struct exchange *x, enum reason reason)
{
    const struct conn *c = x->conn;
    return ends_connection(reason) || !x->client_keep_alive || !x->request_done || c->blocked_tunnel || c->eof ||
           c->worker->draining;
}

/* Something of an answer has left already: it cannot be replaced, only cut. */
static bool is_answered(const struct exchange *x)
{
    return x->response_begun && x->to_client > 0;
}

static void answer_block_page(struct exchange *x, enum reason reason)
{
    struct conn *c = x->conn;
    buf_clear(&c->out);
    if (x->mute) {
        c->cut = true;
        x->outcome = x->tunnel == TUNNEL_OPEN ? "aborted" : NULL;
        exchange_complete(x);
        return;
    }
    c->close_after = must_close(x, reason);
    x->status = reason_status(reason);
    blocks_give(&c->worker->blocks, &c->out);
    if (blockpage_write(x, reason, c->close_after, &c->out) < 0) {
        conn_close(c, true);
        return;
    }
    x->response_begun = true;
    exchange_complete(x);
}

void exchange_fail(struct exchange *x, enum reason reason, const char *detail)
{
    if (!x->verdict.would_block)
        x->reason = reason; /* else the record says why the policy would have blocked it */
    set_detail(x, detail);
    upstream_drop(x, UPSTREAM_ABORT);
    if (!is_answered(x)) {
        answer_block_page(x, reason);
        return;
    }
    x->outcome = "aborted";
    x->conn->cut = true;
    exchange_complete(x);
}

/* Nothing of it has left, and its task has written more of blocks than it may: the others need the log too.  Who
 * has not said which task it is gets the same answer as ever. */
static void count_block(struct exchange *x, enum reason *reason, const char **detail)
{
    struct task_table *tasks = x->conn->worker->tasks;
    struct task_state *s = x->conn->task ? x->conn->task : task_table_get(tasks, SLICE(""));
    if (x->unrecorded || x->slot || *reason == REASON_AUDIT_UNAVAILABLE || !s ||
        task_blocked_record(s, clock_mono_ns()))
        return;
    x->unrecorded = true;
    atomic_fetch_add_explicit(&s->unrecorded, 1, memory_order_relaxed);
    if (!x->conn->task)
        return;
    *reason = REASON_REQUEST_RATE;
    *detail = "the task's audit budget is spent";
    x->retry_after = 1;
}

void exchange_refuse(struct exchange *x, enum reason reason, const char *detail)
{
    count_block(x, &reason, &detail);
    x->blocked = true;
    x->verdict.would_block = false;
    exchange_fail(x, reason, detail);
}

/* Nobody waits for an answer: the record is queued without a ticket. */
void exchange_abandoned(struct exchange *x)
{
    if (x->unrecorded)
        return;
    x->outcome = "aborted";
    set_detail(x, "the client closed the connection");
    struct audit_event ev = event_of(x, x->kind);
    if (audit_queue(x->conn->worker->audit, &ev, NULL) == 0)
        x->conn->worker->queued++;
}
