#include "app/jailnet.h"

#include "app/supervisor_internal.h"
#include "app/udp_watch.h"
#include "app/whoasked.h"
#include "base/log.h"
#include "proxy/proxy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { READY_MS = 5000, QUESTIONS_A_TURN = 16 };

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
    struct udp_watch udp;
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

static void tell_udp(void *arg, struct ipc_jail_udp *tried)
{
    const struct jailnet *j = arg;
    supervisor_note_udp(j->supervisor, j->id, tried);
}

/* --- its beginning and end --- */

static void jailnet_free(struct jailnet *j)
{
    for (unsigned i = 0; i < j->asker_count; i++) {
        loop_io_stop(&j->askers[i].io);
        close(j->askers[i].fd);
    }
    udp_watch_stop(&j->udp);
    network_close(&j->net);
    list_remove(&j->node);
    free(j);
}

static struct jailnet *jailnet_new(struct supervisor *s, struct network *n)
{
    struct jailnet *j = calloc(1, sizeof *j + s->workers * sizeof j->askers[0]);
    if (!j || udp_watch_start(&j->udp, s->loop, n->nft, tell_udp, j) < 0) {
        network_close(n);
        free(j);
        return NULL;
    }
    j->supervisor = s;
    j->net = *n;
    network_init(n);
    j->id = ++s->jails_so_far;
    list_insert(&s->jails, &j->node);
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

static_assert(JAILNET_SOCKETS == (int)JAIL_SOCKETS, "the places are those of the proxy");

void jailnet_sockets(struct network *n, int *ret[JAILNET_SOCKETS])
{
    int *const sockets[JAIL_SOCKETS] = {
        [JAIL_PROXY4] = &n->proxy,      [JAIL_PROXY6] = &n->proxy6,     [JAIL_CAPTURE4] = &n->capture4,
        [JAIL_CAPTURE6] = &n->capture6, [JAIL_DNS_UDP4] = &n->dns_udp4, [JAIL_DNS_UDP6] = &n->dns_udp6,
        [JAIL_DNS_TCP4] = &n->dns_tcp4, [JAIL_DNS_TCP6] = &n->dns_tcp6,
    };
    memcpy(ret, sockets, sizeof sockets);
}

static int ask_later(struct supervisor *s, unsigned id, bool guest, struct err *e)
{
    struct jail_asked *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(e, "no memory for a jail");
    *a = (struct jail_asked){.id = id, .guest = guest};
    list_insert(&s->jails_asked, &a->node);
    return 0;
}

static int send_jail(struct jailnet *j, const struct ipc_jail *jail, const struct guest_wanted *g,
                     const int *fds, size_t count, struct err *e)
{
    struct ipc *ipc = &j->supervisor->proxy.ipc;
    if (!g)
        return ipc_send(ipc, IPC_JAIL, slice_of((const char *)jail, sizeof *jail), fds, count, e);
    struct ipc_guest guest = {.jail = *jail, .uid = g->uid, .mode = (uint32_t)g->mode};
    snprintf(guest.note, sizeof guest.note, "%s", g->note);
    return ipc_send(ipc, IPC_GUEST, slice_of((const char *)&guest, sizeof guest), fds, count, e);
}

/* What the proxy gets is not kept here: it alone accepts, and the sockets close with it.  `g` NULL: no guest.
 */
static int hand_over(struct jailnet *j, const char *task, const struct guest_wanted *g, struct err *e)
{
    struct supervisor *s = j->supervisor;
    int *sockets[JAIL_SOCKETS];
    struct ipc_jail message;
    int fds[IPC_FDS_MAX];
    size_t count = 0;
    jailnet_sockets(&j->net, sockets);
    if (g)
        fds[count++] = g->bundle;
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
    int result = send_jail(j, &message, g, fds, count + s->workers, e);
    if (result == 0)
        result = ask_later(s, j->id, g != NULL, e);
    for (unsigned i = 0; i < s->workers; i++)
        close(fds[count + i]);
    for (size_t i = 0; i < JAIL_SOCKETS; i++)
        fd_auto_close(sockets[i]);
    return result;
}

static void jail_answered(struct supervisor *s, const struct jail_asked *asked, const struct ipc_message *m)
{
    bool ready = m->type == IPC_JAIL_READY;
    char why[sizeof s->jail_answer.why];
    ipc_text(m, why, sizeof why);
    if (asked->guest) {
        s->guests.answered(s->guests.arg, asked->id, ready ? NULL : why);
        return;
    }
    s->jail_answer = (struct jail_answer){.ready = ready};
    memcpy(s->jail_answer.why, why, sizeof why);
}

void supervisor_jail_answered(struct supervisor *s, const struct ipc_message *m)
{
    struct ipc_guest_left left;
    if (m->type == IPC_GUEST_LEFT) {
        if (ipc_payload(m, &left, sizeof left) == 0 && s->guests.left)
            s->guests.left(s->guests.arg, &left);
        return;
    }
    if (list_empty(&s->jails_asked))
        return;
    struct jail_asked *asked = LIST_ENTRY(s->jails_asked.next, struct jail_asked, node);
    list_remove(&asked->node);
    jail_answered(s, asked, m);
    free(asked);
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

static struct jailnet *begin(struct supervisor *s, struct network *n, struct err *e)
{
    if (s->stopping || !s->watching) {
        network_close(n);
        err_set(e, "exeat is stopping");
        return NULL;
    }
    struct jailnet *j = jailnet_new(s, n);
    if (!j)
        err_set(e, "no memory for a jail");
    return j;
}

int supervisor_add_jail(struct supervisor *s, const char *task, struct network *n, unsigned *ret_id,
                        struct err *e)
{
    struct jailnet *j = begin(s, n, e);
    if (!j)
        return -1;
    if (hand_over(j, task, NULL, e) < 0 || await_ready(j, e) < 0) {
        jailnet_free(j);
        return -1;
    }
    *ret_id = j->id;
    return 0;
}

/* --- guests --- */

void supervisor_hear_guests(struct supervisor *s, const struct guest_calls *calls)
{
    s->guests = *calls;
}

int supervisor_add_guest(struct supervisor *s, const struct guest_wanted *g, struct network *n,
                         unsigned *ret_id, struct err *e)
{
    struct jailnet *j = begin(s, n, e);
    if (!j)
        return -1;
    if (hand_over(j, g->task, g, e) < 0) {
        jailnet_free(j);
        return -1;
    }
    *ret_id = j->id;
    return 0;
}

int supervisor_change_guest(struct supervisor *s, unsigned id, int bundle, struct err *e)
{
    const struct ipc_jail_id which = {id};
    if (ipc_send(&s->proxy.ipc, IPC_GUEST_POLICY, slice_of((const char *)&which, sizeof which), &bundle, 1,
                 e) < 0)
        return -1;
    return ask_later(s, id, true, e);
}

void supervisor_note_udp(struct supervisor *s, unsigned id, struct ipc_jail_udp *tried)
{
    struct err e;
    tried->id = id;
    if (s->proxy.pid != 0 &&
        ipc_send(&s->proxy.ipc, IPC_JAIL_UDP, slice_of((const char *)tried, sizeof *tried), NULL, 0, &e) < 0)
        log_error("the proxy: %s", e.text);
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

static void remove_jail(struct supervisor *s, unsigned id, enum ipc_type how)
{
    LIST_FOREACH(it, &s->jails)
    {
        struct jailnet *j = LIST_ENTRY(it, struct jailnet, node);
        const struct ipc_jail_id gone = {j->id};
        struct err e;
        if (j->id != id)
            continue;
        udp_watch_stop(&j->udp);
        if (s->proxy.pid != 0 && ipc_send(&s->proxy.ipc, how,
                                          slice_of((const char *)&gone, sizeof gone), NULL, 0, &e) < 0)
            log_error("the proxy: %s", e.text);
        jailnet_free(j);
    }
}

void supervisor_remove_jail(struct supervisor *s, unsigned id)
{
    remove_jail(s, id, IPC_JAIL_GONE);
}

void supervisor_cut_guest(struct supervisor *s, unsigned id)
{
    remove_jail(s, id, IPC_GUEST_CUT);
}

void supervisor_free_jails(struct supervisor *s)
{
    LIST_FOREACH(it, &s->jails)
    jailnet_free(LIST_ENTRY(it, struct jailnet, node));
    LIST_FOREACH(it, &s->jails_asked)
    {
        struct jail_asked *asked = LIST_ENTRY(it, struct jail_asked, node);
        list_remove(&asked->node);
        free(asked);
    }
}
