/* One operation: from a name to a connection that is ready for HTTP. */
#include "fetch/inner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum op_step { OP_NEW, OP_RESOLVING, OP_DIALLING, OP_SECURING, OP_SETTLED, OP_STEPS };

/* Which steps may follow which: the order of the walls. Nothing is secured that was not dialled, nothing
 * dialled but by `dial_judged`. */
static const bool may_follow[OP_STEPS][OP_STEPS] = {
    [OP_NEW] = {[OP_RESOLVING] = true, [OP_DIALLING] = true, [OP_SETTLED] = true},
    [OP_RESOLVING] = {[OP_DIALLING] = true, [OP_SETTLED] = true},
    [OP_DIALLING] = {[OP_SECURING] = true, [OP_SETTLED] = true},
    [OP_SECURING] = {[OP_SETTLED] = true},
};

struct fetch_op {
    struct fetch *fetch;
    struct list node;
    struct pool *pool; /* whom it is for */
    struct http_authority origin; /* its host lies in the pool */
    fetch_done *done;
    void *arg;

    enum op_step step;
    struct loop_deadline deadline;
    struct loop_soon soon;
    struct resolve_wait wait;
    struct dial dial;
    struct fetch_address at[CAP_ADDRESSES_PER_NAME]; /* all judged */
    size_t count;
    enum fetch_word word;
    bool opaque;
    bool proxied; /* the addresses are upstream.proxy's */
    char *via;    /* … and this its text: a reload may take the settings away while it is dialled */
    struct fetch_permit permit;
    uint64_t generation; /* under which it began, then that under which the addresses were judged */
    struct conn *conn;
    struct fetch_result result;
};

static void enter(struct fetch_op *op, enum op_step step)
{
    assert(may_follow[op->step][step]);
    op->step = step;
}

static void op_free(struct fetch_op *op)
{
    list_remove(&op->node);
    loop_deadline_clear(&op->deadline);
    loop_soon_stop(&op->soon);
    pool_unref(op->pool);
    free(op->via);
    free(op);
}

/* --- the end --- */

static void tell(struct loop_soon *s)
{
    struct fetch_op *op = CONTAINER_OF(s, struct fetch_op, soon);
    struct fetch_result result = op->result;
    fetch_done *done = op->done;
    void *arg = op->arg;

    if (op->conn)
        result.conn = &TAKE(op->conn)->pub;
    op_free(op);
    done(arg, &result);
}

/* What somebody who needs a proxy, and has not told us of it, will see. */
static bool is_unreached(enum fetch_fault fault)
{
    return fault == FETCH_DNS || fault == FETCH_REFUSED || fault == FETCH_TIMEOUT;
}

static void settle(struct fetch_op *op, enum fetch_fault fault, const char *detail)
{
    enter(op, OP_SETTLED);
    loop_deadline_pause(&op->deadline);
    op->result.fault = fault;
    const char *hint = is_unreached(fault) ? op->fetch->settings.hint : NULL;
    snprintf(op->result.detail, sizeof op->result.detail, "%s%s%s", detail, hint ? "; " : "", hint ? hint : "");
    if (fault != FETCH_OK)
        fetch_conn_close(TAKE(op->conn));
    loop_soon_start(&op->soon);
}

static void on_deadline(struct loop_deadline *d)
{
    struct fetch_op *op = CONTAINER_OF(d, struct fetch_op, deadline);

    switch (op->step) {
    case OP_RESOLVING:
        resolve_forget(&op->wait);
        settle(op, FETCH_DNS, "the name server did not answer in time");
        break;
    case OP_DIALLING:
        dial_cancel(&op->dial);
        settle(op, FETCH_TIMEOUT, "no connection in time");
        break;
    case OP_SECURING:
        settle(op, FETCH_TIMEOUT, "the TLS handshake took too long");
        break;
    default:
        break;
    }
}

/* --- TLS --- */

static void secured(struct fetch_op *op)
{
    fetch_conn_disown(op->conn);
    settle(op, FETCH_OK, "");
}

static void shake(struct fetch_op *op)
{
    struct fetch_conn *c = &op->conn->pub;
    int result = tls_handshake(c->tls);

    switch (result) {
    case 0:
        secured(op);
        break;
    case TLS_WANT_READ:
        loop_io_want(&c->io, LOOP_READ);
        break;
    case TLS_WANT_WRITE:
        loop_io_want(&c->io, LOOP_WRITE);
        break;
    default: {
        const char *text = tls_failure_text(c->tls);
        settle(op, FETCH_TLS, text && *text ? text : "the connection ended during the TLS handshake");
        break;
    }
    }
}

static void on_shake(struct loop_io *io, int events)
{
    struct fetch_conn *c = CONTAINER_OF(io, struct fetch_conn, io);

    (void)events;
    shake(c->arg);
}

static void secure(struct fetch_op *op)
{
    struct fetch *f = op->fetch;
    struct pool *p = op->pool;
    const struct tls_peer peer = {
        .host = p->host, .is_address = p->kind != HTTP_HOST_NAME, .port = p->port, .task = p->of->name};

    struct err e = {0};

    enter(op, OP_SECURING);
    if (!f->trusted || tls_client_ready(f->trusted->client, &e) < 0) {
        settle(op, FETCH_TLS, f->trusted ? e.text : "no certificates are trusted");
        return;
    }
    op->conn->trusted = trusted_ref(f->trusted);
    op->conn->pub.tls = tls_connect(f->trusted->client, op->conn->pub.fd, &peer);
    if (!op->conn->pub.tls) {
        settle(op, FETCH_OVERLOADED, "no memory for TLS");
        return;
    }
    op->conn->pub.arg = op;
    op->conn->pub.io.ready = on_shake;
    loop_deadline_after(&op->deadline, f->settings.handshake_ns);
    shake(op);
}

/* --- TCP --- */

/* The address that we are connected to is one of the judged ones: the third wall, and the cheapest. */
static bool is_judged(const struct fetch_op *op, const struct fetch_address *peer)
{
    for (size_t i = 0; i < op->count; i++)
        if (fetch_address_same_host(peer, &op->at[i]) && peer->port == op->at[i].port)
            return true;
    return false;
}

static void on_connected(struct dial *d, const struct dial_result *result)
{
    struct fetch_op *op = CONTAINER_OF(d, struct fetch_op, dial);

    if (result->fault != FETCH_OK) {
        settle(op, result->fault, result->detail);
        return;
    }
    op->conn = fetch_conn_new(op->pool, result->fd, op->generation);
    if (!op->conn) {
        settle(op, FETCH_REFUSED, "the connection was lost at once");
        return;
    }
    op->conn->word = op->word;
    fetch_conn_set_via(op->conn, TAKE(op->via));
    if (!is_judged(op, &op->conn->pub.peer))
        settle(op, FETCH_ADDRESS_BLOCKED, "an address that was not judged");
    else if (op->pool->scheme == HTTP_SCHEME_HTTPS && !op->opaque)
        secure(op);
    else
        secured(op);
}

/* Judges op->at and dials: nothing else does. */
static void dial_judged(struct fetch_op *op)
{
    struct fetch *f = op->fetch;

    for (size_t i = 0; i < op->count; i++) {
        const char *kind = fetch_judge(f, &op->at[i], op->word, &op->permit);
        if (kind) {
            settle(op, FETCH_ADDRESS_BLOCKED, kind);
            return;
        }
    }
    if (op->proxied && op->generation != f->generation) {
        settle(op, FETCH_REFUSED, "upstream.proxy may have changed meanwhile"); /* these addresses are the old one's */
        return;
    }
    if (op->proxied && !(op->via = strdup(f->settings.proxy.text))) {
        settle(op, FETCH_OVERLOADED, "no memory for a connection");
        return;
    }
    enter(op, OP_DIALLING);
    op->generation = f->generation;
    op->dial = (struct dial){.at = op->at, .count = op->count, .connected = on_connected};
    if (op->proxied) {
        op->dial.proxy = &f->settings.proxy;
        op->dial.origin = &op->origin;
    }
    int started = dial_start(f->dialler, &op->dial, op->deadline.at - loop_now(f->loop));
    op->dial.proxy = NULL; /* both were read, and do not last */
    op->dial.origin = NULL;
    if (started < 0)
        settle(op, FETCH_OVERLOADED, "no memory for a connection");
}

/* --- names --- */

/* Whose addresses are dialled: the origin, or the proxy on the way there. */
static const struct http_authority *to_dial(const struct fetch_op *op)
{
    return op->proxied ? &op->fetch->settings.proxy.at : &op->origin;
}

/* All addresses are judged here, also those beyond the cap, which dial_judged does not see. */
static const char *judge_all(struct fetch_op *op, const struct resolve_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct fetch_address a = answer->at[i];
        a.port = to_dial(op)->port;
        const char *kind = fetch_judge(op->fetch, &a, op->word, &op->permit);
        if (kind)
            return kind;
    }
    return NULL;
}

/* At most half of each family where there is too much of both: happy eyeballs needs a choice. */
static void take_addresses(struct fetch_op *op, const struct resolve_answer *answer)
{
    size_t six = 0;
    uint16_t port = to_dial(op)->port;

    for (size_t i = 0; i < answer->count && op->count < CAP_ADDRESSES_PER_NAME; i++) {
        bool is_six = answer->at[i].family == AF_INET6;
        if (is_six && six == CAP_ADDRESSES_PER_NAME / 2)
            continue;
        six += is_six;
        op->at[op->count] = answer->at[i];
        op->at[op->count++].port = port;
    }
}

static void on_answered(struct resolve_wait *w, const struct resolve_answer *answer)
{
    struct fetch_op *op = CONTAINER_OF(w, struct fetch_op, wait);

    if (answer->failure) {
        char detail[128];
        snprintf(detail, sizeof detail, "%s%s", op->proxied ? "the upstream proxy: " : "", answer->failure);
        settle(op, FETCH_DNS, detail);
        return;
    }
    const char *kind = judge_all(op, answer);
    if (kind) {
        settle(op, FETCH_ADDRESS_BLOCKED, kind);
        return;
    }
    take_addresses(op, answer);
    dial_judged(op);
}

/* RFC 6761 6.3: these names are never asked for, and mean loopback. */
static bool is_localhost(struct slice host)
{
    return slice_eq(host, SLICE("localhost")) || slice_ends(host, SLICE(".localhost"));
}

/* What the rule permits of loopback is what the name means; with nothing permitted the name is blocked. */
static void dial_localhost(struct fetch_op *op)
{
    static const struct fetch_address loopback[] = {{.family = AF_INET6, .bytes = {[15] = 1}},
                                                    {.family = AF_INET, .bytes = {127, 0, 0, 1}}};

    for (size_t i = 0; i < ARRAY_LEN(loopback); i++) {
        struct fetch_address a = loopback[i];
        a.port = op->pool->port;
        if (!fetch_judge(op->fetch, &a, op->word, &op->permit))
            op->at[op->count++] = a;
    }
    if (op->count)
        dial_judged(op);
    else
        settle(op, FETCH_ADDRESS_BLOCKED, "loopback");
}

static void ask_name_server(struct fetch_op *op, bool may_ask)
{
    if (!may_ask) {
        settle(op, FETCH_DNS, "a name of a single label is looked up only where a rule writes it");
        return;
    }
    op->wait.answered = on_answered;
    if (resolver_ask(op->fetch->resolver, op->pool->of->name, to_dial(op)->host, &op->wait) < 0)
        settle(op, FETCH_OVERLOADED, "too many look-ups of this task");
    else
        enter(op, OP_RESOLVING);
}

/* Overrides for this host and port.  A dial has one port: rows with another than the first are left out. */
static void take_overrides(struct fetch_op *op)
{
    const struct fetch_settings *s = &op->fetch->settings;
    const struct http_authority *to = to_dial(op);

    for (size_t i = 0; i < s->override_count && op->count < CAP_ADDRESSES_PER_NAME; i++) {
        const struct fetch_override *o = &s->overrides[i];
        if (o->port != to->port || !slice_eq(slice_str(o->host), to->host))
            continue;
        if (op->count == 0 || op->at[0].port == o->to.port)
            op->at[op->count++] = o->to;
    }
    if (op->count)
        op->word = FETCH_WORD_OPERATOR;
}

static struct fetch_address literal(const struct http_authority *a)
{
    struct fetch_address ret = {.family = a->kind == HTTP_HOST_IPV4 ? AF_INET : AF_INET6, .port = a->port};

    memcpy(ret.bytes, a->address, sizeof ret.bytes);
    return ret;
}

/* What is asked of an upstream proxy: names are resolved there, so only literals can be judged here. */
static const char *judge_remote(struct fetch_op *op, const struct http_authority *origin)
{
    struct fetch_address a;

    if (origin->kind == HTTP_HOST_NAME)
        return is_localhost(origin->host) ? "loopback" : NULL;
    a = literal(origin);
    return fetch_judge(op->fetch, &a, FETCH_WORD_ORIGIN, &op->permit);
}

/* Where the addresses of the one to dial come from: the operator, its own text, or a name server. */
static void find_addresses(struct fetch_op *op, bool may_ask)
{
    const struct http_authority *to = to_dial(op);

    take_overrides(op);
    if (op->count == 0 && to->kind != HTTP_HOST_NAME)
        op->at[op->count++] = literal(to);
    if (op->count)
        dial_judged(op);
    else if (is_localhost(to->host) && !op->proxied)
        dial_localhost(op);
    else
        ask_name_server(op, may_ask);
}

static void begin(struct fetch_op *op, const struct fetch_want *want)
{
    const struct http_authority *origin = &want->authority;
    bool may_ask = origin->kind != HTTP_HOST_NAME || slice_find(origin->host, '.') >= 0 || want->single_label_ok;
    const char *kind = op->proxied ? judge_remote(op, origin) : NULL;

    if (kind)
        settle(op, FETCH_ADDRESS_BLOCKED, kind);
    else if (op->proxied && !may_ask)
        ask_name_server(op, false);
    else
        find_addresses(op, may_ask);
}

struct fetch_op *op_start(struct fetch *f, const struct fetch_want *want, fetch_done *done, void *arg)
{
    struct fetch_op *op = calloc(1, sizeof *op);

    if (!op)
        return NULL;
    op->proxied = fetch_is_proxied(f, want);
    op->pool = pools_open(&f->pools, want, op->proxied);
    if (!op->pool) {
        free(op);
        return NULL;
    }
    op->fetch = f;
    op->done = done;
    op->arg = arg;
    op->origin = want->authority;
    op->origin.host = op->pool->host;
    op->word = op->proxied ? FETCH_WORD_OPERATOR : FETCH_WORD_ORIGIN;
    op->opaque = want->opaque;
    op->permit = want->permit;
    op->generation = f->generation;
    op->result.fault = FETCH_OK;
    list_insert(&f->ops, &op->node);
    list_init(&op->wait.node);
    loop_soon_init(&op->soon, f->loop, tell);
    loop_deadline_init(&op->deadline, f->loop, on_deadline);
    loop_deadline_after(&op->deadline, f->settings.connect_ns);
    begin(op, want);
    return op;
}

struct fetch_op *op_first(struct fetch *f)
{
    return LIST_ENTRY(f->ops.next, struct fetch_op, node);
}

void fetch_cancel(struct fetch_op *op)
{
    if (!op)
        return;
    if (op->step == OP_RESOLVING)
        resolve_forget(&op->wait);
    else if (op->step == OP_DIALLING)
        dial_cancel(&op->dial);
    fetch_conn_close(TAKE(op->conn));
    op_free(op);
}
