#include "sandbox/netlink.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES = 64 << 10, WAIT_MS = 2000 };

int netlink_open(int protocol)
{
    struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0)
        return -1;
    return TAKE_FD(fd);
}

void netlink_begin(struct netlink_request *r, uint16_t type, uint16_t flags, const void *body, size_t len)
{
    memset(r, 0, sizeof *r);
    r->head = (struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = 1};
    r->overflow = NLMSG_SPACE(len) > sizeof r->bytes;
    if (r->overflow)
        return;
    memcpy(NLMSG_DATA(&r->head), body, len);
    r->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
}

void netlink_put(struct netlink_request *r, uint16_t attribute, const void *value, size_t len)
{
    size_t at = NLMSG_ALIGN(r->head.nlmsg_len);
    if (r->overflow || at + NLA_HDRLEN + NLA_ALIGN(len) > sizeof r->bytes) {
        r->overflow = true;
        return;
    }
    struct nlattr a = {.nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = attribute};
    memcpy(r->bytes + at, &a, sizeof a);
    memcpy(r->bytes + at + NLA_HDRLEN, value, len);
    r->head.nlmsg_len = (uint32_t)(at + NLA_HDRLEN + len);
}

/* 1: the answer is complete, with *ret_error; 0: more follows. */
static int take(const struct nlmsghdr *m, void (*each)(void *, const struct nlmsghdr *), void *arg,
                int *ret_error)
{
    const struct nlmsgerr *end = NLMSG_DATA(m);
    switch (m->nlmsg_type) {
    case NLMSG_ERROR:
        *ret_error = m->nlmsg_len >= NLMSG_LENGTH(sizeof end->error) ? -end->error : EBADMSG;
        return 1;
    case NLMSG_DONE:
        *ret_error = 0;
        return 1;
    default:
        if (each)
            each(arg, m);
        return 0;
    }
}

static ssize_t receive(int fd, void *buffer, size_t size)
{
    struct sockaddr_nl from;
    struct iovec iov = {buffer, size};
    for (;;) {
        struct msghdr h = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1};
        struct pollfd p = {fd, POLLIN, 0};
        int ready = poll(&p, 1, WAIT_MS);
        if (ready == 0)
            errno = ETIME;
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return -1;
        ssize_t n = ready < 0 ? -1 : recvmsg(fd, &h, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n >= 0 && h.msg_flags & MSG_TRUNC) {
            errno = EMSGSIZE;
            return -1;
        }
        if (n < 0 || from.nl_pid == 0)
            return n;
    }
}

/* An answer to an earlier request that timed out must not be taken for this one's. */
static void drop_leftovers(int fd)
{
    char byte;
    while (recv(fd, &byte, sizeof byte, MSG_DONTWAIT) >= 0)
        ;
}

int netlink_ask(int fd, struct netlink_request *r, void (*each)(void *, const struct nlmsghdr *), void *arg)
{
    static _Thread_local union {
        struct nlmsghdr head; /* for its alignment */
        char bytes[ANSWER_BYTES];
    } answer;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int error = 0;
    if (r->overflow) {
        errno = EMSGSIZE;
        return -1;
    }
    drop_leftovers(fd);
    if (sendto(fd, r->bytes, r->head.nlmsg_len, MSG_NOSIGNAL, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        return -1;
    for (bool done = false; !done;) {
        ssize_t n = receive(fd, answer.bytes, sizeof answer.bytes);
        if (n < 0)
            return -1;
        unsigned left = (unsigned)n;
        for (const struct nlmsghdr *m = &answer.head; !done && NLMSG_OK(m, left); m = NLMSG_NEXT(m, left))
            done = take(m, each, arg, &error);
    }
    errno = error;
    return error ? -1 : 0;
}

const struct nlattr *netlink_next(const char **at, const char *end)
{
    const struct nlattr *a = (const void *)*at;
    if (end - *at < (ptrdiff_t)NLA_HDRLEN || a->nla_len < NLA_HDRLEN || a->nla_len > end - *at)
        return NULL;
    ptrdiff_t step = NLA_ALIGN(a->nla_len);
    *at = step < end - *at ? *at + step : end;
    return a;
}

const void *netlink_value(const struct nlattr *a, size_t len)
{
    return a && a->nla_len >= NLA_HDRLEN + len ? (const char *)a + NLA_HDRLEN : NULL;
}

const struct nlattr *netlink_find(const char *at, const char *end, uint16_t type)
{
    const struct nlattr *a;
    while ((a = netlink_next(&at, end)) != NULL)
        if ((a->nla_type & NLA_TYPE_MASK) == type)
            return a;
    return NULL;
}
