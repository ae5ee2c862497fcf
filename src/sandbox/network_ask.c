/* What those outside ask a jail's namespace: whose a connection is, and what UDP was refused. */
#include "sandbox/netlink.h"
#include "sandbox/network_parts.h"

#include <endian.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>

/* --- sock_diag(7) --- */

static int put_end(const struct sockaddr *a, __be32 address[4], __be16 *ret_port)
{
    const struct sockaddr_in *v4 = (const void *)a;
    const struct sockaddr_in6 *v6 = (const void *)a;
    switch (a->sa_family) {
    case AF_INET:
        memcpy(address, &v4->sin_addr, sizeof v4->sin_addr);
        *ret_port = v4->sin_port;
        return 0;
    case AF_INET6:
        memcpy(address, &v6->sin6_addr, sizeof v6->sin6_addr);
        *ret_port = v6->sin6_port;
        return 0;
    default:
        return -1;
    }
}

struct found {
    uint64_t inode;
};

static void take_socket(void *arg, const struct nlmsghdr *m)
{
    struct found *f = arg;
    const struct inet_diag_msg *d = NLMSG_DATA(m);
    if (m->nlmsg_type == SOCK_DIAG_BY_FAMILY && m->nlmsg_len >= NLMSG_LENGTH(sizeof *d))
        f->inode = d->idiag_inode;
}

int network_inode(int diag, const struct sockaddr *local, const struct sockaddr *remote, uint64_t *ret_inode)
{
    struct inet_diag_req_v2 want = {.sdiag_family = (uint8_t)local->sa_family,
                                    .sdiag_protocol = IPPROTO_TCP,
                                    .idiag_states = UINT32_MAX,
                                    .id = {.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}};
    struct found found = {0};
    struct netlink_request r;
    if (local->sa_family != remote->sa_family ||
        put_end(local, want.id.idiag_src, &want.id.idiag_sport) < 0 ||
        put_end(remote, want.id.idiag_dst, &want.id.idiag_dport) < 0)
        return -1;
    netlink_begin(&r, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_ACK, &want, sizeof want);
    if (netlink_ask(diag, &r, take_socket, &found) < 0 || found.inode == 0)
        return -1;
    *ret_inode = found.inode;
    return 0;
}

/* --- the sets of refused UDP --- */

struct dump {
    sa_family_t family;
    void (*each)(void *arg, const struct network_udp *tried);
    void *arg;
};

static const struct nlattr *inside(const struct nlattr *a, uint16_t type)
{
    return a ? netlink_find(netlink_attributes(a), netlink_attributes_end(a), type) : NULL;
}

/* A key is address and port, each filled up to four bytes; behind it stands the counter. */
static void take_element(const struct dump *d, const struct nlattr *element)
{
    size_t address = d->family == AF_INET ? 4 : 16;
    uint16_t port;
    uint64_t packets = 0;
    const unsigned char *key =
        netlink_value(inside(inside(element, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE), address + sizeof port);
    const void *count = netlink_value(
        inside(inside(inside(element, NFTA_SET_ELEM_EXPR), NFTA_EXPR_DATA), NFTA_COUNTER_PACKETS),
        sizeof packets);
    if (!key)
        return;
    struct network_udp tried = {.family = d->family};
    memcpy(tried.address, key, address);
    memcpy(&port, key + address, sizeof port);
    tried.port = be16toh(port);
    if (count)
        memcpy(&packets, count, sizeof packets);
    tried.datagrams = be64toh(packets);
    d->each(d->arg, &tried);
}

static void take_elements(void *arg, const struct nlmsghdr *m)
{
    const char *end = (const char *)m + m->nlmsg_len;
    const char *at = (const char *)NLMSG_DATA(m) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
    if (m->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM) || at >= end)
        return;
    const struct nlattr *list = netlink_find(at, end, NFTA_SET_ELEM_LIST_ELEMENTS), *element;
    if (!list)
        return;
    end = netlink_attributes_end(list);
    for (at = netlink_attributes(list); (element = netlink_next(&at, end)) != NULL;)
        take_element(arg, element);
}

static int dump_set(int nft, const char *set, struct dump *d)
{
    const struct nfgenmsg inet = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
    struct netlink_request r;
    netlink_begin(&r, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM, NLM_F_REQUEST | NLM_F_DUMP, &inet,
                  sizeof inet);
    netlink_put(&r, NFTA_SET_ELEM_LIST_TABLE, NETWORK_TABLE, sizeof NETWORK_TABLE);
    netlink_put(&r, NFTA_SET_ELEM_LIST_SET, set, strlen(set) + 1);
    return netlink_ask(nft, &r, take_elements, d);
}

int network_udp_tried(int nft, void (*each)(void *arg, const struct network_udp *tried), void *arg,
                      struct err *e)
{
    struct dump v4 = {AF_INET, each, arg}, v6 = {AF_INET6, each, arg};
    if (dump_set(nft, NETWORK_UDP4_SET, &v4) < 0 || dump_set(nft, NETWORK_UDP6_SET, &v6) < 0)
        return err_sys(e, "cannot read what UDP the jail tried");
    return 0;
}
