#include "sandbox/jail_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct jail_step_row steps[] = {
#define STEP(place, name, what, fix) {JAIL_##place, #name, what, fix},
#include "sandbox/jail_steps.def"
#undef STEP
};

const struct jail_step_row *jail_step_row(enum jail_step s)
{
    return &steps[s];
}

int jail_step_of(const char *name, enum jail_step *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (strcmp(steps[i].name, name) == 0) {
            *ret = (enum jail_step)i;
            return 0;
        }
    return -1;
}

int jail_send(int sock, const void *what, size_t size, const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(JAIL_FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec piece = {.iov_base = (void *)(uintptr_t)what, .iov_len = size};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fd_count) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    ssize_t n;
    while ((n = sendmsg(sock, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return n == (ssize_t)size ? 0 : -1;
}

int jail_say(int sock, enum jail_message_type type, int32_t value)
{
    const struct jail_message m = {.type = type, .value = value};
    return jail_send(sock, &m, sizeof m, NULL, 0);
}

void jail_say_failed(int sock, enum jail_step step, const struct err *e)
{
    struct jail_message m = {.type = JAIL_FAILED, .step = step, .sys = e->sys};
    snprintf(m.text, sizeof m.text, "%s", e->text);
    if (jail_send(sock, &m, sizeof m, NULL, 0) < 0) {
        /* The supervisor is gone; so are we. */
    }
}

static void take_ancillary(struct msghdr *m, struct jail_packet *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(c), sizeof who);
            ret->pid = who.pid;
        }
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        ret->fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret->fds, CMSG_DATA(c), ret->fd_count * sizeof(int));
    }
}

static bool is_sound(const struct jail_packet *p, size_t size)
{
    if (size == sizeof p->setup && p->type == JAIL_SETUP)
        return memchr(p->setup.version, '\0', sizeof p->setup.version) != NULL;
    return size == sizeof p->message && p->type != JAIL_SETUP && p->message.step < JAIL_STEP_COUNT &&
           memchr(p->message.text, '\0', sizeof p->message.text) != NULL;
}

static enum jail_got receive_now(int sock, struct jail_packet *ret, struct err *e)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(JAIL_FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct jail_packet p = {.fd_count = 0};
    struct iovec piece = {.iov_base = &p, .iov_len = offsetof(struct jail_packet, fds)};
    struct msghdr m = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    /* Linux says ECONNRESET, once, ahead of what the other side had sent, where that left messages of ours
     * unread; its last words say why it has ended. */
    ssize_t n;
    while ((n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC)) < 0 && (errno == EINTR || errno == ECONNRESET))
        ;
    if (n == 0)
        return JAIL_END;
    if (n < 0) {
        err_sys(e, "the jail's socket");
        return JAIL_BROKEN;
    }
    take_ancillary(&m, &p);
    if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || !is_sound(&p, (size_t)n)) {
        jail_packet_close(&p);
        err_set(e, "a message that is none");
        return JAIL_BROKEN;
    }
    *ret = p;
    return JAIL_GOT;
}

enum jail_got jail_receive(int sock, int timeout_ms, struct jail_packet *ret, struct err *e)
{
    struct pollfd p = {.fd = sock, .events = POLLIN};
    int n;
    while ((n = poll(&p, 1, timeout_ms)) < 0 && errno == EINTR)
        ;
    if (n == 0)
        return JAIL_LATE;
    if (n < 0) {
        err_sys(e, "the jail's socket");
        return JAIL_BROKEN;
    }
    return receive_now(sock, ret, e);
}

void jail_packet_close(struct jail_packet *p)
{
    for (size_t i = 0; i < p->fd_count; i++)
        if (p->fds[i] >= 0)
            close(p->fds[i]);
    p->fd_count = 0;
}

int jail_test_failure(uint32_t fail UNUSED, enum jail_step now UNUSED, struct err *e UNUSED)
{
#ifdef EXEAT_TEST_HOOKS
    if (fail == now + 1U)
        return err_set(e, "made to fail by a test");
#endif
    return 0;
}
