/* A request's head, from bytes to a verdict. */
#include "proxy/exchange.h"
#include "proxy/jail.h"
#include "proxy/tunnel.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "http/auth.h"

#include <stdio.h>

enum { TOKEN_MAX = 512, RAW_URL_MAX = 2048, RECORD_BYTES = 700 };

/* --- reading the head --- */

void request_refuse_unread(struct conn *c, enum reason reason, const char *detail)
{
    struct exchange *x = exchange_new(c, AUDIT_REQUEST);
    if (!x) {
        conn_close(c, true);
        return;
    }
    c->had_request = true;
    x->request_done = false; /* where this message ends is not known: the connection ends instead */
    conn_enter(c, CONN_EXCHANGE);
    exchange_refuse(x, reason, detail);
}

/* A head can only become complete, or wrong, with the end of a line: bytes without one are not parsed
 * again, so that a head that comes byte by byte costs no more than one that comes at once. */
static bool worth_parsing(struct conn *c)
{
    struct slice in = buf_slice(&c->in);
    struct slice fresh = slice_skip(in, c->head_seen);
    bool first = c->head_seen == 0 && in.len > 0;
    c->head_seen = in.len;
    return first || slice_find(fresh, '\n') >= 0 || in.len > snapshot_limits(c->worker->snapshot)->head_size;
}

/* True when the head was dealt with, one way or the other. */
static bool parse_head(struct conn *c)
{
    if (!worth_parsing(c))
        return false;
    struct worker *w = c->worker;
    struct http_problem problem;
    size_t consumed;
    int got = h1_parse_request(buf_slice(&c->in), snapshot_limits(w->snapshot)->head_size, &w->request, &consumed,
                               &problem);
    if (got == 0)
        return false;
    c->head_seen = 0;
    c->followed = got > 0 && consumed < buf_len(&c->in);
    if (got < 0) {
        request_refuse_unread(c, reason_of_fault(problem.fault), problem.detail);
        return true;
    }
    request_begin(c);
    if (c->state != CONN_CLOSED)
        buf_consume(&c->in, consumed); /* the slices of w->request end here */
    return true;
}

/* The client's side has ended, or broke, between or within requests. */
static void input_ended(struct conn *c, ssize_t result)
{
    if (c->intercepted && !c->had_request && result == TLS_FAILED && tls_failure(c->stream.tls) == TLS_FAIL_REJECTED)
        c->tunnel_failure = TLS_FAIL_REJECTED; /* in TLS 1.3 the alert comes after our side of the handshake */
    conn_close(c, false);
}

bool head_step(struct conn *c)
{
    if (buf_len(&c->in) > c->head_seen && parse_head(c))
        return true;
    if (c->client_late) {
        request_refuse_unread(c, REASON_HEAD_TIMEOUT, NULL);
        return true;
    }
    if (!c->readable && !stream_has_pending(&c->stream))
        return false;
    bool first = buf_len(&c->in) == 0;
    c->readable = false;
    ssize_t n = stream_read(&c->stream, &c->worker->blocks, &c->in);
    if (n == TLS_WANT_READ) {
        if (first)
            blocks_take(&c->worker->blocks, &c->in);
        return false;
    }
    if (n <= 0) {
        input_ended(c, n);
        return false;
    }
    if (first)
        conn_timer(c, TIMER_HEAD, snapshot_timeouts(c->worker->snapshot)->head);
    return true;
}

/* --- who asks --- */

/* Basic credentials (RFC 7617): the password is the token; the user name is for people (it is the task's
 * name in `exeat env`) and, where the password is empty, may be the token itself. */
static bool basic_token(struct slice value, char *decoded, struct slice *ret_token)
{
    struct slice scheme;
    struct slice rest = value;
    if (!slice_next(&rest, ' ', &scheme) || !slice_eq_nocase(scheme, SLICE("Basic")))
        return false;
    struct slice encoded = slice_trim(rest);
    size_t len;
    if (encoded.len > TOKEN_MAX || crypto_base64_decode(encoded, decoded, &len) < 0)
        return false;
    struct slice pair = slice_of(decoded, len);
    ptrdiff_t colon = slice_find(pair, ':');
    if (colon < 0)
        return false;
    struct slice password = slice_skip(pair, (size_t)colon + 1);
    *ret_token = password.len ? password : slice_first(pair, (size_t)colon);
    return true;
}

static int find_task(struct exchange *x, const struct h1_request *r, const struct snapshot_task **ret_task,
                     enum reason *ret_reason)
{
    const struct http_header *field = http_headers_find(&r->headers, HTTP_H_PROXY_AUTHORIZATION);
    char decoded[TOKEN_MAX];
    struct slice token = {NULL, 0};
    if (field && !basic_token(field->value, decoded, &token)) {
        *ret_reason = REASON_CREDENTIALS_WRONG;
        return -1;
    }
    int found = snapshot_identify(x->snapshot, token, &x->conn->peer, ret_task, ret_reason);
    crypto_wipe(decoded, sizeof decoded);
    return found;
}

/* The first credential of a connection fixes its task; another one later is refused. */
static int bind_task(struct exchange *x, const struct snapshot_task *t)
{
    struct conn *c = x->conn;
    if (c->task) {
        if (slice_eq(conn_task_name(c), t->name_slice))
            return 0;
        exchange_refuse(x, REASON_CREDENTIALS_WRONG, "this connection belongs to another task");
        return -1;
    }
    struct task_state *state = c->jail ? c->jail->state : task_table_get(c->worker->tasks, t->name_slice);
    if (!state || !task_connection_begin(state, snapshot_limits(x->snapshot)->connections_per_task)) {
        exchange_refuse(x, state ? REASON_TOO_MANY_CONNECTIONS : REASON_OVERLOADED, NULL);
        return -1;
    }
    c->task = state;
    return 0;
}

/* What comes from a jail is its task's; a credential that it sends all the same is dropped like any Proxy-*. */
static int task_of_jail(struct exchange *x, const struct snapshot_task **ret_task)
{
    const struct snapshot_task *t = snapshot_task_named(x->snapshot, slice_str(x->conn->jail->task));
    if (!t) {
        exchange_refuse(x, REASON_POLICY_UNAVAILABLE, "the task is no longer configured");
        return -1;
    }
    if (bind_task(x, t) < 0)
        return -1;
    *ret_task = t;
    return 0;
}

int request_identify(struct exchange *x, const struct h1_request *r, const struct snapshot_task **ret_task)
{
    if (x->conn->jail)
        return task_of_jail(x, ret_task);
    const struct snapshot_task *t;
    enum reason reason;
    if (find_task(x, r, &t, &reason) < 0) {
        exchange_refuse(x, reason, NULL);
        return -1;
    }
    if (bind_task(x, t) < 0)
        return -1;
    *ret_task = t;
    return 0;
}

/* In a tunnel the task is known; a reload may have taken it away. */
static int task_of_tunnel(struct exchange *x, const struct snapshot_task **ret_task)
{
    *ret_task = snapshot_task_named(x->snapshot, conn_task_name(x->conn));
    if (*ret_task)
        return 0;
    exchange_refuse(x, REASON_POLICY_UNAVAILABLE, "the task is no longer configured");
    return -1;
}

/* --- what for --- */

static int refuse_target(struct exchange *x, const struct http_problem *problem)
{
    exchange_refuse(x, reason_of_fault(problem->fault), problem->detail);
    return -1;
}

static int parse_target(struct exchange *x, const struct h1_request *r)
{
    struct conn *c = x->conn;
    struct http_problem problem;
    switch (r->form) {
    case H1_FORM_ABSOLUTE:
        if (http_url_parse(&x->arena, x->raw_target, &x->target, &problem) < 0)
            return refuse_target(x, &problem);
        return 0;
    case H1_FORM_ORIGIN:
    case H1_FORM_ASTERISK:
        if (!c->intercepted && !c->captured) {
            exchange_refuse(x, REASON_MALFORMED_REQUEST, "this is a proxy: the target must be a whole URL");
            return -1;
        }
        x->target.scheme = c->intercepted ? HTTP_SCHEME_HTTPS : HTTP_SCHEME_HTTP;
        x->target.authority = c->authority;
        if (r->form == H1_FORM_ASTERISK)
            x->target.path = SLICE("*");
        else if (http_path_parse(&x->arena, x->raw_target, &x->target, &problem) < 0)
            return refuse_target(x, &problem);
        return 0;
    default:
        exchange_refuse(x, REASON_MALFORMED_REQUEST, "this form of target belongs to CONNECT");
        return -1;
    }
}

static int mismatch(struct exchange *x, const char *detail)
{
    exchange_refuse(x, REASON_AUTHORITY_MISMATCH, detail);
    return -1;
}

/* CONNECT = SNI = Host, on every request (design: Policy). */
static int check_authority(struct exchange *x, const struct h1_request *r)
{
    struct conn *c = x->conn;
    const struct http_target *t = &x->target;
    if (c->intercepted && (t->scheme != HTTP_SCHEME_HTTPS || !http_authority_eq(&t->authority, &c->authority)))
        return mismatch(x, "the target is not the host and port of the CONNECT");
    if (c->captured && !c->intercepted &&
        (t->scheme != HTTP_SCHEME_HTTP || !http_authority_eq(&t->authority, &c->authority)))
        return mismatch(x, "the target is not the host and port of the connection");
    if (!c->intercepted && t->scheme == HTTP_SCHEME_HTTPS) {
        exchange_refuse(x, REASON_MALFORMED_REQUEST, "https needs CONNECT: the proxy does not take it in the clear");
        return -1;
    }
    const struct http_header *host = http_headers_find(&r->headers, HTTP_H_HOST);
    if (!host)
        return 0; /* HTTP/1.0; with 1.1 the parser has refused it */
    struct http_authority named;
    struct http_problem problem;
    if (http_authority_parse(&x->arena, host->value, http_scheme_port(t->scheme), &named, &problem) < 0)
        return refuse_target(x, &problem);
    return http_authority_eq(&named, &t->authority) ? 0 : mismatch(x, "Host names another host or port");
}

static void note_url(struct exchange *x)
{
    struct buf text = BUF_INIT(CAP_TARGET_BYTES + CAP_HOST_BYTES + 32);
    if (http_target_print(&x->target, &text) == 0)
        x->url = arena_slice(&x->arena, buf_slice(&text));
    x->url_canonical = x->url.ptr != NULL;
    buf_free(&text);
}

/* Before it is parsed: the record of a refused target shows what was asked for. */
static void note_raw_url(struct exchange *x, const struct h1_request *r)
{
    const struct conn *c = x->conn;
    bool known = (c->intercepted || c->captured) && r->form != H1_FORM_ABSOLUTE;
    struct slice host = known ? c->authority.host : SLICE("");
    const char *scheme = !known ? "" : c->intercepted ? "https://" : "http://";
    struct slice target = slice_first(x->raw_target, RAW_URL_MAX);
    char *text = arena_printf(&x->arena, "%s%.*s%.*s", scheme, SLICE_FMT(host), SLICE_FMT(target));
    x->url = slice_str(text);
}

/* --- the verdict --- */

static struct request_facts facts_of(struct exchange *x, const struct h1_request *r)
{
    const struct http_header *type = http_headers_find(&r->headers, HTTP_H_CONTENT_TYPE);
    return (struct request_facts){
        .method = x->method,
        .has_body = r->framing != H1_BODY_NONE,
        .body_size = r->framing == H1_BODY_CHUNKED ? -1 : r->framing == H1_BODY_LENGTH ? (int64_t)r->length : 0,
        .content_type = type ? arena_slice(&x->arena, type->value) : slice_of(NULL, 0),
        .now_ms = x->wall_ms,
        .headers = &r->headers,
    };
}

/* They end with the head, and a rule that speaks of them may judge again after a reload.  NULL without memory:
 * then they are not known any longer, which fails closed. */
static const struct http_headers *keep_headers(struct arena *arena, const struct http_headers *from)
{
    struct http_headers *kept = arena_new(arena, struct http_headers);
    if (!kept)
        return NULL;
    for (unsigned i = 0; i < from->count; i++) {
        struct http_header *to = &kept->at[kept->count++];
        *to = from->at[i];
        to->name = arena_slice(arena, to->name);
        to->value = arena_slice(arena, to->value);
        if (!to->name.ptr || !to->value.ptr)
            return NULL;
    }
    return kept;
}

static int judge(struct exchange *x, const struct h1_request *r, const struct snapshot_task *t)
{
    if (!t->policy) {
        exchange_refuse(x, REASON_POLICY_UNAVAILABLE, NULL);
        return -1;
    }
    x->facts = facts_of(x, r);
    policy_match(t->policy, &x->target, &x->facts, &x->verdict);
    /* what only the mode lets pass may have a field that overrides the method, and be judged by a stricter one */
    bool keep = policy_needs_headers(t->policy) || x->verdict.would_block;
    x->facts.headers = keep ? keep_headers(&x->arena, &r->headers) : NULL;
    if (policy_needs_headers(t->policy))
        x->request_body.trailers = NULL; /* fields that come after the verdict were not judged: they are dropped */
    if (x->verdict.kind != VERDICT_ALLOW) {
        exchange_refuse(x, x->verdict.reason, NULL);
        return -1;
    }
    x->reason = x->verdict.reason;
    if (r->upgrade) {
        exchange_refuse(x, REASON_UPGRADE_DENIED, NULL);
        return -1;
    }
    if (x->verdict.rule && x->facts.has_body)
        x->body_max = policy_rule_body_max(x->verdict.rule);
    return 0;
}

/* "application/json" in a list of media ranges, whatever its parameters (RFC 9110 12.5.1). */
static bool accepts_json(const struct h1_request *r)
{
    const struct http_header *accept = http_headers_find(&r->headers, HTTP_H_ACCEPT);
    struct slice rest = accept ? accept->value : slice_of(NULL, 0), range, type;
    while (slice_next(&rest, ',', &range))
        if (slice_next(&range, ';', &type) && slice_eq_nocase(slice_trim(type), SLICE("application/json")))
            return true;
    return false;
}

void request_judge_again(struct exchange *x, const struct proxy_snapshot *snapshot)
{
    if (x->tunnel != TUNNEL_NONE) {
        tunnel_judge_again(x, snapshot);
        return;
    }
    const struct snapshot_task *t = snapshot_task_named(snapshot, conn_task_name(x->conn));
    struct verdict now = {.kind = VERDICT_BLOCK, .reason = REASON_POLICY_UNAVAILABLE};
    x->facts.now_ms = clock_wall_ms();
    if (t && t->policy)
        policy_match(t->policy, &x->target, &x->facts, &now);
    if (now.rule && x->facts.has_body)
        x->body_max = policy_rule_body_max(now.rule);
    if (now.kind != VERDICT_ALLOW)
        exchange_refuse(x, now.reason, "the policy in force now does not allow it any longer");
    else if (upstream_forbids(x, now.rule))
        exchange_refuse(x, REASON_ADDRESS_BLOCKED, "the policy in force now does not let it go to this address");
    else if (x->request_body.total > x->body_max)
        exchange_refuse(x, REASON_BODY_TOO_LARGE, "the policy in force now allows less");
    else if (!charge_again(x, t->charges, now.rule) && !x->request_done)
        exchange_refuse(x, REASON_UPLOAD_BUDGET, "the policy in force now allows less");
    else if (upstream_cancel_outdated(x, &now))
        upstream_begin(x, x->retried);
}

static void take_head(struct exchange *x, const struct h1_request *r)
{
    /* What is recorded, judged again or dialled again later must not lie in the connection's buffer. */
    x->method = arena_slice(&x->arena, r->method);
    x->raw_target = arena_slice(&x->arena, r->target);
    x->wants_json = accepts_json(r);
    x->head_request = slice_eq(r->method, SLICE("HEAD"));
    x->http10 = r->minor == 0;
    x->client_keep_alive = r->keep_alive;
    h1_body_init(&x->request_body, r->framing, r->length);
    x->request_chunked = r->framing == H1_BODY_CHUNKED;
    x->request_body.trailers = &x->request_trailers;
    x->request_done = h1_body_done(&x->request_body);
    x->pins = http_auth_binds_request(&r->headers);
}

/* Notes the exchange where a crash cannot lose it, then goes to the origin. */
static void start(struct exchange *x, const struct h1_request *r)
{
    struct conn *c = x->conn;
    struct worker *w = c->worker;
    x->slot = inflight_note(w->inflight, x->id, c->task->name, x->method, x->url);
    if (!x->slot) {
        exchange_refuse(x, REASON_OVERLOADED, "the in-flight table is full");
        return;
    }
    blocks_give(&w->blocks, &x->up_out);
    if (forward_request_head(x, r) < 0) {
        exchange_refuse(x, REASON_HEAD_TOO_LARGE, NULL);
        return;
    }
    if (charge_begin(x) < 0)
        return;
    list_insert(&w->young, &x->young);
    exchange_arm(x);
    upstream_begin(x, false);
}

int request_fill_log(struct exchange *x)
{
    struct task_state *s = x->conn->task;
    uint64_t bytes = RECORD_BYTES + x->url.len;
    if (task_record(s, clock_mono_ns(), bytes, snapshot_limits(x->snapshot)->task_records))
        return 0;
    x->unrecorded = true;
    atomic_fetch_add_explicit(&s->unrecorded, 1, memory_order_relaxed);
    exchange_refuse(x, REASON_REQUEST_RATE, "the task's share of the log is full");
    return -1;
}

void request_begin(struct conn *c)
{
    const struct h1_request *r = &c->worker->request;
    bool connect = !c->intercepted && !c->captured && r->form == H1_FORM_AUTHORITY;
    struct exchange *x = exchange_new(c, connect ? AUDIT_CONNECT : AUDIT_REQUEST);
    if (!x) {
        conn_close(c, true);
        return;
    }
    take_head(x, r);
    note_raw_url(x, r);
    conn_enter(c, CONN_EXCHANGE);
    if (!x->method.ptr || !x->raw_target.ptr) {
        exchange_refuse(x, REASON_OVERLOADED, NULL);
        return;
    }
    if (connect) {
        intercept_connect(x, r);
        return;
    }
    c->had_request = true;
    const struct snapshot_task *t;
    if ((c->intercepted ? task_of_tunnel(x, &t) : request_identify(x, r, &t)) < 0)
        return;
    if (parse_target(x, r) < 0)
        return;
    note_url(x);
    if (check_authority(x, r) < 0)
        return;
    if (!audit_available(c->worker->log)) {
        exchange_refuse(x, REASON_AUDIT_UNAVAILABLE, NULL);
        return;
    }
    if (request_fill_log(x) == 0 && judge(x, r, t) == 0)
        start(x, r);
}
