#include "app/run_publish.h"

#include "app/jailnet.h"
#include "base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void run_publish_tell(const struct policy_jail *jail)
{
    for (size_t i = 0; i < jail->service_count; i++) {
        const struct policy_forward *f = &jail->services[i];
        bool v6 = strchr(f->address, ':') != NULL;
        log_info("service: 127.0.0.1:%u in the jail is %s%s%s:%u of this machine; not inspected", f->port,
                 v6 ? "[" : "", f->address, v6 ? "]" : "", f->host_port);
    }
    for (size_t i = 0; i < jail->publish_count; i++)
        log_info(
            "published: 127.0.0.1:%u of this machine is port %u in the jail; not inspected, and a browser "
            "here is not in the jail: what such a page loads and sends, nobody judges",
            jail->publish[i].host_port, jail->publish[i].port);
}

static int listen_on(uint16_t port)
{
    const struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int on = 1;
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&a, sizeof a) < 0 || listen(fd, SOMAXCONN) < 0)
        return -1;
    return TAKE_FD(fd);
}

int run_publish_open(struct run_publish *p, struct loop *loop, const struct policy_jail *jail, struct err *e)
{
    *p = (struct run_publish){.loop = loop};
    p->ports = calloc(jail->publish_count + 1, sizeof *p->ports);
    if (!p->ports)
        return err_set(e, "no memory");
    for (size_t i = 0; i < jail->publish_count; i++) {
        const struct policy_forward *f = &jail->publish[i];
        int fd = listen_on(f->host_port);
        if (fd < 0)
            return err_sys(e, "publish: 127.0.0.1:%u of this machine; another one: {port: %u, on: PORT}",
                           f->host_port, f->port);
        p->ports[p->count++] = (struct published_port){.all = p, .forward = f, .fd = fd};
    }
    return 0;
}

enum { RETRY_NS = 100000000 };

/* --- sockets of the jail's --- */

static void want(struct run_publish *p, int events)
{
    for (size_t i = 0; i < p->count; i++)
        loop_io_want(&p->ports[i].io, events);
}

static void ask(struct run_publish *p)
{
    if (p->asked || p->stock_count > PUBLISH_STOCK / 2)
        return;
    p->asked = jail_say(p->control, JAIL_WANT_SOCKETS, (int32_t)(PUBLISH_STOCK - p->stock_count)) == 0;
}

static void retry(struct loop_deadline *d)
{
    struct run_publish *p = CONTAINER_OF(d, struct run_publish, retry);
    want(p, LOOP_READ);
}

static void wait_a_little(struct run_publish *p)
{
    want(p, 0);
    loop_deadline_after(&p->retry, RETRY_NS);
}

static bool is_tcp(int fd)
{
    int domain = 0, type = 0;
    socklen_t len = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
           (domain == AF_INET || domain == AF_INET6) &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

void run_publish_stock(struct run_publish *p, struct jail_packet *packet)
{
    p->asked = false;
    for (size_t i = 0; i < packet->fd_count; i++) {
        if (p->serving && p->stock_count < PUBLISH_STOCK && is_tcp(packet->fds[i]))
            p->stock[p->stock_count++] = packet->fds[i];
        else
            close(packet->fds[i]);
    }
    packet->fd_count = 0;
    if (p->serving && p->stock_count)
        want(p, LOOP_READ);
    else if (p->serving)
        wait_a_little(p);
}

/* --- connections --- */

static void accept_one(struct loop_io *io, int events UNUSED)
{
    struct published_port *port = CONTAINER_OF(io, struct published_port, io);
    struct run_publish *p = port->all;
    struct err e;
    if (p->stock_count == 0) {
        want(p, 0); /* until some come */
        ask(p);
        return;
    }
    AUTO_FD int client = accept4(port->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
            wait_a_little(p);
        return;
    }
    AUTO_FD int inside = p->stock[--p->stock_count];
    if (supervisor_relay(p->supervisor, p->jail_id, port->forward, client, inside, &e) < 0)
        log_error("a connection to published port %u: %s", port->forward->host_port, e.text);
    ask(p);
}

void run_publish_serve(struct run_publish *p, struct supervisor *s, unsigned jail_id, int control)
{
    p->supervisor = s;
    p->jail_id = jail_id;
    p->control = control;
    if (p->count == 0)
        return;
    p->serving = true;
    loop_deadline_init(&p->retry, p->loop, retry);
    for (size_t i = 0; i < p->count; i++)
        loop_io_init(&p->ports[i].io, p->loop, p->ports[i].fd, accept_one);
    want(p, LOOP_READ);
    ask(p);
}

void run_publish_close(struct run_publish *p)
{
    if (p->serving)
        loop_deadline_clear(&p->retry);
    for (size_t i = 0; i < p->count; i++) {
        if (p->serving)
            loop_io_stop(&p->ports[i].io);
        close(p->ports[i].fd);
    }
    while (p->stock_count)
        close(p->stock[--p->stock_count]);
    free(p->ports);
    *p = (struct run_publish){.count = 0};
}
