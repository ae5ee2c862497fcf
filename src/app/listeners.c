#include "app/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

void listener_print(const struct fetch_address *a, char ret[LISTENER_TEXT])
{
    char host[FETCH_ADDRESS_TEXT];
    fetch_address_print(a, host);
    snprintf(ret, LISTENER_TEXT, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, a->port);
}

static int explain(const struct fetch_address *a, struct err *e)
{
    char text[LISTENER_TEXT];
    int why = errno;
    listener_print(a, text);
    switch (why) {
    case EADDRINUSE:
        return err_set(e, "cannot listen on %s: another program does already (`ss -ltnp` shows which)", text);
    case EACCES:
        return err_set(e, "cannot listen on %s: ports below 1024 need root or CAP_NET_BIND_SERVICE", text);
    case EADDRNOTAVAIL:
        return err_set(e, "cannot listen on %s: no interface of this machine has this address", text);
    default:
        errno = why;
        return err_sys(e, "cannot listen on %s", text);
    }
}

/* SO_REUSEADDR for a quick restart; never SO_REUSEPORT, by which another process of the same user could
 * take a share of the connections. */
static int open_one(const struct fetch_address *a, struct fetch_address *ret_bound, struct err *e)
{
    const int on = 1;
    struct sockaddr_storage sa;
    socklen_t len = fetch_address_to_sockaddr(a, &sa);
    AUTO_FD int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return explain(a, e);
    if (a->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        return explain(a, e);
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, SOMAXCONN) < 0)
        return explain(a, e);
    len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return explain(a, e);
    if (fetch_address_from_sockaddr((struct sockaddr *)&sa, len, ret_bound) < 0)
        return err_set(e, "cannot listen: not an Internet address");
    return TAKE_FD(fd);
}

int listeners_open(const struct config *c, struct listeners *ret, struct err *e)
{
    struct listeners l = {0};
    for (; l.count < c->listen_count && l.count < IPC_LISTENERS_MAX; l.count++) {
        l.fds[l.count] = open_one(&c->listen[l.count].address, &l.addresses[l.count], e);
        if (l.fds[l.count] < 0) {
            listeners_close(&l);
            return -1;
        }
    }
    *ret = l;
    return 0;
}

void listeners_close(struct listeners *l)
{
    for (size_t i = 0; i < l->count; i++)
        close(l->fds[i]);
    l->count = 0;
}
