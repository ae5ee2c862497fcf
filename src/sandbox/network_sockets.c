/* The sockets of a jail, as a table. */
#include "sandbox/netlink.h"
#include "sandbox/network_parts.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <unistd.h>

/* Where a listener stands: loopback only, or every address (DNS, whatever server a program asks). */
static const struct listener_row {
    size_t field;
    const char *name;
    int family, type;
    uint16_t port;
    bool everywhere, capture;
} rows[] = {
    {offsetof(struct network, proxy), "proxy", AF_INET, SOCK_STREAM, NETWORK_PROXY_PORT, false, false},
    {offsetof(struct network, proxy6), "proxy", AF_INET6, SOCK_STREAM, NETWORK_PROXY_PORT, false, false},
    {offsetof(struct network, capture4), "capture", AF_INET, SOCK_STREAM, NETWORK_CAPTURE_PORT, false, true},
    {offsetof(struct network, capture6), "capture", AF_INET6, SOCK_STREAM, NETWORK_CAPTURE_PORT, false, true},
    {offsetof(struct network, dns_udp4), "DNS", AF_INET, SOCK_DGRAM, NETWORK_DNS_PORT, true, true},
    {offsetof(struct network, dns_udp6), "DNS", AF_INET6, SOCK_DGRAM, NETWORK_DNS_PORT, true, true},
    {offsetof(struct network, dns_tcp4), "DNS", AF_INET, SOCK_STREAM, NETWORK_DNS_PORT, true, true},
    {offsetof(struct network, dns_tcp6), "DNS", AF_INET6, SOCK_STREAM, NETWORK_DNS_PORT, true, true},
};

static int turn_on(int fd, int level, int option)
{
    const int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on);
}

/* UDP answers must come from the address that was asked: PKTINFO tells and sets it.  IPv6 lets that be an
 * address that no interface has only with FREEBIND (Linux 4.15); IPv4 finds it in the table of local routes.
 */
static int set_options(int fd, const struct listener_row *row)
{
    bool v6 = row->family == AF_INET6, udp = row->type == SOCK_DGRAM;
    if (v6 && turn_on(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0)
        return -1;
    if (udp && v6)
        return turn_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) < 0 ? -1
                                                               : turn_on(fd, IPPROTO_IPV6, IPV6_FREEBIND);
    return udp ? turn_on(fd, IPPROTO_IP, IP_PKTINFO) : 0;
}

static int bind_one(int fd, const struct listener_row *row)
{
    if (row->family == AF_INET) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(row->port)};
        a.sin_addr.s_addr = htonl(row->everywhere ? INADDR_ANY : INADDR_LOOPBACK);
        return bind(fd, (struct sockaddr *)&a, sizeof a);
    }
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(row->port)};
    a.sin6_addr = row->everywhere ? in6addr_any : in6addr_loopback;
    return bind(fd, (struct sockaddr *)&a, sizeof a);
}

/* Neither SO_REUSEPORT nor, for UDP, SO_REUSEADDR: a process of the same user could take a share. */
static int open_one(const struct listener_row *row)
{
    AUTO_FD int fd = socket(row->family, row->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || set_options(fd, row) < 0 || bind_one(fd, row) < 0)
        return -1;
    if (row->type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)
        return -1;
    return TAKE_FD(fd);
}

static int listen_for_services(const struct network_options *o, struct network *n, struct err *e)
{
    size_t count = n->ipv6 ? 2 * o->service_count : o->service_count;
    for (size_t i = 0; i < count; i++) {
        const struct listener_row row = {.family = i < o->service_count ? AF_INET : AF_INET6,
                                         .type = SOCK_STREAM,
                                         .port = o->services[i % o->service_count]};
        n->services[i] = open_one(&row);
        if (n->services[i] < 0)
            return err_sys(e, "cannot open port %u in the jail for `services`; another one: {target: …, port: PORT}",
                           row.port);
    }
    return 0;
}

static int open_netlink(int protocol, const char *name, int *ret, struct err *e)
{
    *ret = netlink_open(protocol);
    return *ret < 0 ? err_sys(e, "cannot open the jail's %s socket", name) : 0;
}

int network_listen(const struct network_options *o, struct network *n, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct listener_row *row = &rows[i];
        if ((row->capture && o->explicit_only) || (row->family == AF_INET6 && !n->ipv6))
            continue;
        int fd = open_one(row);
        if (fd < 0)
            return err_sys(e, "cannot open the jail's %s listener (%s, port %u)", row->name,
                           row->family == AF_INET6 ? "IPv6" : "IPv4", row->port);
        *(int *)(void *)((char *)n + row->field) = fd;
    }
    if (listen_for_services(o, n, e) < 0)
        return -1;
    if (open_netlink(NETLINK_SOCK_DIAG, "sock_diag", &n->diag, e) < 0)
        return -1;
    return o->explicit_only ? 0 : open_netlink(NETLINK_NETFILTER, "nftables", &n->nft, e);
}
