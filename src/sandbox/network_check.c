/* A jail's network that somebody else hands over: whether its descriptors are what they should be. */
#include "sandbox/network.h"

#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* asm-generic/socket.h, since Linux 5.14 */
#endif

struct kind {
    int domain, type, protocol;
    bool listens;
};

static int option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

/* -1: this kernel cannot tell. */
static int namespace_of(int fd, uint64_t *ret)
{
    socklen_t len = sizeof *ret;
    return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len);
}

/* Whose it is decides who can connect to it: what lies in our own namespace would make the proxy of this
 * machine's other users. */
static int check_place(int fd, struct err *e)
{
    AUTO_FD int ours = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint64_t here, there;
    if (ours < 0 || namespace_of(ours, &here) < 0 || namespace_of(fd, &there) < 0)
        return err_sys(e, "whose network its sockets are in cannot be told here (it can since Linux 5.14)");
    return here == there ? err_set(e, "its sockets are not those of a jail") : 0;
}

static int check_one(int fd, const struct kind *k, struct err *e)
{
    if (fd < 0)
        return 0;
    if (option(fd, SO_DOMAIN) != k->domain || option(fd, SO_TYPE) != k->type ||
        option(fd, SO_PROTOCOL) != k->protocol || (option(fd, SO_ACCEPTCONN) == 1) != k->listens)
        return err_set(e, "its sockets are not those of a jail");
    return check_place(fd, e);
}

int network_check(const struct network *n, struct err *e)
{
    static const struct kind tcp4 = {AF_INET, SOCK_STREAM, IPPROTO_TCP, true},
                             udp4 = {AF_INET, SOCK_DGRAM, IPPROTO_UDP, false},
                             tcp6 = {AF_INET6, SOCK_STREAM, IPPROTO_TCP, true},
                             udp6 = {AF_INET6, SOCK_DGRAM, IPPROTO_UDP, false};
    if (n->proxy < 0 && n->proxy6 < 0)
        return err_set(e, "it has no network");
    if (check_one(n->proxy, &tcp4, e) < 0 || check_one(n->proxy6, &tcp6, e) < 0 ||
        check_one(n->capture4, &tcp4, e) < 0 || check_one(n->capture6, &tcp6, e) < 0 ||
        check_one(n->dns_udp4, &udp4, e) < 0 || check_one(n->dns_udp6, &udp6, e) < 0 ||
        check_one(n->dns_tcp4, &tcp4, e) < 0)
        return -1;
    return check_one(n->dns_tcp6, &tcp6, e);
}
