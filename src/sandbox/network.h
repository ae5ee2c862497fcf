/* The jail's network: a namespace in which every address is its own, so that no packet has a way out.
 *
 * The wall is the absence of an interface; nftables only leads to our listeners what programs try
 * (design: The jail, 2 and 3).  Sources: user_namespaces(7), network_namespaces(7), rtnetlink(7), nft(8),
 * ip(7), ipv6(7), sock_diag(7). */
#pragma once
#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { NETWORK_SERVICES_MAX = 100, NETWORK_SERVICE_LISTENERS = 2 * NETWORK_SERVICES_MAX };
enum { NETWORK_PROXY_PORT = 3128, NETWORK_CAPTURE_PORT = 3129, NETWORK_DNS_PORT = 53 };

/* What of a jail's network is handed to those outside: descriptors of sockets that live in the namespace,
 * close-on-exec and non-blocking.  -1: not there (no IPv6; `network: explicit`). */
struct network {
    int proxy;              /* TCP 127.0.0.1:3128, listening: explicit proxy requests */
    int proxy6;             /* the same on ::1 */
    int capture4, capture6; /* TCP, listening: redirected connections, SO_ORIGINAL_DST tells to where */
    int dns_udp4, dns_udp6; /* UDP port 53 of every address; IP_PKTINFO is set */
    int dns_tcp4, dns_tcp6; /* TCP port 53 of every address, listening */
    int diag;               /* NETLINK_SOCK_DIAG: who has a connection (supervisor) */
    int nft;                /* NETLINK_NETFILTER: what UDP was tried (supervisor) */
    /* TCP, listening: on 127.0.0.1 in the order of the options, then, with IPv6, on ::1 in the same order: programs
     * that say `localhost` try one of them only, some the other. */
    int services[NETWORK_SERVICE_LISTENERS];
    bool ipv6;
};

struct network_options {
    bool explicit_only; /* no capture, no DNS: what does not ask the proxy finds the network unreachable */
    uid_t uid;          /* outside and inside: maps to itself; the process's effective one */
    gid_t gid;
    uint16_t services[NETWORK_SERVICES_MAX]; /* ports of loopback that lead to services of the host */
    size_t service_count;
};

/* In a process with one thread: new user and network namespaces, `lo`, routes, listeners, nftables.  The
 * process keeps its capabilities in the new user namespace until it executes something, and has none to
 * inherit: bubblewrap then starts as the same user without any.
 * Errors say which step failed and what to do (a container, a sysctl, AppArmor, a kernel's module); the
 * process is of no use then but to end. */
MUST_USE int network_enter(const struct network_options *o, struct network *ret, struct err *e);
void network_close(struct network *n); /* all descriptors; safe on one that was set to -1s */
void network_init(struct network *n);  /* all -1 */

/* Hands them over a SOCK_SEQPACKET or SOCK_STREAM socket (SCM_RIGHTS); the sender's stay open.
 * network_receive waits for the message; what it receives is close-on-exec. */
MUST_USE int network_send(int sock, const struct network *n, struct err *e);
MUST_USE int network_receive(int sock, struct network *ret, struct err *e);

/* Of a network that somebody else has sent: its sockets are of the right kinds, listen where they should, and are
 * not of our own namespace.  Whoever sent them still holds them, and may do with them what he likes. */
MUST_USE int network_check(const struct network *n, struct err *e);

/* --- asked from outside, by the user who made the namespace or by root --- */

/* The inode of the TCP socket whose ends are `local` and `remote` as its owner sees them, by one exact
 * look-up: its cost does not grow with the jail's sockets.  -1: there is none, it has no owner any more,
 * or the kernel cannot say (no inet_diag). */
MUST_USE int network_inode(int diag, const struct sockaddr *local, const struct sockaddr *remote,
                           uint64_t *ret_inode);

/* UDP that was refused: one call for each destination, at most NETWORK_UDP_TRIED_MAX for each family (those
 * that came first); `datagrams` counts them. */
enum { NETWORK_UDP_TRIED_MAX = 1024 };
struct network_udp {
    sa_family_t family;
    uint8_t address[16]; /* network order; IPv4 uses the first four */
    uint16_t port;
    uint64_t datagrams;
};
MUST_USE int network_udp_tried(int nft, void (*each)(void *arg, const struct network_udp *tried), void *arg,
                               struct err *e);

/* --- parts, for the tests --- */

/* Fills `e` with what is to be done about a namespace that was refused with e->sys, judged by the files
 * below `root` ("" for the machine itself).  Returns -1 like err_set. */
int network_explain(const char *root, const char *step, struct err *e);
