/* Interface and routes: rtnetlink(7). */
#include "sandbox/netlink.h"
#include "sandbox/network_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <unistd.h>

enum { LO_INDEX = 1 }; /* LOOPBACK_IFINDEX: the first interface of every namespace */

int network_loopback_up(int rtnetlink)
{
    const struct ifinfomsg up = {
        .ifi_family = AF_UNSPEC, .ifi_index = LO_INDEX, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct netlink_request r;
    netlink_begin(&r, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, &up, sizeof up);
    return netlink_ask(rtnetlink, &r, NULL, NULL);
}

/* "local 0.0.0.0/0 dev lo": whatever address a packet is for, it is for this namespace. */
int network_route_everything(int rtnetlink, int family)
{
    const struct rtmsg all = {.rtm_family = (unsigned char)family,
                              .rtm_table = RT_TABLE_LOCAL,
                              .rtm_protocol = RTPROT_STATIC,
                              .rtm_scope = RT_SCOPE_HOST,
                              .rtm_type = RTN_LOCAL};
    const int lo = LO_INDEX;
    struct netlink_request r;
    netlink_begin(&r, RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &all, sizeof all);
    netlink_put(&r, RTA_OIF, &lo, sizeof lo);
    return netlink_ask(rtnetlink, &r, NULL, NULL);
}

/* A host that switched IPv6 off by sysctl hands that on to new namespaces; ours is free to differ, where
 * /proc may be written. */
static void enable_ipv6(void)
{
    AUTO_FD int fd = open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "0", 1) < 0) {
        /* the probe that follows says what came of it */
    }
}

bool network_has_ipv6(void)
{
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    AUTO_FD int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    if (bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0)
        return true;
    enable_ipv6();
    return bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0;
}
