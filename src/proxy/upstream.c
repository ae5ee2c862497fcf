/* The origin's side of an exchange: the body there, the response back. */
#include "proxy/exchange.h"

#include "http/auth.h"
#include "http/trailers.h"
#include "policy/nets.h"

#include <stdio.h>

enum { OPEN_RECORD_BYTES = 64 << 10, INTERIMS_MAX = 16 };

/* --- getting a connection --- */

static void up_ready(struct loop_io *io, int events)
{
    struct fetch_conn *up = CONTAINER_OF(io, struct fetch_conn, io);
    struct exchange *x = up->arg;
    if (events & LOOP_READ || x->up_stream.read_wants_write)
        x->up_readable = true;
    conn_pump(x->conn);
}

void upstream_attach(struct exchange *x, struct fetch_conn *up)
{
    x->up = up;
    x->up_stream = (struct stream){.fd = up->fd, .tls = up->tls};
    x->up_readable = x->up_eof = false;
    up->arg = x;
    up->io.ready = up_ready;
    fetch_address_print(&up->peer, x->up_address);
    x->up_port = up->peer.port;
    x->up_tls = up->tls ? tls_version_name(up->tls) : NULL;
    x->up_via = up->via ? arena_slice(&x->arena, slice_str(up->via)).ptr : NULL;
}

static enum reason reason_of_fetch(enum fetch_fault fault)
{
    static const enum reason reasons[] = {
        [FETCH_ADDRESS_BLOCKED] = REASON_ADDRESS_BLOCKED, [FETCH_DNS] = REASON_UPSTREAM_DNS,
        [FETCH_REFUSED] = REASON_UPSTREAM_REFUSED,        [FETCH_TLS] = REASON_UPSTREAM_TLS,
        [FETCH_TIMEOUT] = REASON_UPSTREAM_TIMEOUT,        [FETCH_OVERLOADED] = REASON_OVERLOADED,
    };
    return (size_t)fault < ARRAY_LEN(reasons) && reasons[fault] ? reasons[fault] : REASON_UPSTREAM_REFUSED;
}

void upstream_refused(struct exchange *x, const struct fetch_result *result)
{
    if (result->fault == FETCH_ADDRESS_BLOCKED)
        exchange_refuse(x, REASON_ADDRESS_BLOCKED, result->detail);
    else
        exchange_fail(x, reason_of_fetch(result->fault), result->detail);
}

static void acquired(void *arg, const struct fetch_result *result)
{
    struct exchange *x = arg;
    struct conn *c = x->conn;
    x->op = NULL;
    if (result->fault == FETCH_OK)
        upstream_attach(x, result->conn);
    else
        upstream_refused(x, result);
    conn_pump(c);
}

/* A name without a dot is a host of the local network, and only a rule that writes it leads there. */
static bool writes_single_label(const struct exchange *x)
{
    return x->verdict.rule && slice_find(x->target.authority.host, '.') < 0;
}

static bool holds(const struct policy_net *net, const struct fetch_address *a)
{
    unsigned whole = net->prefix / 8, bits = net->prefix % 8;
    if ((a->family == AF_INET6) != (net->family == 6) || memcmp(net->bytes, a->bytes, whole) != 0)
        return false;
    return bits == 0 || (net->bytes[whole] ^ a->bytes[whole]) >> (8 - bits) == 0;
}

/* `addresses` of a rule. */
static bool rule_permits(const void *rule, const struct fetch_address *a)
{
    size_t count;
    const struct policy_net *nets = policy_rule_addresses(rule, &count);
    for (size_t i = 0; i < count; i++)
        if (holds(&nets[i], a))
            return true;
    return false;
}

static struct fetch_permit permit_of(const struct policy_rule *rule)
{
    size_t nets = 0;
    if (rule)
        (void)policy_rule_addresses(rule, &nets);
    return (struct fetch_permit){.holds = nets ? rule_permits : NULL, .arg = rule};
}

const char *upstream_forbids(const struct exchange *x, const struct policy_rule *rule)
{
    const struct fetch_permit permit = permit_of(rule);
    return x->up ? fetch_forbids(x->conn->worker->fetch, x->up, &permit) : NULL;
}

struct fetch_want upstream_want_of(struct exchange *x)
{
    return (struct fetch_want){
        .task = conn_task_name(x->conn),
        .scheme = x->target.scheme,
        .authority = x->target.authority,
        .single_label_ok = writes_single_label(x),
        .permit = permit_of(x->verdict.rule),
    };
}

/* --- a connection that is this client's alone --- */

/* The origin ends it, or speaks unasked: the next request begins anew. */
static void pinned_ready(struct loop_io *io, int events UNUSED)
{
    struct fetch_conn *up = CONTAINER_OF(io, struct fetch_conn, io);
    struct conn *c = up->arg;
    if (!fetch_is_silent(up))
        upstream_unpin(c);
}

static void pin(struct exchange *x)
{
    struct conn *c = x->conn;
    struct fetch_conn *up = TAKE(x->up);
    x->up_stream = (struct stream){.fd = -1};
    up->arg = c;
    up->reused = true;
    up->io.ready = pinned_ready;
    loop_io_want(&up->io, LOOP_READ);
    c->pinned = up;
}

void upstream_unpin(struct conn *c)
{
    if (c->pinned)
        fetch_release(c->worker->fetch, TAKE(c->pinned), false);
}

static struct fetch_conn *take_pinned(struct conn *c, const struct fetch_want *want)
{
    if (c->pinned && fetch_may_serve(c->worker->fetch, c->pinned, want))
        return TAKE(c->pinned);
    upstream_unpin(c);
    return NULL;
}

void upstream_begin(struct exchange *x, bool fresh)
{
    struct conn *c = x->conn;
    struct fetch_want want = upstream_want_of(x);
    struct fetch_conn *up = fresh ? NULL : take_pinned(c, &want);
    if (up)
        x->pins = true;
    else if (fresh)
        x->op = fetch_connect(c->worker->fetch, &want, acquired, x);
    else
        up = fetch_acquire(c->worker->fetch, &want, acquired, x, &x->op);
    if (up)
        upstream_attach(x, up);
    else if (!x->op)
        exchange_fail(x, REASON_OVERLOADED, "no memory for a connection to the origin");
}

bool upstream_cancel_outdated(struct exchange *x, const struct verdict *now)
{
    struct proxy_snapshot *snapshot = x->conn->worker->snapshot;
    if (!x->op || x->snapshot == snapshot)
        return false;
    fetch_cancel(TAKE(x->op));
    proxy_snapshot_free(x->snapshot);
    x->snapshot = proxy_snapshot_ref(snapshot);
    x->verdict = *now;
    x->reason = now->reason;
    return true;
}

void upstream_drop(struct exchange *x, enum upstream_end end)
{
    if (x->op)
        fetch_cancel(TAKE(x->op));
    if (!x->up)
        return;
    struct fetch_conn *up = TAKE(x->up);
    up->arg = NULL;
    x->up_stream = (struct stream){.fd = -1};
    if (end == UPSTREAM_ABORT)
        fetch_abort(x->conn->worker->fetch, up);
    else
        fetch_release(x->conn->worker->fetch, up, end == UPSTREAM_KEEP);
}

/* A head may fill more than a body's piece before it can be dealt with. */
static bool may_read_origin(const struct exchange *x)
{
    size_t most = HIGH_WATER + (x->response_begun ? 0 : snapshot_limits(x->snapshot)->head_size);
    return !x->up_eof && buf_len(&x->conn->out) < HIGH_WATER && buf_len(&x->up_in) < most;
}

void upstream_want(struct exchange *x)
{
    if (!x->up)
        return;
    bool read = may_read_origin(x);
    bool write = x->up_stream.want_write || x->up_stream.read_wants_write;
    loop_io_want(&x->up->io, (read ? LOOP_READ : 0) | (write ? LOOP_WRITE : 0));
}

/* --- the request's body --- */

/* One piece of the client's body into up_out.  True when something moved. */
static bool move_request_piece(struct exchange *x)
{
    struct conn *c = x->conn;
    struct slice data;
    size_t consumed;
    struct http_problem problem;
    struct slice in = slice_first(buf_slice(&c->in), HIGH_WATER);
    if (h1_body_read(&x->request_body, in, &data, &consumed, &problem) < 0) {
        exchange_refuse(x, reason_of_fault(problem.fault), problem.detail);
        return false;
    }
    if (x->request_body.total > x->body_max) {
        exchange_refuse(x, REASON_BODY_TOO_LARGE, NULL);
        return false;
    }
    int put = data.len == 0 ? 0 : x->request_chunked ? h1_write_chunk(&x->up_out, data) : buf_append(&x->up_out, data);
    x->request_done = h1_body_done(&x->request_body);
    if (put == 0 && x->request_done && x->request_chunked)
        put = http_trailers_write(buf_slice(&x->request_trailers), &x->up_out, &problem);
    if (put < 0) {
        exchange_fail(x, REASON_OVERLOADED, "no memory for the body");
        return false;
    }
    buf_consume(&c->in, consumed);
    exchange_arm(x);
    return consumed > 0;
}

static bool read_client(struct exchange *x)
{
    struct conn *c = x->conn;
    if (c->eof || (!c->readable && !stream_has_pending(&c->stream)) || buf_len(&c->in) >= HIGH_WATER)
        return false;
    c->readable = false;
    ssize_t n = stream_read(&c->stream, &c->worker->blocks, &c->in);
    if (n == TLS_WANT_READ)
        return false;
    if (n > 0)
        return true;
    c->eof = true;
    if (!x->request_done || n != 0)
        conn_close(c, true); /* cut in the middle: the origin sees an abort, never a whole message */
    return false;
}

/* A pooled connection that was closed meanwhile: nothing of the request can have been read, and nothing that
 * was said there is an answer to it. */
static void retry(struct exchange *x)
{
    x->retried = true;
    buf_clear(&x->up_in);
    x->up_head_seen = 0;
    upstream_drop(x, UPSTREAM_ABORT);
    upstream_begin(x, true);
}

bool upstream_sent(struct exchange *x, size_t n)
{
    const struct conn *c = x->conn; /* outlives the exchange, which a failing record may end */
    enum conn_state before = c->state;
    x->sent += n;
    inflight_sent(x->slot, x->sent, x->received);
    if (x->sent >= OPEN_RECORD_BYTES && !list_empty(&x->young))
        exchange_record_open(x);
    return c->state == before;
}

static bool flush_request(struct exchange *x)
{
    if (buf_len(&x->up_out) == 0 || charge_cover(x, buf_len(&x->up_out)) < 0)
        return false;
    ssize_t n = stream_flush(&x->up_stream, &x->up_out);
    if (n > 0) {
        if (upstream_sent(x, (size_t)n))
            exchange_arm(x);
        return true;
    }
    if (n == 0)
        return false;
    if (x->sent == 0 && x->up->reused && !x->retried) {
        retry(x);
        return false;
    }
    /* The origin may have answered before it stopped reading: its answer is looked for first. */
    buf_clear(&x->up_out);
    x->request_lost = true;
    x->up_readable = true;
    return true;
}

static bool request_step(struct exchange *x)
{
    bool moved = false;
    struct conn *c = x->conn;
    if (!x->request_done && !x->request_lost && buf_len(&c->in) && buf_len(&x->up_out) < HIGH_WATER)
        moved = move_request_piece(x);
    if (c->state == CONN_EXCHANGE && x->up)
        moved = flush_request(x) || moved;
    if (c->state == CONN_EXCHANGE && (!x->request_done || buf_len(&c->in) == 0))
        moved = read_client(x) || moved;
    return moved;
}

/* --- the response --- */

static void finish(struct exchange *x)
{
    struct conn *c = x->conn;
    bool whole = x->request_done && buf_len(&x->up_out) == 0;
    bool reusable = whole && !x->request_lost && x->up_keep_alive && buf_len(&x->up_in) == 0 && !x->up_eof &&
                    !stream_has_pending(&x->up_stream);
    if (!whole)
        c->close_after = true;
    if (reusable && x->pins)
        pin(x);
    else
        upstream_drop(x, reusable ? UPSTREAM_KEEP : whole ? UPSTREAM_CLOSE : UPSTREAM_ABORT);
    exchange_complete(x);
}

/* Takes a response head from up_in; true when one was dealt with. */
static bool take_response_head(struct exchange *x)
{
    struct conn *c = x->conn;
    struct h1_response *r = &c->worker->response;
    struct slice in = buf_slice(&x->up_in);
    if (in.len == x->up_head_seen)
        return false;
    x->up_head_seen = in.len;
    size_t consumed;
    struct http_problem problem;
    int got = h1_parse_response(in, snapshot_limits(x->snapshot)->head_size, x->method, r, &consumed, &problem);
    if (got == 0)
        return false;
    if (got < 0 || r->status == 101) {
        exchange_fail(x, REASON_UPSTREAM_PROTOCOL, got < 0 ? problem.detail : "101 without an upgrade");
        return false;
    }
    blocks_give(&c->worker->blocks, &c->out);
    bool interim = r->status < 200;
    if (interim && ++x->interims > INTERIMS_MAX) {
        exchange_fail(x, REASON_UPSTREAM_PROTOCOL, "too many interim responses");
        return false;
    }
    if ((!interim || !x->http10) && forward_response_head(x, r) < 0) {
        exchange_fail(x, REASON_UPSTREAM_PROTOCOL, "the response's head is too large");
        return false;
    }
    if (!interim) {
        x->response_begun = true;
        x->status = r->status;
        x->up_keep_alive = r->keep_alive && r->framing != H1_BODY_CLOSE;
        h1_body_init(&x->response_body, r->framing, r->length);
        x->response_body.lenient = true;
        x->response_body.trailers = &x->response_trailers;
        x->pins |= http_auth_binds_response(&r->headers);
        exchange_arm(x);
    }
    buf_consume(&x->up_in, consumed);
    x->up_head_seen = 0;
    return true;
}

static bool move_response_piece(struct exchange *x)
{
    struct buf *out = &x->conn->out;
    struct slice data;
    size_t consumed;
    struct http_problem problem;
    struct slice in = slice_first(buf_slice(&x->up_in), HIGH_WATER);
    if (h1_body_read(&x->response_body, in, &data, &consumed, &problem) < 0) {
        exchange_fail(x, REASON_UPSTREAM_PROTOCOL, problem.detail);
        return false;
    }
    int put = data.len == 0 ? 0 : x->response_chunked ? h1_write_chunk(out, data) : buf_append(out, data);
    if (put < 0) {
        exchange_fail(x, REASON_OVERLOADED, "no memory for the body");
        return false;
    }
    buf_consume(&x->up_in, consumed);
    return consumed > 0;
}

/* Everything of the response stands in `out` or has left. */
static bool response_ended(struct exchange *x)
{
    struct http_problem problem;
    if (x->response_chunked &&
        http_trailers_write(buf_slice(&x->response_trailers), &x->conn->out, &problem) < 0) {
        exchange_fail(x, REASON_UPSTREAM_PROTOCOL, problem.detail);
        return false;
    }
    finish(x);
    return true;
}

/* The origin's connection has ended: cleanly (result 0) or cut. */
static bool origin_ended(struct exchange *x, ssize_t result)
{
    x->up_eof = true;
    if (x->response_begun && result == 0 && h1_body_eof(&x->response_body) == 0)
        return response_ended(x);
    if (x->sent == 0 && x->up->reused && !x->retried && !x->response_begun) {
        retry(x);
        return false;
    }
    bool tls_failed = result == TLS_FAILED && x->up_stream.tls;
    exchange_fail(x, REASON_UPSTREAM_CLOSED, tls_failed ? tls_failure_text(x->up_stream.tls) : NULL);
    return false;
}

static bool read_origin(struct exchange *x)
{
    struct conn *c = x->conn;
    if (!x->up_readable && !stream_has_pending(&x->up_stream))
        return false;
    if (!may_read_origin(x))
        return false;
    x->up_readable = false;
    ssize_t n = stream_read(&x->up_stream, &c->worker->blocks, &x->up_in);
    if (n > 0) {
        x->received += (uint64_t)n;
        if (x->response_begun)
            exchange_arm(x); /* before, only a whole head counts: interim ones and single bytes could go on for ever */
        return true;
    }
    if (n == TLS_WANT_READ) {
        if (!x->request_lost)
            return false;
        n = TLS_CUT; /* nothing more can be sent, and no answer is there */
    }
    return origin_ended(x, n);
}

static bool response_step(struct exchange *x)
{
    struct conn *c = x->conn;
    bool took = !x->response_begun && take_response_head(x);
    if (c->state != CONN_EXCHANGE)
        return false;
    if (x->response_begun) {
        if (buf_len(&c->out) < HIGH_WATER && buf_len(&x->up_in) && !h1_body_done(&x->response_body) &&
            !move_response_piece(x) && c->state != CONN_EXCHANGE)
            return false;
        if (h1_body_done(&x->response_body))
            return response_ended(x);
    }
    return took || (x->up && read_origin(x));
}

/* What is in `out` before the end of the response may go: it is not the last of it. */
static bool flush_response(struct exchange *x)
{
    struct conn *c = x->conn;
    if (buf_len(&c->out) == 0)
        return false;
    ssize_t n = stream_flush(&c->stream, &c->out);
    if (n < 0) {
        conn_close(c, true);
        return false;
    }
    x->to_client += (uint64_t)n;
    if (n > 0 && x->response_begun)
        exchange_arm(x);
    return n > 0;
}

bool exchange_step(struct conn *c)
{
    struct exchange *x = c->exchange;
    bool moved = request_step(x);
    if (c->state == CONN_EXCHANGE && x->up)
        moved = response_step(x) || moved;
    if (c->state == CONN_EXCHANGE)
        moved = flush_response(x) || moved;
    return moved || c->state != CONN_EXCHANGE;
}

/* What the exchange waits for, and how long: called whenever a byte has moved. */
void exchange_arm(struct exchange *x)
{
    const struct proxy_timeouts *t = snapshot_timeouts(x->snapshot);
    int64_t idle = x->charge.idle_ns ? x->charge.idle_ns : INT64_MAX;
    if (x->response_begun || !x->request_done)
        conn_timer(x->conn, TIMER_STALL, idle < t->body_stall ? idle : t->body_stall);
    else
        conn_timer(x->conn, TIMER_RESPONSE_HEAD, idle < t->response_head ? idle : t->response_head);
}

void exchange_stalled(struct exchange *x)
{
    const struct proxy_timeouts *t = snapshot_timeouts(x->snapshot);
    bool head = x->conn->timer == TIMER_RESPONSE_HEAD;
    int64_t most = head ? t->response_head : t->body_stall;
    exchange_fail(x, REASON_UPSTREAM_TIMEOUT,
                  x->charge.idle_ns && x->charge.idle_ns < most ? "nothing has moved within `limits.idle`"
                  : head                                        ? "no answer within timeouts.response_head"
                                                                : "no byte of the body within timeouts.body_stall");
}
