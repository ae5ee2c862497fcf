/* A daemon's proxy, by its `control` socket (app/control.h): the run hands it the policy and the jail's
 * network, and is one of its tasks as long as the connection is there. */
#include "app/files.h"
#include "app/jailnet.h"
#include "app/local_socket.h"
#include "app/reload_say.h"
#include "app/run_server.h"
#include "app/udp_watch.h"
#include "base/log.h"
#include "base/version.h"
#include "policy/jail.h"
#include "tls/roots.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWER_MS = 60000 };

struct guest {
    struct run_server server;
    struct ipc ipc;
    struct loop_io io;
    struct ipc_run_welcome welcome;
    struct trustfiles trust;
    struct network network; /* what is not the daemon's */
    struct udp_watch udp;
    struct reload_place place;
    struct reload_socket *orders;
    struct policy *policy;  /* in force; NULL: the one that it began with */
    struct policy *pending; /* the daemon looks at it */
    struct ipc_guest_left left;
    bool serving, leaving, has_left, over;
};

static struct guest *guest_of(struct run_server *s)
{
    return CONTAINER_OF(s, struct guest, server);
}

/* --- talking --- */

static int await(struct guest *g, enum ipc_type type, struct ipc_message *ret, struct err *e)
{
    const char *socket = g->server.with.o->daemon;
    char text[900];
    switch (ipc_recv(&g->ipc, ANSWER_MS, ret, e)) {
    case IPC_GOT:
        break;
    case IPC_TIMEOUT:
        return err_set(e, "%s: the daemon does not answer (waited %d s)", socket, ANSWER_MS / 1000);
    case IPC_END:
        return err_set(e, "%s: the daemon does not talk to this user, or has ended", socket);
    case IPC_BROKEN:
        return err_wrap(e, "%s: no daemon of this version of exeat", socket);
    }
    if (ret->type == type)
        return 0;
    ipc_text(ret, text, sizeof text);
    ipc_message_close(ret);
    return ret->type == IPC_RUN_REFUSED ? err_set(e, "the daemon at %s refuses: %s", socket, text)
                                        : err_set(e, "%s: the daemon breaks the protocol", socket);
}

static void over(struct guest *g)
{
    const struct run_serving *with = &g->server.with;
    if (g->over)
        return;
    g->over = true;
    if (g->serving)
        loop_io_stop(&g->io);
    if (!g->leaving)
        with->lost(with->arg, "the daemon has gone");
    with->ended(with->arg);
}

/* Nobody would judge or limit them, and the proxy is somebody else's. */
static int check_policy(const struct policy *policy, struct err *e)
{
    const struct policy_jail *jail = policy_jail(policy);
    const struct policy_forward *f = jail->service_count ? jail->services : jail->publish;
    if (jail->service_count + jail->publish_count == 0)
        return 0;
    return err_set(e, "%s:%u:%u: `services` and `publish` go with a run's own proxy, not with --daemon",
                   policy_file(policy), f->line, f->column);
}

static enum config_mode mode_of(const struct run_options *o)
{
    if (!o->mode)
        return CONFIG_MODE_POLICY;
    return strcmp(o->mode, "monitor") == 0 ? CONFIG_MODE_MONITOR : CONFIG_MODE_ENFORCE;
}

/* --- reloading --- */

static void refuse(struct guest *g, const char *why)
{
    reload_say(g->orders, 'e', "not reloaded, what was in force stays in force: %s", why);
    reload_socket_end(g->orders, 2);
}

static void reloaded(struct guest *g, const struct ipc_message *m)
{
    char text[900];
    AUTO(policy) *next = TAKE(g->pending);
    ipc_text(m, text, sizeof text);
    if (m->type == IPC_RUN_REFUSED) {
        refuse(g, text);
        return;
    }
    const struct run_options *o = g->server.with.o;
    reload_say_policy(g->orders, run_task(o), g->policy ? g->policy : o->policy, next);
    reload_say(g->orders, 'i', "reloaded (by the daemon)");
    reload_socket_end(g->orders, 0);
    policy_free(g->policy);
    g->policy = TAKE(next);
}

static void say_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    const struct guest *g = arg;
    reload_say(g->orders, 'e', "%s:%u:%u: %s", file, line, column, message);
}

static int send_policy(struct guest *g, const struct trust_record *texts, struct err *e)
{
    const struct run_options *o = g->server.with.o;
    AUTO(bundle) *bundle = NULL;
    AUTO(policy) *next = NULL;
    if (strcmp(texts->files[0].path, o->policy_name) != 0)
        return err_set(e, "it was started with the policy %s, and not with %s", o->policy_name,
                       texts->files[0].path);
    AUTO_FD int fd = files_pack_policy(texts->files, texts->count, e);
    if (fd < 0 || bundle_open(fd, &bundle, e) < 0)
        return -1;
    const struct load_policy from = {
        .texts = bundle, .file = o->policy_name, .task = run_task(o), .mode = mode_of(o)};
    if (load_policy(&from, say_problem, g, &next, e) < 0 || check_policy(next, e) < 0 ||
        ipc_send(&g->ipc, IPC_RUN_POLICY, SLICE(""), &fd, 1, e) < 0)
        return -1;
    g->pending = TAKE(next);
    return 0;
}

static void on_order(void *arg, enum reload_order order, struct trust_record *texts)
{
    struct guest *g = arg;
    AUTO(trust_record) *mine = texts;
    struct err e;
    if (order == RELOAD_KEEPER)
        refuse(g, "the CA is the daemon's");
    else if (!mine || g->pending || g->leaving)
        refuse(g, !mine ? "no policy came with it" : "it is busy with another one");
    else if (send_policy(g, mine, &e) < 0)
        refuse(g, e.text);
}

static void on_message(struct loop_io *io, int events UNUSED)
{
    struct guest *g = CONTAINER_OF(io, struct guest, io);
    struct ipc_message m;
    switch (ipc_recv(&g->ipc, 0, &m, NULL)) {
    case IPC_TIMEOUT:
        return;
    case IPC_GOT:
        break;
    case IPC_END:
    case IPC_BROKEN:
        over(g);
        return;
    }
    if (g->pending && (m.type == IPC_RUN_POLICY_TAKEN || m.type == IPC_RUN_REFUSED)) {
        reloaded(g, &m);
        return;
    }
    if (m.type == IPC_RUN_LEFT)
        g->has_left = ipc_payload(&m, &g->left, sizeof g->left) == 0;
    ipc_message_close(&m);
    over(g);
}

/* --- the beginning --- */

static int say_hello(struct guest *g, struct err *e)
{
    const struct run_options *o = g->server.with.o;
    const struct files_given empty = {o->policy_name, SLICE("")};
    bool any = o->policy_file_count > 0;
    struct ipc_run_hello hello = {.mode = (uint32_t)mode_of(o)};
    AUTO_FD int policy = files_pack_policy(any ? o->policy_files : &empty, any ? o->policy_file_count : 1, e);
    AUTO_FD int namespace = policy < 0 ? -1 : local_namespace_open(e);
    if (namespace < 0)
        return -1;
    snprintf(hello.version, sizeof hello.version, "%s", version_text());
    int n = snprintf(hello.task, sizeof hello.task, "%s", run_task(o));
    snprintf(hello.note, sizeof hello.note, "%s", g->server.with.note);
    if (n < 0 || (size_t)n >= sizeof hello.task)
        return err_set(e, "the task's name is too long");
    const int fds[] = {policy, namespace};
    return ipc_send(&g->ipc, IPC_RUN_HELLO, slice_of((const char *)&hello, sizeof hello), fds, ARRAY_LEN(fds),
                    e);
}

static int write_trust(struct guest *g, struct slice ca, struct err *e)
{
    AUTO_BUF roots = BUF_INIT(ROOTS_BYTES_MAX);
    if (roots_read_system(&roots, e) < 0 || trustfiles_paths(g->server.with.private, &g->trust, e) < 0)
        return -1;
    return trustfiles_write(g->server.with.private, ca, buf_slice(&roots), e);
}

static int take_welcome(struct guest *g, struct err *e)
{
    struct ipc_message m;
    struct ipc_run_welcome *w = &g->welcome;
    if (await(g, IPC_RUN_WELCOME, &m, e) < 0)
        return -1;
    if (m.payload.len < sizeof *w)
        return err_set(e, "the daemon breaks the protocol");
    memcpy(w, m.payload.ptr, sizeof *w);
    w->task[sizeof w->task - 1] = w->run[sizeof w->run - 1] = w->log[sizeof w->log - 1] =
        w->seal_key[sizeof w->seal_key - 1] = '\0';
    return write_trust(g, slice_skip(m.payload, sizeof *w), e);
}

static int meet(struct guest *g, struct err *e)
{
    const struct run_options *o = g->server.with.o;
    if (check_policy(o->policy, e) < 0)
        return -1;
    AUTO_FD int fd = local_socket_connect(o->daemon, e);
    if (fd < 0 || ipc_open(&g->ipc, fd, IPC_RUN, IPC_SUPERVISOR, e) < 0)
        return -1;
    (void)TAKE_FD(fd);
    return say_hello(g, e) < 0 ? -1 : take_welcome(g, e);
}

/* --- the jail --- */

static int guest_await(struct run_server *s UNUSED, struct err *e UNUSED)
{
    return 0; /* it serves already */
}

static int send_network(struct guest *g, struct network *n, struct err *e)
{
    int *sockets[JAILNET_SOCKETS], fds[JAILNET_SOCKETS];
    struct ipc_run_network wire = {.ipv6 = n->ipv6};
    size_t count = 0;
    jailnet_sockets(n, sockets);
    for (size_t i = 0; i < JAILNET_SOCKETS; i++)
        if (*sockets[i] >= 0) {
            wire.present |= 1u << i;
            fds[count++] = *sockets[i];
        }
    int result =
        ipc_send(&g->ipc, IPC_RUN_NETWORK, slice_of((const char *)&wire, sizeof wire), fds, count, e);
    for (size_t i = 0; i < JAILNET_SOCKETS; i++)
        fd_auto_close(sockets[i]);
    return result;
}

static void tell_udp(void *arg, struct ipc_jail_udp *tried)
{
    struct guest *g = arg;
    if (ipc_send(&g->ipc, IPC_RUN_UDP, slice_of((const char *)tried, sizeof *tried), NULL, 0, NULL) < 0) {
        /* The daemon is gone, which the loop hears too. */
    }
}

static int guest_add(struct run_server *s, struct network *n, const struct policy_jail *jail UNUSED,
                     struct err *e)
{
    struct guest *g = guest_of(s);
    struct ipc_message m;
    g->network = *n;
    network_init(n);
    if (send_network(g, &g->network, e) < 0 || await(g, IPC_RUN_READY, &m, e) < 0)
        return -1;
    ipc_message_close(&m);
    g->ipc.phase = IPC_SERVING;
    g->serving = true;
    loop_io_init(&g->io, s->with.loop, g->ipc.fd, on_message);
    loop_io_want(&g->io, LOOP_READ);
    if (reload_place_make(&g->place, s->state, s->with.id, e) < 0 ||
        reload_socket_open(s->with.loop, g->place.dir, s->with.o->project, on_order, g, &g->orders, e) < 0)
        return -1;
    return udp_watch_start(&g->udp, s->with.loop, g->network.nft, tell_udp, g) < 0 ? err_set(e, "no memory")
                                                                                   : 0;
}

static void guest_publish(struct run_server *s UNUSED, struct run_publish *p UNUSED, int control UNUSED)
{
    /* check_policy: there is nothing */
}

static void guest_remove(struct run_server *s)
{
    udp_watch_stop(&guest_of(s)->udp);
}

/* The daemon answers with what came of it all. */
static void guest_stop(struct run_server *s, bool now)
{
    struct guest *g = guest_of(s);
    g->leaving = true;
    if (!g->serving || now || ipc_send(&g->ipc, IPC_RUN_END, SLICE(""), NULL, 0, NULL) < 0)
        over(g);
}

/* --- the end --- */

static int guest_summary(struct run_server *s, struct run_summary *ret, struct run_head *ret_head,
                         struct err *e)
{
    const struct guest *g = guest_of(s);
    const struct ipc_guest_left *left = &g->left;
    if (!g->has_left)
        return err_set(e, "the daemon did not tell any more what came of this run: see %s", g->welcome.log);
    *ret = (struct run_summary){.allowed = left->allowed,
                                .blocked = left->blocked,
                                .would_block = left->would_block,
                                .sent = left->sent};
    ret->tunnels = (struct run_opaque){left->tunnels, left->tunnels_out, left->tunnels_in};
    memcpy(ret->by_reason, left->by_reason, sizeof ret->by_reason);
    *ret_head = (struct run_head){
        .log = g->welcome.log, .run = g->welcome.run, .seal_key = g->welcome.seal_key, .seq = left->seq};
    memcpy(ret_head->hash, left->hash, sizeof ret_head->hash);
    ret_head->hash[sizeof ret_head->hash - 1] = '\0';
    return 0;
}

static void guest_free(struct run_server *s)
{
    struct guest *g = guest_of(s);
    if (g->serving && !g->over)
        loop_io_stop(&g->io);
    udp_watch_stop(&g->udp);
    network_close(&g->network);
    reload_socket_free(g->orders);
    reload_place_remove(&g->place);
    policy_free(g->policy);
    policy_free(g->pending);
    ipc_close(&g->ipc);
    free(g);
}

static const struct run_server_kind kind = {
    .await = guest_await,
    .add = guest_add,
    .publish = guest_publish,
    .remove = guest_remove,
    .stop = guest_stop,
    .summary = guest_summary,
    .free = guest_free,
};

int run_guest_start(const struct run_serving *with, struct run_server **ret, struct err *e)
{
    struct guest *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(e, "no memory");
    g->server = (struct run_server){.kind = &kind, .with = *with, .state = with->state, .trust = &g->trust};
    network_init(&g->network);
    g->place = RELOAD_PLACE_NONE;
    if (meet(g, e) < 0) {
        guest_free(&g->server);
        return -1;
    }
    g->server.log = g->welcome.log;
    g->server.monitor = mode_of(with->o) == CONFIG_MODE_MONITOR ||
                        (!with->o->mode && policy_mode(with->o->policy) == POLICY_MONITOR);
    *ret = &g->server;
    return 0;
}
