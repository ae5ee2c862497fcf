#include "app/jailnet.h"

#include "app/supervisor_internal.h"
#include "app/whoasked.h"
#include "base/log.h"
#include "base/lru.h"
#include "proxy/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READY_MS = 5000,
    UDP_LOOK_NS = 2000000000,
    UDP_SEEN = 2 * NETWORK_UDP_TRIED_MAX,
    QUESTIONS_A_TURN = 16
};

/* A worker's line for questions. */
struct asker {
    struct loop_io io;
    struct jailnet *jail;
    int fd;
};

struct jailnet {
    struct list node; /* of supervisor->jails */
    struct supervisor *supervisor;
    unsigned id;
    struct network net; /* what is kept: diag and nft */
    struct whoasked who;
    struct loop_deadline udp_look;
    struct lru *udp_seen; /* destinations that are on record */
    unsigned asker_count;
    struct asker askers[];
};

/* --- who asked --- */

static void on_question(struct loop_io *io, int events UNUSED)
{
    struct asker *a = CONTAINER_OF(io, struct asker, io);
    for (unsigned i = 0; i < QUESTIONS_A_TURN; i++) {
        struct client_question q;
        struct client_answer answer;
        ssize_t n = recv(a->fd, &q, sizeof q, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n != (ssize_t)sizeof q) { /* the proxy is gone, or is not ours any more: others see to that */
            loop_io_want(io, 0);
            return;
        }
        whoasked_answer(&a->jail->who, &q, &answer);
        if (send(a->fd, &answer, sizeof answer, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return; /* then it is not known */
    }
}

/* --- what UDP was tried --- */

struct report {
    struct jailnet *jail;
    struct ipc_jail_udp message;
};

static void send_report(struct report *r)
{
    struct err e;
    r->message.id = r->jail->id;
    if (r->message.count && ipc_send(&r->jail->supervisor->proxy.ipc, IPC_JAIL_UDP,
                                     slice_of((const char *)&r->message, sizeof r->message), NULL, 0, &e) < 0)
        log_error("the proxy: %s", e.text);
    r->message.count = 0;
}

static void add_tried(void *arg, const struct network_udp *tried)
{
    static char on_record[1];
    struct report *r = arg;
    char key[19];
    key[0] = tried->family == AF_INET6;
    memcpy(key + 1, &tried->port, sizeof tried->port);
    memcpy(key + 3, tried->address, sizeof tried->address);
    struct slice known = slice_of(key, sizeof key);
    if (lru_get(r->jail->udp_seen, known) || lru_put(r->jail->udp_seen, known, on_record) < 0)
        return;
    struct ipc_udp *to = &r->message.at[r->message.count++];
    *to =
        (struct ipc_udp){.datagrams = tried->datagrams, .port = tried->port, .v6 = tried->family == AF_INET6};
    memcpy(to->address, tried->address, sizeof to->address);
    if (r->message.count == IPC_UDP_MAX)
        send_report(r);
}

static void report_udp(struct jailnet *j)
{
    struct report r;
    struct err e;
    if (j->net.nft < 0 || j->supervisor->proxy.pid == 0)
        return;
    memset(&r, 0, sizeof r);
    r.jail = j;
    if (network_udp_tried(j->net.nft, add_tried, &r, &e) < 0)
        log_warn("jail %u: %s", j->id, e.text);
    send_report(&r);
}

static void look_at_udp(struct loop_deadline *d)
{
    report_udp(CONTAINER_OF(d, struct jailnet, udp_look));
    loop_deadline_after(d, UDP_LOOK_NS);
}

/* --- its beginning and end --- */

static void nothing(void *value UNUSED)
{
}

static void jailnet_free(struct jailnet *j)
{
    for (unsigned i = 0; i < j->asker_count; i++) {
        loop_io_stop(&j->askers[i].io);
        close(j->askers[i].fd);
    }
    loop_deadline_clear(&j->udp_look);
    lru_free(j->udp_seen);
    network_close(&j->net);
    list_remove(&j->node);
    free(j);
}

static struct jailnet *jailnet_new(struct supervisor *s, struct network *n)
{
    struct jailnet *j = calloc(1, sizeof *j + s->workers * sizeof j->askers[0]);
    struct lru *seen = j ? lru_new(UDP_SEEN, nothing) : NULL;
    if (!seen) {
        network_close(n);
        free(j);
        return NULL;
    }
    j->supervisor = s;
    j->udp_seen = seen;
    j->net = *n;
    network_init(n);
    j->id = ++s->jails_so_far;
    list_insert(&s->jails, &j->node);
    loop_deadline_init(&j->udp_look, s->loop, look_at_udp);
    whoasked_init(&j->who, j->net.diag);
    return j;
}

static int open_askers(struct jailnet *j, int *ret_theirs, struct err *e)
{
    for (unsigned i = 0; i < j->supervisor->workers; i++) {
        struct asker *a = &j->askers[i];
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
            err_sys(e, "cannot make a socket pair");
            while (i-- > 0)
                close(ret_theirs[i]);
            return -1;
        }
        *a = (struct asker){.jail = j, .fd = pair[0]};
        loop_io_init(&a->io, j->supervisor->loop, a->fd, on_question);
        loop_io_want(&a->io, LOOP_READ);
        j->asker_count++;
        ret_theirs[i] = pair[1];
    }
    return 0;
}

/* What the proxy gets is not kept here: it alone accepts, and the sockets close with it. */
static int hand_over(struct jailnet *j, const char *task, struct err *e)
{
    struct supervisor *s = j->supervisor;
    int *const sockets[JAIL_SOCKETS] = {
        [JAIL_PROXY4] = &j->net.proxy,      [JAIL_PROXY6] = &j->net.proxy6,
        [JAIL_CAPTURE4] = &j->net.capture4, [JAIL_CAPTURE6] = &j->net.capture6,
        [JAIL_DNS_UDP4] = &j->net.dns_udp4, [JAIL_DNS_UDP6] = &j->net.dns_udp6,
        [JAIL_DNS_TCP4] = &j->net.dns_tcp4, [JAIL_DNS_TCP6] = &j->net.dns_tcp6,
    };
    struct ipc_jail message;
    int fds[IPC_FDS_MAX];
    size_t count = 0;
    memset(&message, 0, sizeof message);
    message.id = j->id;
    message.ipv6 = j->net.ipv6;
    int len = snprintf(message.task, sizeof message.task, "%s", task);
    if (len < 0 || (size_t)len >= sizeof message.task)
        return err_set(e, "the task's name is too long");
    for (size_t i = 0; i < JAIL_SOCKETS; i++)
        if (*sockets[i] >= 0) {
            message.present |= 1u << i;
            fds[count++] = *sockets[i];
        }
    if (open_askers(j, fds + count, e) < 0)
        return -1;
    int result = ipc_send(&s->proxy.ipc, IPC_JAIL, slice_of((const char *)&message, sizeof message), fds,
                          count + s->workers, e);
    for (unsigned i = 0; i < s->workers; i++)
        close(fds[count + i]);
    for (size_t i = 0; i < JAIL_SOCKETS; i++)
        fd_auto_close(sockets[i]);
    return result;
}

static int await_ready(struct jailnet *j, struct err *e)
{
    struct supervisor *s = j->supervisor;
    s->jail_answer = (struct jail_answer){.awaited = true};
    while (s->jail_answer.awaited && supervisor_read(s, READY_MS))
        ;
    if (s->jail_answer.awaited)
        return err_set(e, "the proxy does not take the jail's network over");
    return s->jail_answer.ready ? 0 : err_set(e, "%s", s->jail_answer.why);
}

int supervisor_add_jail(struct supervisor *s, const char *task, struct network *n, unsigned *ret_id,
                        struct err *e)
{
    if (s->stopping || !s->watching) {
        network_close(n);
        return err_set(e, "exeat is stopping");
    }
    struct jailnet *j = jailnet_new(s, n);
    if (!j)
        return err_set(e, "no memory for a jail");
    if (hand_over(j, task, e) < 0 || await_ready(j, e) < 0) {
        jailnet_free(j);
        return -1;
    }
    loop_deadline_after(&j->udp_look, UDP_LOOK_NS);
    *ret_id = j->id;
    return 0;
}

/* --- what is not inspected --- */

static int send_forward(struct supervisor *s, enum ipc_type type, unsigned id, const struct policy_forward *f,
                        const int *fds, size_t count, struct err *e)
{
    struct ipc_jail_forward message;
    memset(&message, 0, sizeof message);
    message.id = id;
    message.port = f->port;
    message.host_port = f->host_port;
    message.v6 = f->address && strchr(f->address, ':') != NULL;
    if (f->address && inet_pton(message.v6 ? AF_INET6 : AF_INET, f->address, message.address) != 1)
        return err_set(e, "%s: not an address", f->address);
    return ipc_send(&s->proxy.ipc, type, slice_of((const char *)&message, sizeof message), fds, count, e);
}

int supervisor_add_services(struct supervisor *s, unsigned id, const struct policy_forward *services,
                            size_t count, struct err *e)
{
    LIST_FOREACH(it, &s->jails)
    {
        struct jailnet *j = LIST_ENTRY(it, struct jailnet, node);
        size_t listeners = j->net.ipv6 ? 2 * count : count;
        for (size_t i = 0; j->id == id && i < listeners; i++) {
            if (send_forward(s, IPC_JAIL_SERVICE, id, &services[i % count], &j->net.services[i], 1, e) < 0)
                return -1;
            fd_auto_close(&j->net.services[i]);
        }
    }
    return 0;
}

int supervisor_relay(struct supervisor *s, unsigned id, const struct policy_forward *published, int client,
                     int inside, struct err *e)
{
    const int fds[] = {client, inside};
    return send_forward(s, IPC_JAIL_PUBLISHED, id, published, fds, ARRAY_LEN(fds), e);
}

void supervisor_remove_jail(struct supervisor *s, unsigned id)
{
    LIST_FOREACH(it, &s->jails)
    {
        struct jailnet *j = LIST_ENTRY(it, struct jailnet, node);
        const struct ipc_jail_id gone = {j->id};
        struct err e;
        if (j->id != id)
            continue;
        report_udp(j);
        if (s->proxy.pid != 0 && ipc_send(&s->proxy.ipc, IPC_JAIL_GONE,
                                          slice_of((const char *)&gone, sizeof gone), NULL, 0, &e) < 0)
            log_error("the proxy: %s", e.text);
        jailnet_free(j);
    }
}

void supervisor_free_jails(struct supervisor *s)
{
    LIST_FOREACH(it, &s->jails)
    jailnet_free(LIST_ENTRY(it, struct jailnet, node));
}
