/* CONNECT: the tunnel is terminated here, with a certificate for exactly its name. */
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/jail.h"
#include "proxy/tunnel.h"

#include "base/clock.h"

#include <stdio.h>

/* --- the CONNECT request --- */

/* Node's http.request() and others name the proxy itself in a CONNECT's Host, by whatever name they know it:
 * it is told by the port.  Nothing is made of that field; the tunnel is for the target. */
static bool names_us(const struct conn *c, const struct http_authority *named)
{
    struct fetch_address own;
    return stream_own_address(c->stream.fd, &own) == 0 && own.port == named->port;
}

static int parse_authority(struct exchange *x, const struct h1_request *r)
{
    struct http_problem problem;
    struct http_authority *a = &x->target.authority;
    x->target.scheme = HTTP_SCHEME_HTTPS;
    if (http_authority_parse(&x->arena, x->raw_target, 0, a, &problem) < 0) {
        exchange_refuse(x, reason_of_fault(problem.fault), problem.detail);
        return -1;
    }
    const struct http_header *host = http_headers_find(&r->headers, HTTP_H_HOST);
    struct http_authority named;
    if (!host)
        return 0; /* HTTP/1.0 (Python's http.client speaks it to proxies) */
    if (http_authority_parse(&x->arena, host->value, a->port, &named, &problem) < 0) {
        exchange_refuse(x, reason_of_fault(problem.fault), problem.detail);
        return -1;
    }
    if (!http_authority_eq(a, &named) && !names_us(x->conn, &named)) {
        exchange_refuse(x, REASON_AUTHORITY_MISMATCH, "Host is not the name of the CONNECT");
        return -1;
    }
    return 0;
}

/* "https://host:port": a tunnel has no path. */
static void note_url(struct exchange *x)
{
    struct buf text = BUF_INIT(CAP_HOST_BYTES + 32);
    if (buf_append(&text, SLICE("https://")) == 0 && http_authority_print(&x->target.authority, 443, &text) == 0)
        x->url = arena_slice(&x->arena, buf_slice(&text));
    x->url_canonical = x->url.ptr != NULL;
    buf_free(&text);
}

static void cert_ready(struct certs_waiter *waiter, struct tls_cert *cert)
{
    struct conn *c = CONTAINER_OF(waiter, struct conn, cert_waiter);
    if (cert) {
        c->cert = cert;
        exchange_free(c->exchange);
        conn_enter(c, CONN_HANDSHAKE);
    } else {
        exchange_refuse(c->exchange, REASON_KEEPER_UNAVAILABLE, NULL);
    }
    conn_pump(c);
}

static void get_certificate(struct exchange *x)
{
    struct conn *c = x->conn;
    struct certs *certs = c->worker->certs;
    c->cert_waiter.ready = cert_ready;
    switch (certs_get(certs, c->authority.host, c->blocked_tunnel, &c->cert_waiter, &c->cert)) {
    case CERTS_OK:
        exchange_free(x);
        conn_enter(c, CONN_HANDSHAKE);
        break;
    case CERTS_WAIT:
        conn_enter(c, CONN_CERT);
        conn_timer(c, TIMER_CERT, snapshot_timeouts(c->worker->snapshot)->tls_handshake);
        break;
    case CERTS_UNAVAILABLE:
        exchange_refuse(x, REASON_KEEPER_UNAVAILABLE, NULL);
        break;
    }
}

/* Whether a blocked CONNECT is answered inside the tunnel, where programs show it to people. */
static bool may_explain(struct exchange *x)
{
    struct conn *c = x->conn;
    return snapshot_blocked_connect(x->snapshot) == BLOCKED_CONNECT_EXPLAIN &&
           (certs_has(c->worker->certs, x->target.authority.host, true) ||
            task_blocked_cert(c->task, loop_now(c->worker->loop)));
}

void intercept_connect(struct exchange *x, const struct h1_request *r)
{
    struct conn *c = x->conn;
    const struct snapshot_task *t;
    if (r->framing != H1_BODY_NONE) {
        exchange_refuse(x, REASON_MALFORMED_REQUEST, "CONNECT has no body");
        return;
    }
    if (c->followed) { /* RFC 9110 9.3.6: the tunnel begins after the answer */
        exchange_refuse(x, REASON_MALFORMED_REQUEST, "bytes before the answer to CONNECT");
        return;
    }
    if (request_identify(x, r, &t) < 0 || parse_authority(x, r) < 0)
        return;
    intercept_open(x, t);
}

void intercept_open(struct exchange *x, const struct snapshot_task *t)
{
    struct conn *c = x->conn;
    note_url(x);
    if (!audit_available(c->worker->log)) {
        exchange_refuse(x, REASON_AUDIT_UNAVAILABLE, NULL);
        return;
    }
    if (!t->policy) {
        exchange_refuse(x, REASON_POLICY_UNAVAILABLE, NULL);
        return;
    }
    policy_match_connect(t->policy, &x->target.authority, x->wall_ms, &x->verdict);
    c->connect_reason = x->verdict.reason;
    c->blocked_tunnel = x->blocked = x->verdict.kind != VERDICT_ALLOW;
    x->reason = x->verdict.reason;
    if (c->blocked_tunnel && !may_explain(x)) {
        exchange_refuse(x, x->verdict.reason, NULL);
        return;
    }
    if (x->verdict.opaque && !c->blocked_tunnel) {
        tunnel_begin(x);
        return;
    }
    c->authority = x->target.authority;
    memcpy(c->host, c->authority.host.ptr, c->authority.host.len);
    c->authority.host.ptr = c->host;
    get_certificate(x);
}

/* --- TLS towards the agent --- */

static int give_certificate(void *arg, struct tls_cert **ret_cert)
{
    struct conn *c = arg;
    *ret_cert = c->cert;
    return 0;
}

int intercept_say_established(struct conn *c)
{
    if (c->captured)
        return 0; /* it did not ask for it */
    blocks_give(&c->worker->blocks, &c->out);
    if (buf_append(&c->out, SLICE("HTTP/1.1 200 Connection established\r\n\r\n")) < 0 ||
        stream_flush(&c->stream, &c->out) < 0 || buf_len(&c->out))
        return -1; /* a fresh socket that does not take 40 bytes is no connection */
    blocks_take(&c->worker->blocks, &c->out);
    return 0;
}

/* Says that the tunnel stands, and becomes its other end. */
static int begin_handshake(struct conn *c)
{
    c->intercepted = true;
    c->had_request = false; /* what came in the clear before is not this tunnel's */
    blocks_take(&c->worker->blocks, &c->in);
    if (intercept_say_established(c) < 0)
        return -1;
    struct tls_accept want = {
        .host = c->authority.host,
        .is_address = c->authority.kind != HTTP_HOST_NAME,
        .task = conn_task_name(c),
        .certificate = give_certificate,
        .arg = c,
    };
    c->stream.tls = tls_accept(c->worker->tls, c->stream.fd, &want);
    conn_timer(c, TIMER_HANDSHAKE, snapshot_timeouts(c->worker->snapshot)->tls_handshake);
    return c->stream.tls ? 0 : -1;
}

bool intercept_handshake_step(struct conn *c)
{
    if (!c->stream.tls && begin_handshake(c) < 0) {
        conn_close(c, false);
        return false;
    }
    int result = tls_handshake(c->stream.tls);
    c->readable = false;
    c->stream.want_write = result == TLS_WANT_WRITE;
    if (result == TLS_WANT_READ || result == TLS_WANT_WRITE)
        return false;
    if (result != 0) {
        enum tls_failure why = tls_failure(c->stream.tls);
        c->tunnel_failure = why == TLS_FAIL_NONE ? TLS_FAIL_IO : why;
        conn_close(c, false);
        return false;
    }
    c->readable = true;
    c->head_seen = 0;
    conn_enter(c, CONN_HEAD);
    conn_timer(c, TIMER_IDLE, snapshot_timeouts(c->worker->snapshot)->idle);
    return true;
}

/* --- the record of a tunnel without a request --- */

/* A handshake that was not finished is the client's refusal too; one that was says nothing. */
static enum reason end_reason(const struct conn *c)
{
    switch (c->tunnel_failure) {
    case TLS_FAIL_NOT_TLS:
        return REASON_TUNNEL_NOT_TLS;
    case TLS_FAIL_SNI:
        return REASON_SNI_MISMATCH;
    case TLS_FAIL_REJECTED:
    case TLS_FAIL_PROTOCOL:
    case TLS_FAIL_IO:
        return REASON_CLIENT_TLS_FAILED;
    default:
        return c->connect_reason;
    }
}

static const char *end_detail(const struct conn *c)
{
    if (c->tunnel_failure != TLS_FAIL_NONE)
        return c->stream.tls ? tls_failure_text(c->stream.tls) : "the client left before the handshake";
    return "the client closed the tunnel before any request, as programs do that do not trust the CA (see exeat env)";
}

void intercept_record_end(struct conn *c)
{
    if (!task_may_note(c->task, clock_mono_ns()))
        return;
    struct buf url = BUF_INIT(CAP_HOST_BYTES + 32);
    if (buf_append(&url, SLICE("https://")) < 0 || http_authority_print(&c->authority, 443, &url) < 0)
        buf_clear(&url);
    enum reason reason = end_reason(c);
    bool failed = c->tunnel_failure != TLS_FAIL_NONE;
    struct audit_event ev = {
        .kind = AUDIT_CONNECT,
        .task = c->task ? c->task->name : NULL,
        .verdict = c->blocked_tunnel || failed ? "block" : "allow",
        .reason = reason,
        .method = SLICE("CONNECT"),
        .url = buf_slice(&url),
        .protocol = "http/1.1",
        .status = failed ? 0 : 200, /* the tunnel ended without an answer */
        .ns = -1,
        .client_address = c->peer_text,
        .detail = end_detail(c),
        .tally = c->jail ? &c->jail->tally : NULL,
    };
    client_note(c->client, &ev);
    if (audit_queue(c->worker->audit, &ev, NULL) == 0)
        c->worker->queued++;
    buf_free(&url);
}
