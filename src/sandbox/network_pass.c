/* The descriptors of a jail's network, and how they go from one process to another (unix(7), cmsg(3)). */
#include "sandbox/network.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Every descriptor of struct network but the services': the order in which they are sent. */
static const size_t fields[] = {
    offsetof(struct network, proxy),    offsetof(struct network, proxy6),
    offsetof(struct network, capture4), offsetof(struct network, capture6),
    offsetof(struct network, dns_udp4), offsetof(struct network, dns_udp6),
    offsetof(struct network, dns_tcp4), offsetof(struct network, dns_tcp6),
    offsetof(struct network, diag),     offsetof(struct network, nft),
};

enum { FIELDS = ARRAY_LEN(fields) + NETWORK_SERVICE_LISTENERS }; /* at most 253: SCM_RIGHTS in unix(7) */
_Static_assert((int)FIELDS <= 253, "one message");

static int *field(struct network *n, size_t i)
{
    if (i >= ARRAY_LEN(fields))
        return &n->services[i - ARRAY_LEN(fields)];
    return (int *)(void *)((char *)n + fields[i]);
}

void network_init(struct network *n)
{
    n->ipv6 = false;
    for (size_t i = 0; i < FIELDS; i++)
        *field(n, i) = -1;
}

void network_close(struct network *n)
{
    for (size_t i = 0; i < FIELDS; i++)
        fd_auto_close(field(n, i));
    network_init(n);
}

/* --- handing over --- */

struct wire {
    uint32_t magic;   /* both ends are of one build */
    uint16_t present; /* bit i: fields[i] is among the descriptors */
    uint16_t ipv6;
    uint32_t services; /* how many of them follow */
};
enum { WIRE_MAGIC = 0x6a61696c };

int network_send(int sock, const struct network *n, struct err *e)
{
    struct network copy = *n;
    struct wire wire = {.magic = WIRE_MAGIC, .ipv6 = n->ipv6};
    int fds[FIELDS];
    size_t count = 0;
    for (size_t i = 0; i < FIELDS; i++)
        if (*field(&copy, i) >= 0) {
            if (i < ARRAY_LEN(fields))
                wire.present |= (uint16_t)(1u << i);
            else
                wire.services++;
            fds[count++] = *field(&copy, i);
        }
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control = {0};
    struct iovec iov = {&wire, sizeof wire};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(count * sizeof fds[0]);
        *CMSG_FIRSTHDR(&m) = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof fds[0])};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, count * sizeof fds[0]);
    }
    ssize_t sent;
    do
        sent = sendmsg(sock, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof wire ? 0 : err_sys(e, "cannot hand over the jail's network");
}

/* Puts what came into its places; what has none is closed. */
static int place(const struct wire *wire, int *fds, size_t count, struct network *ret)
{
    struct network n;
    size_t next = 0;
    network_init(&n);
    bool fits = wire->magic == WIRE_MAGIC && wire->services <= NETWORK_SERVICE_LISTENERS &&
                (size_t)__builtin_popcount(wire->present) + wire->services == count &&
                wire->present >> ARRAY_LEN(fields) == 0;
    if (!fits) {
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
        return -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(fields) + wire->services; i++)
        if (i >= ARRAY_LEN(fields) || wire->present & 1u << i)
            *field(&n, i) = fds[next++];
    n.ipv6 = wire->ipv6 != 0;
    *ret = n;
    return 0;
}

int network_receive(int sock, struct network *ret, struct err *e)
{
    struct wire wire = {0};
    int fds[FIELDS];
    size_t count = 0;
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control;
    struct iovec iov = {&wire, sizeof wire};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;
    do
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, "cannot take the jail's network over");
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && count == 0) {
            count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(c), count * sizeof(int));
        }
    if (n != (ssize_t)sizeof wire)
        wire.magic = 0;
    return place(&wire, fds, count, ret) < 0 ? err_set(e, "the jail's network did not come over whole") : 0;
}
