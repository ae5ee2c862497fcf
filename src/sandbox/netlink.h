/* Netlink: one request, its answers (netlink(7)).
 *
 * The kernel is the only peer (its port id is 0: anything else is dropped), and still every length is
 * checked.  A request is built in a bounded message; an attribute that does not fit makes the request fail.
 */
#pragma once
#include "base/macros.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NETLINK_REQUEST_BYTES = 512 };

struct netlink_request {
    union {
        struct nlmsghdr head;
        char bytes[NETLINK_REQUEST_BYTES];
    };
    bool overflow;
};

/* A socket of this process's network namespace, close-on-exec; -1 and errno. */
MUST_USE int netlink_open(int protocol);

/* `body` follows the header: struct rtmsg and the like. */
void netlink_begin(struct netlink_request *r, uint16_t type, uint16_t flags, const void *body, size_t len);
void netlink_put(struct netlink_request *r, uint16_t attribute, const void *value, size_t len);

/* Sends it and takes the answer: `each` for every message that is not the end (NULL: none is expected), until
 * the acknowledgement, or the end of a dump.  0, or -1 and errno: the kernel's, ETIME after two seconds. */
MUST_USE int netlink_ask(int fd, struct netlink_request *r, void (*each)(void *arg, const struct nlmsghdr *m),
                         void *arg);

/* Walks attributes: the next one of [*at, end), or NULL.  `*at` starts behind the fixed body. */
const struct nlattr *netlink_next(const char **at, const char *end);
/* Its payload where it has at least `len` bytes, else NULL. */
const void *netlink_value(const struct nlattr *a, size_t len);
/* The first attribute of this type in [at, end), or NULL; the flags of nesting and byte order do not count.
 */
const struct nlattr *netlink_find(const char *at, const char *end, uint16_t type);
static inline const char *netlink_attributes(const struct nlattr *a)
{
    return (const char *)a + NLA_HDRLEN;
}
static inline const char *netlink_attributes_end(const struct nlattr *a)
{
    return (const char *)a + a->nla_len;
}
