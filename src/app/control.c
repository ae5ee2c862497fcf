#include "app/control.h"

#include "app/closer.h"
#include "app/control_rates.h"
#include "app/jailnet.h"
#include "app/local_socket.h"
#include "app/supervisor_internal.h"
#include "base/io.h"
#include "base/log.h"
#include "base/version.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 200,
    CLIENTS_OF_ONE_USER = 32,
    CLOSING_MAX = 2 * CLIENTS_MAX,
    MESSAGES_A_TURN = 8,
    POLICY_BYTES = 1 << 20
};

/* How long each may take, and how far apart they have to be. */
static const int64_t second = 1000000000;
enum { HELLO_SECONDS = 10, NETWORK_SECONDS = 180, ANSWER_SECONDS = 60, POLICY_SECONDS = 1 };

enum client_state {
    CLIENT_NEW,     /* has said nothing */
    CLIENT_WELCOME, /* builds its jail */
    CLIENT_ASKED,   /* the proxy looks at its policy and network */
    CLIENT_SERVED,
    CLIENT_CHANGING, /* the proxy looks at another policy */
    CLIENT_LEAVING,  /* its connections are cut, its records written */
};

struct client {
    struct list node;
    struct control *control;
    struct ipc ipc;
    struct loop_io io;
    struct loop_deadline late;
    enum client_state state;
    uid_t uid;
    char task[IPC_NAME_BYTES];
    enum config_mode mode;
    int bundle; /* until the proxy has it */
    struct ipc_message strange; /* descriptors that are not what they should be */
    struct closer *closer;      /* of one that is gone */
    char note[IPC_NOTE_BYTES];
    unsigned jail; /* from CLIENT_ASKED on */
    int64_t udp_next, policy_next;
};

struct control {
    struct loop *loop;
    struct supervisor *supervisor;
    struct loop_io io;
    int fd, dir_fd;
    const char *name; /* in the folder */
    char path[IPC_PATH_BYTES];
    struct list clients, closing; /* closing: of those only descriptors are left */
    unsigned count, closing_count;
    struct control_rates *rates;
    struct loop_deadline retry;
};

/* --- the end of one --- */

/* Whatever lies in its socket, or came and was refused, is a stranger's. */
static void close_all(struct client *c)
{
    struct control *all = c->control;
    int fds[1 + IPC_FDS_MAX] = {ipc_release(&c->ipc)};
    memcpy(fds + 1, c->strange.fds, c->strange.fd_count * sizeof(int));
    c->closer = closer_start(fds, 1 + c->strange.fd_count);
    if (!c->closer) {
        free(c);
        return;
    }
    list_insert(&all->closing, &c->node);
    all->closing_count++;
}

static void drop(struct client *c)
{
    if (c->state >= CLIENT_ASKED && c->state < CLIENT_LEAVING)
        supervisor_cut_guest(c->control->supervisor, c->jail);
    loop_deadline_clear(&c->late);
    loop_io_stop(&c->io);
    fd_auto_close(&c->bundle);
    list_remove(&c->node);
    c->control->count--;
    close_all(c);
}

static void forget_closed(struct control *all)
{
    LIST_FOREACH(it, &all->closing)
    {
        struct client *c = LIST_ENTRY(it, struct client, node);
        if (!closer_ended(c->closer))
            continue;
        list_remove(&c->node);
        all->closing_count--;
        free(c);
    }
}

/* What is not closed yet is so when this process ends, at the latest. */
static void leave_closing(struct control *all)
{
    LIST_FOREACH(it, &all->closing)
    {
        struct client *c = LIST_ENTRY(it, struct client, node);
        closer_leave(c->closer);
        free(c);
    }
}

/* One that does not read is not waited for: its socket does not block. */
static int tell(struct client *c, enum ipc_type type, const void *what, size_t size)
{
    struct err e;
    return ipc_send(&c->ipc, type, slice_of(what, size), NULL, 0, &e);
}

static void refuse(struct client *c, const char *why)
{
    if (tell(c, IPC_RUN_REFUSED, why, strlen(why)) < 0) {
        /* it has gone already */
    }
    drop(c);
}

static void on_late(struct loop_deadline *d)
{
    refuse(CONTAINER_OF(d, struct client, late), "this takes too long");
}

/* --- hello --- */

static unsigned count_of(const struct list *clients, uid_t uid)
{
    unsigned n = 0;
    LIST_FOREACH(it, clients)
    n += LIST_ENTRY(it, struct client, node)->uid == uid;
    return n;
}

/* A memfd that nobody can write any more, and no larger than a policy may be. */
static bool is_sealed_text(int fd)
{
    const int wanted = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & wanted) == wanted && fstat(fd, &st) == 0 && st.st_size <= POLICY_BYTES;
}

static int read_hello(struct client *c, struct ipc_message *m, struct err *e)
{
    struct ipc_run_hello hello;
    if (ipc_payload(m, &hello, sizeof hello) < 0 ||
        strncmp(hello.version, version_text(), sizeof hello.version) != 0)
        return err_set(e, "this daemon is another version of exeat (%s)", version_text());
    if (!memchr(hello.task, '\0', sizeof hello.task) || !config_task_name_ok(slice_str(hello.task)))
        return err_set(e, "a task's name has letters, digits, \".\", \"_\" and \"-\" only, at most 63");
    if (hello.mode > CONFIG_MODE_MONITOR || !is_sealed_text(m->fds[0]))
        return err_set(e, "not a policy");
    if (!local_namespace_is_ours(m->fds[1]))
        return err_set(e, "a program in another network namespace is not let in");
    if (!control_rates_start(c->control->rates, c->uid, loop_now(c->control->loop)))
        return err_set(e, "this user starts runs too fast: try again in a moment");
    snprintf(c->task, sizeof c->task, "%u/%s", (unsigned)c->uid, hello.task);
    hello.note[sizeof hello.note - 1] = '\0';
    memcpy(c->note, hello.note, sizeof c->note);
    c->mode = (enum config_mode)hello.mode;
    c->bundle = TAKE_FD(m->fds[0]);
    return 0;
}

/* Absolute, for who works elsewhere. */
static void name_log(const struct supervisor *s, char ret[IPC_PATH_BYTES])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", s->audit_dir);
    ssize_t n = readlink(link, ret, IPC_PATH_BYTES - 1);
    size_t used = n > 0 ? (size_t)n : 0;
    snprintf(ret + used, IPC_PATH_BYTES - used, "%s%s", used ? "/" : "", s->audit_name);
}

static int send_welcome(struct client *c, struct err *e)
{
    struct supervisor *s = c->control->supervisor;
    struct ipc_run_welcome w = {.task = ""};
    AUTO_BUF text = BUF_INIT(CAP_IPC_MESSAGE_BYTES / 2);
    snprintf(w.task, sizeof w.task, "%s", c->task);
    snprintf(w.run, sizeof w.run, "%s", supervisor_run(s));
    name_log(s, w.log);
    snprintf(w.seal_key, sizeof w.seal_key, "%s", supervisor_seal_key(s));
    if (buf_append(&text, slice_of((const char *)&w, sizeof w)) < 0 ||
        io_read_file(supervisor_trust(s)->ca, &text, e) < 0)
        return -1;
    return ipc_send(&c->ipc, IPC_RUN_WELCOME, buf_slice(&text), NULL, 0, e);
}

static int take_hello(struct client *c, struct ipc_message *m, struct err *e)
{
    if (c->state != CLIENT_NEW)
        return err_set(e, "out of turn");
    if (read_hello(c, m, e) < 0 || send_welcome(c, e) < 0)
        return -1;
    c->state = CLIENT_WELCOME;
    loop_deadline_after(&c->late, NETWORK_SECONDS * second);
    return 0;
}

/* --- its jail --- */

/* Those of `m` are the message's until all are what they should be. */
static int place(const struct ipc_run_network *wire, struct ipc_message *m, struct network *ret,
                 struct err *e)
{
    int *sockets[JAILNET_SOCKETS];
    struct network n;
    size_t next = 0;
    if (wire->present >> JAILNET_SOCKETS || m->fd_count != (size_t)__builtin_popcount(wire->present))
        return err_set(e, "it has no network");
    network_init(&n);
    jailnet_sockets(&n, sockets);
    for (size_t i = 0; i < JAILNET_SOCKETS; i++)
        if (wire->present & 1u << i)
            *sockets[i] = m->fds[next++];
    n.ipv6 = wire->ipv6 != 0;
    if (network_check(&n, e) < 0)
        return -1;
    m->fd_count = 0;
    *ret = n;
    return 0;
}

static int take_network(struct client *c, struct ipc_message *m, struct err *e)
{
    struct ipc_run_network wire;
    struct network n;
    if (c->state != CLIENT_WELCOME || ipc_payload(m, &wire, sizeof wire) < 0)
        return err_set(e, "out of turn");
    if (place(&wire, m, &n, e) < 0)
        return -1;
    const struct guest_wanted wanted = {
        .task = c->task, .uid = c->uid, .mode = c->mode, .bundle = c->bundle, .note = c->note};
    if (supervisor_add_guest(c->control->supervisor, &wanted, &n, &c->jail, e) < 0)
        return -1;
    fd_auto_close(&c->bundle);
    c->state = CLIENT_ASKED;
    loop_deadline_after(&c->late, ANSWER_SECONDS * second);
    return 0;
}

/* --- while it is served --- */

/* It tells on itself: so often, and so much for all runs of its user. */
static int take_udp(struct client *c, const struct ipc_message *m, struct err *e)
{
    struct ipc_jail_udp tried;
    int64_t now = loop_now(c->control->loop);
    if (ipc_payload(m, &tried, sizeof tried) < 0 || tried.count > IPC_UDP_MAX)
        return err_set(e, "malformed message");
    if (now < c->udp_next || !control_rates_udp(c->control->rates, c->uid, tried.count, now))
        return 0;
    c->udp_next = now + second / 10;
    supervisor_note_udp(c->control->supervisor, c->jail, &tried);
    return 0;
}

static int take_policy(struct client *c, struct ipc_message *m, struct err *e)
{
    int64_t now = loop_now(c->control->loop);
    if (c->state != CLIENT_SERVED || !is_sealed_text(m->fds[0]))
        return err_set(e, c->state == CLIENT_SERVED ? "not a policy" : "out of turn");
    if (now < c->policy_next) {
        static const char why[] = "too soon after the last one";
        return tell(c, IPC_RUN_REFUSED, why, sizeof why - 1);
    }
    c->policy_next = now + POLICY_SECONDS * second;
    if (supervisor_change_guest(c->control->supervisor, c->jail, m->fds[0], e) < 0)
        return -1;
    c->state = CLIENT_CHANGING;
    loop_deadline_after(&c->late, ANSWER_SECONDS * second);
    return 0;
}

static int take_end(struct client *c, struct err *e)
{
    if (c->state != CLIENT_SERVED && c->state != CLIENT_CHANGING)
        return err_set(e, "out of turn");
    supervisor_remove_jail(c->control->supervisor, c->jail);
    c->state = CLIENT_LEAVING;
    loop_deadline_after(&c->late, ANSWER_SECONDS * second);
    return 0;
}

static int take(struct client *c, struct ipc_message *m, struct err *e)
{
    switch (m->type) {
    case IPC_RUN_HELLO:
        return take_hello(c, m, e);
    case IPC_RUN_NETWORK:
        return take_network(c, m, e);
    case IPC_RUN_UDP:
        return take_udp(c, m, e);
    case IPC_RUN_POLICY:
        return take_policy(c, m, e);
    case IPC_RUN_END:
        return take_end(c, e);
    default: /* the table lets nothing else through */
        return err_set(e, "out of turn");
    }
}

/* False: the client is gone. */
static bool read_one(struct client *c, bool *ret_more)
{
    struct ipc_message m;
    struct err e = {.text = "it breaks the protocol"};
    switch (ipc_recv(&c->ipc, 0, &m, &e)) {
    case IPC_TIMEOUT:
        *ret_more = false;
        return true;
    case IPC_GOT:
        break;
    case IPC_END:
        drop(c);
        return false;
    case IPC_BROKEN:
        refuse(c, e.text);
        return false;
    }
    if (take(c, &m, &e) < 0) {
        c->strange = m;
        refuse(c, e.text);
        return false;
    }
    ipc_message_close(&m); /* what was looked at, and good */
    return true;
}

static void on_message(struct loop_io *io, int events UNUSED)
{
    struct client *c = CONTAINER_OF(io, struct client, io);
    bool more = true;
    for (unsigned i = 0; i < MESSAGES_A_TURN && more; i++)
        if (!read_one(c, &more))
            return;
}

/* --- what the proxy says --- */

static struct client *client_of(struct control *all, unsigned jail)
{
    LIST_FOREACH(it, &all->clients)
    {
        struct client *c = LIST_ENTRY(it, struct client, node);
        if (c->state >= CLIENT_ASKED && c->jail == jail)
            return c;
    }
    return NULL;
}

static void first_answer(struct client *c, const char *why)
{
    if (why) {
        refuse(c, why);
        return;
    }
    if (tell(c, IPC_RUN_READY, "", 0) < 0) {
        drop(c);
        return;
    }
    c->ipc.phase = IPC_SERVING;
    c->state = CLIENT_SERVED;
    loop_deadline_clear(&c->late);
}

static void on_answer(void *arg, unsigned id, const char *why)
{
    struct client *c = client_of(arg, id);
    if (!c || c->state == CLIENT_LEAVING)
        return; /* it has gone meanwhile */
    if (c->state == CLIENT_ASKED) {
        first_answer(c, why);
        return;
    }
    c->state = CLIENT_SERVED;
    loop_deadline_clear(&c->late);
    if ((why ? tell(c, IPC_RUN_REFUSED, why, strlen(why)) : tell(c, IPC_RUN_POLICY_TAKEN, "", 0)) < 0)
        drop(c);
}

static void on_left(void *arg, const struct ipc_guest_left *left)
{
    struct client *c = client_of(arg, left->id);
    if (!c || c->state != CLIENT_LEAVING)
        return;
    if (tell(c, IPC_RUN_LEFT, left, sizeof *left) < 0) {
        /* it has gone already */
    }
    drop(c);
}

/* --- who comes --- */

static struct client *client_new(struct control *all, int fd, uid_t uid, struct err *e)
{
    struct client *c = calloc(1, sizeof *c);
    if (!c || ipc_open(&c->ipc, fd, IPC_SUPERVISOR, IPC_RUN, e) < 0) {
        free(c);
        close(fd);
        return NULL;
    }
    c->ipc.broken = &c->strange;
    c->control = all;
    c->uid = uid;
    c->bundle = -1;
    list_insert(&all->clients, &c->node);
    all->count++;
    loop_io_init(&c->io, all->loop, fd, on_message);
    loop_deadline_init(&c->late, all->loop, on_late);
    return c;
}

static void accept_later(struct control *all)
{
    loop_io_want(&all->io, 0);
    loop_deadline_after(&all->retry, second / 10);
}

static bool has_enough(const struct control *all, uid_t uid)
{
    return count_of(&all->clients, uid) >= CLIENTS_OF_ONE_USER ||
           count_of(&all->closing, uid) >= CLIENTS_OF_ONE_USER;
}

static void on_client(struct loop_io *io, int events UNUSED)
{
    struct control *all = CONTAINER_OF(io, struct control, io);
    uid_t uid;
    struct err e;
    forget_closed(all);
    if (all->closing_count >= CLOSING_MAX) {
        accept_later(all);
        return;
    }
    AUTO_FD int fd = accept4(all->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        accept_later(all);
    if (fd < 0 || local_socket_peer(fd, &uid) < 0)
        return;
    bool full = all->count >= CLIENTS_MAX, his = has_enough(all, uid);
    struct client *c = client_new(all, TAKE_FD(fd), uid, &e);
    if (!c)
        return;
    if (full || his) {
        refuse(c, full ? "as many runs as there may be use this daemon already"
                       : "this user has as many runs as there may be");
        return;
    }
    loop_deadline_after(&c->late, HELLO_SECONDS * second);
    loop_io_want(&c->io, LOOP_READ);
}

static void accept_again(struct loop_deadline *d)
{
    loop_io_want(&CONTAINER_OF(d, struct control, retry)->io, LOOP_READ);
}

/* --- the socket --- */

static int give_to_group(const struct control *c, const char *group, struct err *e)
{
    const struct group *g = group ? getgrnam(group) : NULL;
    if (!group)
        return 0;
    if (!g)
        return err_set(e, "there is no group %s", group);
    return fchownat(c->dir_fd, c->name, (uid_t)-1, g->gr_gid, AT_SYMLINK_NOFOLLOW) < 0
               ? err_sys(e, "%s: cannot give it to group %s", c->name, group)
               : 0;
}

static int open_socket(struct control *c, const struct config *config, struct err *e)
{
    const char *end = strrchr(c->path, '/');
    char folder[IPC_PATH_BYTES];
    snprintf(folder, sizeof folder, "%.*s", end ? (int)(end - c->path) + 1 : 1, end ? c->path : ".");
    c->name = end ? end + 1 : c->path;
    c->dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (c->dir_fd < 0)
        return err_sys(e, "%s", folder);
    c->fd = local_socket_listen(c->dir_fd, c->name, config->control.group ? 0660 : 0666, CLIENTS_MAX, e);
    return c->fd < 0 ? -1 : give_to_group(c, config->control.group, e);
}

int control_open(struct loop *loop, struct supervisor *s, struct control **ret, struct err *e)
{
    const struct config *config = supervisor_load(s)->config;
    *ret = NULL;
    if (!config->control.socket)
        return 0;
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, "no memory");
    *c = (struct control){.loop = loop, .supervisor = s, .fd = -1, .dir_fd = -1};
    list_init(&c->clients);
    list_init(&c->closing);
    c->rates = control_rates_new();
    int n = snprintf(c->path, sizeof c->path, "%s", config->control.socket);
    if (!c->rates)
        err_set(e, "no memory");
    if (!c->rates || n < 0 || (size_t)n >= sizeof c->path || open_socket(c, config, e) < 0) {
        err_wrap(e, "%s:%u:%u: `control`", config->file, config->control.line, config->control.column);
        control_free(c);
        return -1;
    }
    const struct guest_calls calls = {on_answer, on_left, c};
    supervisor_hear_guests(s, &calls);
    io_raise_descriptors(); /* a few for each of them */
    loop_deadline_init(&c->retry, loop, accept_again);
    loop_io_init(&c->io, loop, c->fd, on_client);
    loop_io_want(&c->io, LOOP_READ);
    *ret = c;
    return 0;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    LIST_FOREACH(it, &c->clients)
    drop(LIST_ENTRY(it, struct client, node));
    leave_closing(c);
    if (c->io.loop) {
        loop_deadline_clear(&c->retry);
        loop_io_stop(&c->io);
    }
    if (c->fd >= 0) {
        unlinkat(c->dir_fd, c->name, 0);
        close(c->fd);
    }
    fd_auto_close(&c->dir_fd);
    control_rates_free(c->rates);
    free(c);
}
