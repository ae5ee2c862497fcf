#include "app/ipc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct header {
    uint32_t type, length;
};

static const struct row {
    const char *name;
    unsigned sender, receivers, phases;
    size_t least, most;
} table[IPC_TYPE_COUNT] = {
#define SUPERVISOR IPC_SUPERVISOR
#define KEEPER     IPC_KEEPER
#define PROXY      IPC_PROXY
#define RUN        IPC_RUN
#define SETUP      IPC_SETUP
#define SERVING    IPC_SERVING
#define STOPPING   IPC_STOPPING
#define MESSAGE(name, sender, receivers, phases, least, most)                                                \
    [IPC_##name] = {#name, (sender), (receivers), (phases), (least), (most)},
#include "app/ipc_messages.def"
#undef MESSAGE
#undef SUPERVISOR
#undef KEEPER
#undef PROXY
#undef RUN
#undef SETUP
#undef SERVING
#undef STOPPING
};

union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
};

const char *ipc_type_name(enum ipc_type t)
{
    return t > IPC_NONE && t < IPC_TYPE_COUNT ? table[t].name : "?";
}

int ipc_open(struct ipc *c, int fd, enum ipc_end self, enum ipc_end peer, struct err *e)
{
    char *buffer = malloc(CAP_IPC_MESSAGE_BYTES);
    if (!buffer)
        return err_set(e, "no memory");
    *c = (struct ipc){.fd = fd, .self = self, .peer = peer, .phase = IPC_SETUP, .buffer = buffer};
    return 0;
}

int ipc_release(struct ipc *c)
{
    int fd = c->fd;
    free(c->buffer);
    *c = (struct ipc){.fd = -1};
    return fd;
}

void ipc_close(struct ipc *c)
{
    if (c->buffer)
        close(ipc_release(c));
}

void ipc_message_close(struct ipc_message *m)
{
    for (size_t i = 0; i < m->fd_count; i++)
        if (m->fds[i] >= 0)
            close(m->fds[i]);
    m->fd_count = 0;
}

/* The one rule for both directions: what we may not send, the peer would take for an attack. */
static const char *forbidden(uint32_t type, unsigned sender, unsigned receiver, unsigned phase, size_t fds)
{
    if (type == IPC_NONE || type >= IPC_TYPE_COUNT)
        return "unknown message";
    const struct row *r = &table[type];
    if (!(r->sender & sender) || !(r->receivers & receiver))
        return "not for this peer to send";
    if (!(r->phases & phase))
        return "not in this phase";
    return fds < r->least || fds > r->most ? "wrong number of descriptors" : NULL;
}

static void attach(struct msghdr *m, union control *control, const int *fds, size_t count)
{
    if (count == 0)
        return;
    size_t bytes = sizeof(int) * count;
    m->msg_control = control;
    m->msg_controllen = CMSG_SPACE(bytes);
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(bytes)};
    memcpy(CMSG_DATA(c), fds, bytes);
}

int ipc_send(struct ipc *c, enum ipc_type type, struct slice payload, const int *fds, size_t fd_count,
             struct err *e)
{
    const char *problem = forbidden(type, c->self, c->peer, c->phase, fd_count);
    if (problem || payload.len > CAP_IPC_MESSAGE_BYTES - sizeof(struct header))
        return err_set(e, "message %s: %s", ipc_type_name(type), problem ? problem : "too long");
    struct header h = {(uint32_t)type, (uint32_t)payload.len};
    struct iovec parts[2] = {{&h, sizeof h}, {(void *)(uintptr_t)payload.ptr, payload.len}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = payload.len ? 2 : 1};
    union control control = {0};
    attach(&m, &control, fds, fd_count);
    ssize_t n;
    do
        n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? err_sys(e, "cannot send message %s", ipc_type_name(type)) : 0;
}

static void collect(struct msghdr *m, struct ipc_message *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && ret->fd_count < IPC_FDS_MAX; i++)
            memcpy(&ret->fds[ret->fd_count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
}

static int judge(const struct ipc *c, const struct msghdr *m, size_t len, struct ipc_message *ret,
                 struct err *e)
{
    struct header h;
    if (len < sizeof h || (m->msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return err_set(e, "malformed message");
    memcpy(&h, c->buffer, sizeof h);
    if (h.length != len - sizeof h)
        return err_set(e, "malformed message");
    const char *problem = forbidden(h.type, c->peer, c->self, c->phase, ret->fd_count);
    if (problem)
        return err_set(e, "message %s: %s", ipc_type_name((enum ipc_type)h.type), problem);
    ret->type = (enum ipc_type)h.type;
    ret->payload = slice_of(c->buffer + sizeof h, h.length);
    return 0;
}

static int wait_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n;
}

enum ipc_result ipc_recv(struct ipc *c, int timeout_ms, struct ipc_message *ret, struct err *e)
{
    int ready = wait_readable(c->fd, timeout_ms);
    if (ready == 0)
        return IPC_TIMEOUT;
    struct iovec part = {c->buffer, CAP_IPC_MESSAGE_BYTES};
    union control control;
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do /* ECONNRESET comes once, ahead of what a peer that left messages of ours unread had sent */
        n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n == 0)
        return IPC_END;
    if (n < 0) {
        err_sys(e, "cannot receive");
        return IPC_BROKEN;
    }
    struct ipc_message got = {0};
    collect(&m, &got);
    if (judge(c, &m, (size_t)n, &got, e) < 0) {
        if (c->broken)
            *c->broken = got;
        else
            ipc_message_close(&got);
        return IPC_BROKEN;
    }
    *ret = got;
    return IPC_GOT;
}

int ipc_payload(const struct ipc_message *m, void *ret, size_t size)
{
    if (m->payload.len != size)
        return -1;
    memcpy(ret, m->payload.ptr, size);
    return 0;
}

void ipc_text(const struct ipc_message *m, char *ret, size_t size)
{
    size_t n = m->payload.len < size - 1 ? m->payload.len : size - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)m->payload.ptr[i];
        ret[i] = (char)(b < 0x20 || b == 0x7f ? '?' : b);
    }
    ret[n] = '\0';
}
