#include "proxy/dns_server.h"

#include "base/clock.h"
#include "proxy/dns_names.h"
#include "proxy/dns_wire.h"
#include "proxy/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DATAGRAMS_A_TURN = 16,
    TCP_CLIENTS = 64,
    IN_VAIN_MAX = 1000,
    TCP_IN = 2 + DNS_MESSAGE_BYTES,
    TCP_OUT = 8 << 10,
    TCP_IDLE_NS = 10000000000ll,
    TTL_SECONDS = 300, /* an address is its name's for as long as the jail lives: any time would do */
};

struct dns_server {
    struct worker *worker;
    struct jail *jail;
    struct loop_io udp[2], tcp[2];
    struct list clients;
    unsigned client_count;
    unsigned in_vain; /* times that UDP woke us for nothing, in a row */
};

struct tcp_client {
    struct list node;
    struct dns_server *server;
    struct loop_io io;
    struct loop_deadline idle;
    struct buf in, out;
    int fd;
    bool ended; /* nothing more will come */
};

/* --- what is answered --- */

static void note(struct dns_server *s, struct slice name, const char *verdict, const char *detail)
{
    char text[CAP_HOST_BYTES + 8] = "dns:"; /* RFC 4501 */
    if (!task_may_note(s->jail->state, clock_mono_ns()))
        return;
    memcpy(text + 4, name.ptr, name.len);
    const struct audit_event ev = {
        .kind = AUDIT_DNS,
        .task = s->jail->task,
        .verdict = verdict,
        .reason = detail ? REASON_OVERLOADED : REASON_NONE,
        .url = slice_of(text, 4 + name.len),
        .ns = -1,
        .detail = detail,
    };
    if (audit_queue(s->worker->audit, &ev, NULL) == 0)
        s->worker->queued++;
}

/* A name that can stand in a URL as a name, and not as an address ("1.2.3.4", "0x7f.1"). */
static bool is_host_name(struct slice name)
{
    struct arena arena = ARENA_INIT(CAP_HOST_BYTES * 4);
    struct http_problem problem;
    struct http_authority a;
    bool good = http_authority_parse(&arena, name, 443, &a, &problem) == 0 && a.kind == HTTP_HOST_NAME &&
                slice_eq(a.host, name);
    arena_free(&arena);
    return good;
}

/* RFC 6761 6.3 */
static bool is_localhost(struct slice name)
{
    return slice_eq(name, SLICE("localhost")) || slice_ends(name, SLICE(".localhost"));
}

static enum dns_rcode find_number(struct dns_server *s, struct slice name, uint32_t *ret)
{
    bool fresh;
    if (!is_host_name(name) || slice_ends(name, SLICE(".arpa")))
        return DNS_NXDOMAIN;
    if (dns_names_number(s->jail->names, name, ret, &fresh) < 0) {
        if (!atomic_exchange(&s->jail->names_full, true))
            note(s, name, "block", "this jail has looked as many names up as it may; more are not answered");
        return DNS_SERVFAIL;
    }
    if (fresh)
        note(s, name, "allow", NULL);
    return DNS_NOERROR;
}

static void answer_address(struct dns_server *s, const struct dns_query *q, struct slice name,
                           struct dns_answer *a)
{
    static const uint8_t loopback4[4] = {127, 0, 0, 1}, loopback6[16] = {[15] = 1};
    bool v6 = q->type == DNS_AAAA, wanted = q->type == DNS_A || (v6 && s->jail->ipv6);
    uint32_t number = 0;
    if (!is_localhost(name))
        a->rcode = find_number(s, name, &number);
    if (a->rcode != DNS_NOERROR || !wanted)
        return;
    a->type = q->type;
    a->len = v6 ? 16 : 4;
    if (!number)
        memcpy(a->data, v6 ? loopback6 : loopback4, a->len);
    else if (v6)
        dns_address6(number, a->data);
    else
        dns_address4(number, a->data);
}

static void answer_reverse(struct dns_server *s, const struct dns_query *q, struct slice name,
                           struct dns_answer *a)
{
    struct fetch_address address = {0};
    char text[CAP_HOST_BYTES + 1];
    unsigned len = dns_reverse(name, address.bytes);
    address.family = len == 4 ? AF_INET : AF_INET6;
    size_t found = len ? dns_names_of(s->jail->names, &address, text) : 0;
    if (!found) {
        a->rcode = DNS_NXDOMAIN;
        return;
    }
    if (q->type != DNS_PTR)
        return;
    a->type = DNS_PTR;
    dns_answer_name(a, slice_of(text, found));
}

/* Length of the response; 0: none. */
static size_t answer(struct dns_server *s, struct slice message, bool udp, uint8_t *ret, size_t size)
{
    struct dns_query q;
    struct dns_answer a = {.ttl = TTL_SECONDS};
    int fault = dns_parse(message, &q);
    if (fault < 0)
        return 0;
    struct slice name = slice_of(q.name, q.name_len);
    if (fault > 0)
        a.rcode = (enum dns_rcode)fault;
    else if (!q.host)
        a.rcode = DNS_NXDOMAIN;
    else if (slice_ends(name, SLICE(".arpa")))
        answer_reverse(s, &q, name, &a);
    else if (name.len)
        answer_address(s, &q, name, &a);
    size_t limit = !udp ? size : q.udp_size < DNS_MESSAGE_BYTES ? q.udp_size : DNS_MESSAGE_BYTES;
    return dns_write(message, &q, &a, limit, ret, size);
}

/* --- UDP --- */

union control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* The answer comes from the address that was asked, whatever that was: programs drop any other.  The control
 * message that told it is the one that sets it, but for what names an interface. */
static void answer_from_there(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            info = (struct in_pktinfo){.ipi_spec_dst = info.ipi_addr};
            memcpy(CMSG_DATA(c), &info, sizeof info);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            info.ipi6_ifindex = 0;
            memcpy(CMSG_DATA(c), &info, sizeof info);
        }
    }
}

static bool serve_datagram(struct dns_server *s, int fd)
{
    char message[DNS_MESSAGE_BYTES];
    uint8_t response[DNS_MESSAGE_BYTES];
    struct sockaddr_storage peer;
    union control control;
    struct iovec iov = {message, sizeof message};
    struct msghdr m = {.msg_name = &peer,
                       .msg_namelen = sizeof peer,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR;
    if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return true;
    iov.iov_len = answer(s, slice_of(message, (size_t)n), true, response, sizeof response);
    iov.iov_base = response;
    if (iov.iov_len == 0)
        return true;
    answer_from_there(&m);
    m.msg_flags = 0;
    if (sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        /* lost, as datagrams are: whoever asked asks again */
    }
    return true;
}

/* Whoever else holds a guest's socket can read what we were woken for, or shut it down so that it always
 * wakes us: for nothing, over and over, at the cost of the other tasks. */
static void serve_udp(struct dns_server *s, enum jail_socket which)
{
    unsigned served = 0;
    while (served < DATAGRAMS_A_TURN && serve_datagram(s, s->jail->fds[which]))
        served++;
    s->in_vain = served ? 0 : s->in_vain + 1;
    if (s->jail->guest && s->in_vain > IN_VAIN_MAX)
        loop_io_want(&s->udp[which - JAIL_DNS_UDP4], 0);
}

static void udp4_ready(struct loop_io *io, int events UNUSED)
{
    serve_udp(CONTAINER_OF(io, struct dns_server, udp[0]), JAIL_DNS_UDP4);
}

static void udp6_ready(struct loop_io *io, int events UNUSED)
{
    serve_udp(CONTAINER_OF(io, struct dns_server, udp[1]), JAIL_DNS_UDP6);
}

/* --- TCP (RFC 7766): each message behind its length, several at once --- */

static void accept_more(struct dns_server *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->tcp) && !s->jail->guest; i++)
        if (s->jail->fds[JAIL_DNS_TCP4 + i] >= 0)
            loop_io_want(&s->tcp[i], s->client_count < TCP_CLIENTS ? LOOP_READ : 0);
}

static void drop(struct tcp_client *c)
{
    struct dns_server *s = c->server;
    list_remove(&c->node);
    loop_deadline_clear(&c->idle);
    loop_io_stop(&c->io);
    close(c->fd);
    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
    s->client_count--;
}

/* True when a whole message was there and its answer has room. */
static bool serve_message(struct tcp_client *c)
{
    struct slice in = buf_slice(&c->in);
    uint8_t response[2 + DNS_MESSAGE_BYTES];
    if (in.len < 2 || buf_space(&c->out) < sizeof response)
        return false;
    size_t len = (size_t)(uint8_t)in.ptr[0] << 8 | (uint8_t)in.ptr[1];
    if (len > DNS_MESSAGE_BYTES) { /* no question is that long: what follows would not be understood */
        c->ended = true;
        buf_clear(&c->in);
        return false;
    }
    if (in.len - 2 < len)
        return false;
    size_t n = answer(c->server, slice_of(in.ptr + 2, len), false, response + 2, DNS_MESSAGE_BYTES);
    response[0] = (uint8_t)(n >> 8);
    response[1] = (uint8_t)n;
    buf_consume(&c->in, 2 + len);
    if (n && buf_append(&c->out, slice_of((char *)response, 2 + n)) < 0)
        c->ended = true;
    return true;
}

static bool fill(struct tcp_client *c)
{
    size_t room = buf_space(&c->in);
    char *to = room && !c->ended ? buf_reserve(&c->in, room) : NULL;
    if (!to)
        return true;
    ssize_t n = recv(c->fd, to, room, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        c->ended = true; /* it may still read what it asked for */
    buf_commit(&c->in, (size_t)n);
    return true;
}

static bool flush(struct tcp_client *c)
{
    while (buf_len(&c->out)) {
        struct slice rest = buf_slice(&c->out);
        ssize_t n = send(c->fd, rest.ptr, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        buf_consume(&c->out, (size_t)n);
    }
    return true;
}

static void tcp_ready(struct loop_io *io, int events)
{
    struct tcp_client *c = CONTAINER_OF(io, struct tcp_client, io);
    struct dns_server *s = c->server;
    bool good = !(events & LOOP_READ) || fill(c);
    while (good && serve_message(c))
        good = flush(c);
    if (!good || !flush(c) || (c->ended && buf_len(&c->out) == 0)) {
        drop(c);
        accept_more(s);
        return;
    }
    loop_deadline_after(&c->idle, TCP_IDLE_NS);
    loop_io_want(io,
                 (c->ended || buf_space(&c->in) == 0 ? 0 : LOOP_READ) | (buf_len(&c->out) ? LOOP_WRITE : 0));
}

static void tcp_idle(struct loop_deadline *d)
{
    struct tcp_client *c = CONTAINER_OF(d, struct tcp_client, idle);
    struct dns_server *s = c->server;
    drop(c);
    accept_more(s);
}

static void serve_client(struct dns_server *s, int fd)
{
    struct tcp_client *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    c->server = s;
    c->fd = fd;
    c->in = BUF_INIT(TCP_IN);
    c->out = BUF_INIT(TCP_OUT);
    list_insert(&s->clients, &c->node);
    s->client_count++;
    loop_io_init(&c->io, s->worker->loop, c->fd, tcp_ready);
    loop_deadline_init(&c->idle, s->worker->loop, tcp_idle);
    loop_deadline_after(&c->idle, TCP_IDLE_NS);
    loop_io_want(&c->io, LOOP_READ);
    accept_more(s);
}

static void accept_client(struct dns_server *s, enum jail_socket which)
{
    int fd = accept4(s->jail->fds[which], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        serve_client(s, fd);
}

void dns_server_take(struct dns_server *s, int fd)
{
    if (s && s->client_count < TCP_CLIENTS)
        serve_client(s, fd);
    else
        close(fd);
}

static void tcp4_ready(struct loop_io *io, int events UNUSED)
{
    accept_client(CONTAINER_OF(io, struct dns_server, tcp[0]), JAIL_DNS_TCP4);
}

static void tcp6_ready(struct loop_io *io, int events UNUSED)
{
    accept_client(CONTAINER_OF(io, struct dns_server, tcp[1]), JAIL_DNS_TCP6);
}

/* --- start and end --- */

static void watch(struct dns_server *s, struct loop_io *io, enum jail_socket which,
                  void (*ready)(struct loop_io *, int))
{
    if (s->jail->fds[which] < 0)
        return;
    loop_io_init(io, s->worker->loop, s->jail->fds[which], ready);
    if (!s->jail->guest || which < JAIL_DNS_TCP4) /* of a guest the gate accepts */
        loop_io_want(io, LOOP_READ);
}

struct dns_server *dns_server_new(struct worker *w, struct jail *jail)
{
    struct dns_server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->worker = w;
    s->jail = jail;
    list_init(&s->clients);
    watch(s, &s->udp[0], JAIL_DNS_UDP4, udp4_ready);
    watch(s, &s->udp[1], JAIL_DNS_UDP6, udp6_ready);
    watch(s, &s->tcp[0], JAIL_DNS_TCP4, tcp4_ready);
    watch(s, &s->tcp[1], JAIL_DNS_TCP6, tcp6_ready);
    return s;
}

void dns_server_free(struct dns_server *s)
{
    if (!s)
        return;
    LIST_FOREACH(it, &s->clients)
    drop(LIST_ENTRY(it, struct tcp_client, node));
    for (size_t i = 0; i < ARRAY_LEN(s->udp); i++) {
        if (s->jail->fds[JAIL_DNS_UDP4 + i] >= 0)
            loop_io_stop(&s->udp[i]);
        if (s->jail->fds[JAIL_DNS_TCP4 + i] >= 0)
            loop_io_stop(&s->tcp[i]);
    }
    free(s);
}
