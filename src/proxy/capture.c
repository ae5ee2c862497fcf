#include "proxy/capture.h"

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/dns_names.h"
#include "proxy/exchange.h"
#include "proxy/jail.h"

#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <sys/socket.h>

/* How long a client may say nothing: where nothing is allowed, just as long as one needs that speaks first
 * and could be told why; on the ports of HTTP, where browsers open connections ahead of need, as long as for
 * a head. */
enum { DENIED_NS = 250000000ll, SILENT_NS = 3000000000ll };

/* --- where to --- */

static int original_destination(struct conn *c, struct fetch_address *ret)
{
    bool v6 = c->peer.family == AF_INET6;
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct fetch_address own;
    /* the option has one number at both levels (IP6T_SO_ORIGINAL_DST is 80 too) */
    if (getsockopt(c->stream.fd, v6 ? SOL_IPV6 : SOL_IP, SO_ORIGINAL_DST, &sa, &len) < 0 ||
        fetch_address_from_sockaddr((struct sockaddr *)&sa, len, ret) < 0 ||
        stream_own_address(c->stream.fd, &own) < 0)
        return -1;
    return fetch_address_same_host(ret, &own) && ret->port == own.port ? -1 : 0;
}

/* `c->host` holds the text: a name, or the literal in its one form. */
static int name_authority(struct conn *c, const struct fetch_address *to)
{
    struct http_problem problem;
    char text[CAP_HOST_BYTES + 3];
    struct arena arena = ARENA_INIT(CAP_HOST_BYTES * 4);
    struct http_authority a;
    size_t len = dns_names_of(c->jail->names, to, text);
    if (!len) {
        text[0] = '[';
        fetch_address_print(to, text + (to->family == AF_INET6));
        len = strlen(text);
        if (to->family == AF_INET6)
            text[len++] = ']';
    }
    int result = http_authority_parse(&arena, slice_of(text, len), to->port, &a, &problem);
    if (result == 0) {
        memcpy(c->host, a.host.ptr, a.host.len);
        c->authority = a;
        c->authority.host.ptr = c->host;
    }
    arena_free(&arena);
    return result;
}

/* --- the end of one that is not let in --- */

/* "tcp://host:port": what it would have spoken is not known. */
static void record(struct conn *c, const char *verdict, enum reason reason, const struct verdict *v,
                   const char *detail)
{
    if (!task_may_note(c->jail->state, clock_mono_ns()))
        return;
    AUTO_BUF url = BUF_INIT(CAP_HOST_BYTES + 32);
    if (c->authority.host.len &&
        (buf_append(&url, SLICE("tcp://")) < 0 || http_authority_print(&c->authority, 0, &url) < 0))
        buf_clear(&url);
    struct audit_event ev = {
        .kind = AUDIT_CONNECT,
        .task = c->jail->task,
        .verdict = verdict,
        .reason = reason,
        .rule = v ? v->rule : NULL,
        .nearest = v ? v->nearest : NULL,
        .method = SLICE("CONNECT"),
        .url = buf_slice(&url),
        .ns = -1,
        .client_address = c->peer_text,
        .detail = detail,
        .tally = &c->jail->tally,
    };
    client_note(c->client, &ev);
    if (audit_queue(c->worker->audit, &ev, NULL) == 0)
        c->worker->queued++;
}

static void refuse(struct conn *c, enum reason reason, const char *detail)
{
    record(c, "block", reason, NULL, detail);
    conn_close(c, false);
}

/* --- what is allowed there --- */

static const struct snapshot_task *task_of(struct conn *c)
{
    return snapshot_task_named(c->worker->snapshot, slice_str(c->jail->task));
}

/* Whether any request, https or http, could be allowed there. */
static void judge(struct conn *c, struct verdict *ret)
{
    const struct snapshot_task *t = task_of(c);
    *ret = (struct verdict){.kind = VERDICT_BLOCK, .reason = REASON_POLICY_UNAVAILABLE};
    if (t && t->policy)
        policy_match_connect(t->policy, &c->authority, clock_wall_ms(), ret);
    c->captured_denied = ret->kind != VERDICT_ALLOW && ret->reason != REASON_SCHEME_NOT_ALLOWED;
}

static int join_task(struct conn *c)
{
    struct worker *w = c->worker;
    struct task_state *state = c->jail->state;
    if (!task_connection_begin(state, snapshot_limits(w->snapshot)->connections_per_task)) {
        refuse(c, REASON_TOO_MANY_CONNECTIONS, NULL);
        return -1;
    }
    c->task = state;
    return 0;
}

static int64_t patience(const struct conn *c)
{
    const struct proxy_timeouts *t = snapshot_timeouts(c->worker->snapshot);
    int64_t most = t->head;
    if (c->authority.port != 443 && c->authority.port != 80)
        most = c->captured_denied ? DENIED_NS : SILENT_NS;
    return most < t->head ? most : t->head;
}

void capture_begin(struct conn *c, int ask)
{
    struct fetch_address to;
    struct verdict verdict;
    c->captured = true;
    conn_enter(c, CONN_SNIFF);
    if (original_destination(c, &to) < 0) {
        refuse(c, REASON_PORT_DENIED, "a connection to the capture port itself");
        return;
    }
    conn_ask_client(c, ask, &to);
    if (name_authority(c, &to) < 0) {
        refuse(c, REASON_HOST_NOT_ALLOWED, "the name cannot be a host's");
        return;
    }
    if (join_task(c) < 0)
        return;
    judge(c, &verdict);
    conn_timer(c, TIMER_HEAD, patience(c));
}

/* --- what it speaks --- */

static bool is_method_char(char ch)
{
    return (ch >= 'A' && ch <= 'Z') || ch == '-' || ch == '_';
}

/* What may stand behind the method: a path, "*", a whole URL; the rest of the head is the parser's affair. */
static enum capture_kind classify_target(struct slice method, struct slice rest)
{
    if (slice_eq(method, SLICE("CONNECT")))
        return CAPTURE_HTTP;
    if (rest.len == 0)
        return CAPTURE_MORE;
    if (rest.ptr[0] == '/' || rest.ptr[0] == '*')
        return CAPTURE_HTTP;
    struct slice url = SLICE("http");
    size_t len = rest.len < url.len ? rest.len : url.len;
    if (!slice_eq_nocase(slice_first(rest, len), slice_first(url, len)))
        return CAPTURE_OTHER;
    return len < url.len ? CAPTURE_MORE : CAPTURE_HTTP;
}

enum capture_kind capture_classify(struct slice first)
{
    if (first.len == 0)
        return CAPTURE_MORE;
    if (first.ptr[0] == 0x16) /* a TLS handshake record (RFC 8446 5.1); OpenSSL judges the rest */
        return CAPTURE_TLS;
    size_t len = 0;
    while (len < first.len && len <= CAP_METHOD_BYTES && is_method_char(first.ptr[len]))
        len++;
    if (len == first.len)
        return len <= CAP_METHOD_BYTES ? CAPTURE_MORE : CAPTURE_OTHER;
    if (len == 0 || len > CAP_METHOD_BYTES || first.ptr[len] != ' ')
        return CAPTURE_OTHER;
    return classify_target(slice_first(first, len), slice_skip(first, len + 1));
}

static bool begin_http(struct conn *c)
{
    conn_enter(c, CONN_HEAD);
    conn_timer(c, TIMER_HEAD, snapshot_timeouts(c->worker->snapshot)->head);
    c->readable = true;
    return true;
}

static bool begin_tls(struct conn *c)
{
    struct exchange *x = exchange_new(c, AUDIT_CONNECT);
    if (!x) {
        conn_close(c, true);
        return false;
    }
    conn_enter(c, CONN_EXCHANGE);
    x->mute = true;
    x->method = SLICE("CONNECT");
    x->target.scheme = HTTP_SCHEME_HTTPS;
    x->target.authority = c->authority;
    const struct snapshot_task *t = task_of(c);
    if (t)
        intercept_open(x, t);
    else
        exchange_refuse(x, REASON_POLICY_UNAVAILABLE, "the task is no longer configured");
    return true;
}

/* The record waits for who the client is (client.h), and the end for the record: a client that is gone cannot
 * be looked up.  The settled answer brings the pump here again, to find the same. */
static bool must_wait(struct conn *c)
{
    c->captured_ends = client_is_awaited(c->client);
    return c->captured_ends;
}

/* Neither TLS nor HTTP, or nothing at all. */
static void end_other(struct conn *c, const char *detail)
{
    struct verdict verdict;
    if (must_wait(c))
        return;
    judge(c, &verdict);
    record(c, "block", c->captured_denied ? REASON_PORT_DENIED : REASON_TUNNEL_NOT_TLS, &verdict, detail);
    conn_close(c, false);
}

static void end_of_client(struct conn *c, bool spoke)
{
    struct verdict verdict;
    if (must_wait(c))
        return;
    judge(c, &verdict);
    if (c->captured_denied || spoke) {
        end_other(c, "the client closed the connection");
        return;
    }
    record(c, "allow", verdict.reason, &verdict, "the client closed the connection before it said anything");
    conn_close(c, false);
}

void capture_cut(struct conn *c)
{
    static const char detail[] = "exeat stopped before it was known what the client wants";
    struct verdict verdict;
    judge(c, &verdict);
    if (c->captured_denied)
        record(c, "block", REASON_PORT_DENIED, &verdict, detail);
    else
        record(c, "allow", verdict.reason, &verdict, detail);
    conn_close(c, false);
}

/* Bytes that stay unread keep the descriptor readable: it is looked at again when more has come than was
 * seen. */
static void wait_for_more(struct conn *c, size_t seen)
{
    int more = (int)seen + 1;
    if (setsockopt(c->stream.fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more) < 0) {
        /* then the loop looks more often than it needs to, until the time is over */
    }
}

/* The bytes that came so far tell nothing yet: the same number again means that no more will come. */
static void look_again(struct conn *c, size_t seen)
{
    if (seen == c->head_seen) {
        end_of_client(c, true);
        return;
    }
    c->head_seen = seen;
    wait_for_more(c, seen);
}

static bool begin(struct conn *c, enum capture_kind kind)
{
    if (c->head_seen)
        wait_for_more(c, 0);
    c->head_seen = 0;
    return kind == CAPTURE_HTTP ? begin_http(c) : begin_tls(c);
}

bool capture_step(struct conn *c)
{
    char first[CAPTURE_SNIFF_BYTES];
    c->readable = false;
    if (c->client_late) {
        end_other(c, "the client said nothing that tells what it speaks");
        return false;
    }
    ssize_t n = recv(c->stream.fd, first, sizeof first, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    enum capture_kind kind = n > 0 ? capture_classify(slice_of(first, (size_t)n)) : CAPTURE_OTHER;
    if (kind == CAPTURE_TLS || kind == CAPTURE_HTTP)
        return begin(c, kind);
    if (n <= 0)
        end_of_client(c, false);
    else if (kind == CAPTURE_MORE)
        look_again(c, (size_t)n);
    else
        end_other(c, "neither TLS nor HTTP");
    return false;
}
