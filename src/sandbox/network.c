#include "sandbox/network.h"

#include "sandbox/netlink.h"
#include "sandbox/network_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- user namespace --- */

static int write_file(const char *path, const char *text)
{
    AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* One user and one group, each to itself: user_namespaces(7), "Defining user and group ID mappings". */
static int map_ids(const struct network_options *o)
{
    char uid[64], gid[64];
    snprintf(uid, sizeof uid, "%u %u 1", o->uid, o->uid);
    snprintf(gid, sizeof gid, "%u %u 1", o->gid, o->gid);
    if (write_file("/proc/self/setgroups", "deny") < 0)
        return -1;
    return write_file("/proc/self/uid_map", uid) < 0 ? -1 : write_file("/proc/self/gid_map", gid);
}

/* /proc/self belongs to root while a process is not dumpable (proc(5)), and one that changed its user is not.
 */
static int map_ids_dumpable(const struct network_options *o)
{
    int was = prctl(PR_GET_DUMPABLE);
    if (was == 1)
        return map_ids(o);
    if (was < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
        return -1;
    int result = map_ids(o), why = errno;
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return -1;
    errno = why;
    return result;
}

/* Nothing is handed on by exec: neither ambient nor inheritable (capabilities(7)). */
static int inherit_nothing(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || syscall(SYS_capget, &head, data) < 0)
        return -1;
    data[0].inheritable = data[1].inheritable = 0;
    return (int)syscall(SYS_capset, &head, data);
}

static int make_namespaces(const struct network_options *o, struct err *e)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return network_explain("", "cannot make a user and network namespace", e);
    if (map_ids_dumpable(o) < 0)
        return network_explain("", "cannot map the user into its namespace", e);
    return inherit_nothing() < 0 ? err_sys(e, "cannot drop capabilities") : 0;
}

/* --- network --- */

/* That `lo` comes up is the proof that the namespace is whole (interfaces.md 6). */
static int connect_to_itself(const struct network_options *o, struct network *n, struct err *e)
{
    AUTO_FD int rtnetlink = netlink_open(NETLINK_ROUTE);
    if (rtnetlink < 0 || network_loopback_up(rtnetlink) < 0)
        return network_explain("", "cannot bring the jail's loopback interface up", e);
    n->ipv6 = network_has_ipv6();
    if (o->explicit_only)
        return 0; /* without a route every other address is unreachable */
    if (network_route_everything(rtnetlink, AF_INET) < 0)
        return err_sys(e, "cannot make every IPv4 address the jail's own");
    if (n->ipv6 && network_route_everything(rtnetlink, AF_INET6) < 0)
        return err_sys(e, "cannot make every IPv6 address the jail's own");
    return network_load_rules(e);
}

int network_enter(const struct network_options *o, struct network *ret, struct err *e)
{
    struct network n;
    network_init(&n);
    if (make_namespaces(o, e) < 0)
        return -1;
    if (connect_to_itself(o, &n, e) < 0 || network_listen(o, &n, e) < 0) {
        network_close(&n);
        return -1;
    }
    *ret = n;
    return 0;
}
