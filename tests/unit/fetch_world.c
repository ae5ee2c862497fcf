#include "fetch_world.h"

#include "base/slice.h"
#include "fetch/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --- a network of our own --- */

static bool bring_lo_up(void)
{
    AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

    return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

/* "local default dev lo": rtnetlink(7). */
static bool route_all_here(unsigned char family)
{
    struct {
        struct nlmsghdr head;
        struct rtmsg route;
        struct rtattr attribute;
        unsigned interface;
    } message = {
        .head = {.nlmsg_len = sizeof message,
                 .nlmsg_type = RTM_NEWROUTE,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK},
        .route = {.rtm_family = family,
                  .rtm_table = RT_TABLE_LOCAL,
                  .rtm_protocol = RTPROT_STATIC,
                  .rtm_scope = RT_SCOPE_HOST,
                  .rtm_type = RTN_LOCAL},
        .attribute = {.rta_len = RTA_LENGTH(sizeof(unsigned)), .rta_type = RTA_OIF},
        .interface = if_nametoindex("lo"),
    };
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char more[256];
    } answer;
    AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0 || send(fd, &message, sizeof message, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0)
        return false;
    return answer.head.nlmsg_type == NLMSG_ERROR && answer.error.error == 0;
}

bool world_enter(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 && unshare(CLONE_NEWNET) < 0)
        return false;
    return bring_lo_up() && route_all_here(AF_INET) && route_all_here(AF_INET6);
}

int world_listen(const char *address, uint16_t port, int backlog, uint16_t *ret_port)
{
    struct fetch_address a;
    struct sockaddr_storage sa;
    socklen_t len;

    if (fetch_address_parse(slice_str(address), port, &a) < 0)
        return -1;
    len = fetch_address_to_sockaddr(&a, &sa);
    AUTO_FD int fd = socket(a.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_IP, IP_FREEBIND, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
        fetch_address_from_sockaddr((struct sockaddr *)&sa, len, &a) < 0)
        return -1;
    *ret_port = a.port;
    return TAKE_FD(fd);
}

/* --- the name server (RFC 1035) --- */

enum { TYPE_A = 1, TYPE_AAAA = 28, RCODE_NXDOMAIN = 3, HEADER_BYTES = 12, MESSAGE_BYTES = 4096 };

struct answer {
    const char *name;
    enum { ANSWER, NXDOMAIN, SILENCE, TRUNCATE } how;
    const char *a[3], *aaaa[2];
    unsigned repeat; /* of a[0], before the others */
};

/* To add a name: a row. */
static const struct answer answers[] = {
    {"good.test", ANSWER, {"93.184.216.34"}, {NULL}, 0},
    {"dual.test", ANSWER, {"93.184.216.34"}, {"2606:2800:220::34"}, 0},
    {"private.test", ANSWER, {"10.0.0.1"}, {NULL}, 0},
    {"loopback.test", ANSWER, {"127.0.0.1"}, {NULL}, 0},
    {"mixed.test", ANSWER, {"93.184.216.34", "10.0.0.1"}, {NULL}, 0},
    {"mixed6.test", ANSWER, {"93.184.216.34"}, {"fd00::1"}, 0},
    {"mapped.test", ANSWER, {NULL}, {"::ffff:169.254.169.254"}, 0},
    {"empty.test", ANSWER, {NULL}, {NULL}, 0},
    {"nx.test", NXDOMAIN, {NULL}, {NULL}, 0},
    {"silent.test", SILENCE, {NULL}, {NULL}, 0},
    {"silent2.test", SILENCE, {NULL}, {NULL}, 0},
    {"long.test", TRUNCATE, {"93.184.216.34", "192.168.0.1"}, {NULL}, 60},
    {"intranet", ANSWER, {"93.184.216.34"}, {NULL}, 0},
};

struct world_dns {
    int udp, tcp, quit[2];
    uint16_t port;
    char csv[32];
    atomic_uint queries;
    pthread_t thread;
};

/* The question's name with dots; the length of the whole question section, or 0. */
static size_t read_question(const uint8_t *m, size_t len, char *ret_name, uint16_t *ret_type)
{
    size_t at = HEADER_BYTES, out = 0;

    while (at < len && m[at]) {
        size_t label = m[at];
        if (label > 63 || at + 1 + label >= len || out + label + 1 > 255)
            return 0;
        if (out)
            ret_name[out++] = '.';
        memcpy(ret_name + out, m + at + 1, label);
        out += label;
        at += 1 + label;
    }
    if (at + 5 > len)
        return 0;
    ret_name[out] = '\0';
    *ret_type = (uint16_t)(m[at + 1] << 8 | m[at + 2]);
    return at + 5 - HEADER_BYTES;
}

static size_t put_record(uint8_t *to, uint16_t type, const char *text)
{
    uint8_t bytes[16];
    uint16_t size = type == TYPE_A ? 4 : 16;
    const uint8_t head[] = {0xc0, HEADER_BYTES, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, (uint8_t)size};

    inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, bytes);
    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, bytes, size);
    return sizeof head + size;
}

static size_t put_records(uint8_t *to, const struct answer *a, uint16_t type, unsigned *ret_count)
{
    size_t len = 0;

    for (unsigned i = 0; type == TYPE_A && i < a->repeat; i++, ++*ret_count)
        len += put_record(to + len, type, a->a[0]);
    for (unsigned i = 0; type == TYPE_A && i < ARRAY_LEN(a->a) && a->a[i]; i++, ++*ret_count)
        len += put_record(to + len, type, a->a[i]);
    for (unsigned i = 0; type == TYPE_AAAA && i < ARRAY_LEN(a->aaaa) && a->aaaa[i]; i++, ++*ret_count)
        len += put_record(to + len, type, a->aaaa[i]);
    return len;
}

static const struct answer *find_answer(const char *name)
{
    static const struct answer unknown = {.how = NXDOMAIN};

    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        if (strcmp(answers[i].name, name) == 0)
            return &answers[i];
    return &unknown;
}

/* The reply's length; 0 for none. */
static size_t reply_to(struct world_dns *d, const uint8_t *query, size_t len, bool tcp, uint8_t *ret)
{
    char name[256];
    uint16_t type;
    unsigned count = 0;

    if (len < HEADER_BYTES)
        return 0;
    size_t question = read_question(query, len, name, &type);
    atomic_fetch_add(&d->queries, 1);
    const struct answer *a = find_answer(name);
    if (!question || a->how == SILENCE)
        return 0;
    bool truncated = a->how == TRUNCATE && !tcp;
    memcpy(ret, query, HEADER_BYTES + question);
    ret[2] = (uint8_t)(0x85 | (truncated ? 2 : 0));
    ret[3] = a->how == NXDOMAIN ? 0x80 | RCODE_NXDOMAIN : 0x80;
    len = HEADER_BYTES + question;
    if (!truncated)
        len += put_records(ret + len, a, type, &count);
    memcpy(ret + 4, (const uint8_t[]){0, 1, 0, (uint8_t)count, 0, 0, 0, 0}, 8);
    return len;
}

static void serve_udp(struct world_dns *d)
{
    uint8_t query[MESSAGE_BYTES], reply[MESSAGE_BYTES];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(d->udp, query, sizeof query, 0, (struct sockaddr *)&from, &from_len);
    size_t len = n > 0 ? reply_to(d, query, (size_t)n, false, reply) : 0;

    if (len && sendto(d->udp, reply, len, 0, (struct sockaddr *)&from, from_len) < 0)
        perror("name server");
}

/* One question a connection: the whole of it is there soon, or never. */
static void serve_tcp(struct world_dns *d)
{
    uint8_t query[MESSAGE_BYTES], reply[2 + MESSAGE_BYTES];
    AUTO_FD int fd = accept4(d->tcp, NULL, NULL, SOCK_CLOEXEC);
    size_t have = 0;

    while (fd >= 0 && (have < 2 || have < 2 + (size_t)(query[0] << 8 | query[1]))) {
        ssize_t n = recv(fd, query + have, sizeof query - have, 0);
        if (n <= 0)
            return;
        have += (size_t)n;
    }
    size_t len = fd >= 0 ? reply_to(d, query + 2, have - 2, true, reply + 2) : 0;
    reply[0] = (uint8_t)(len >> 8);
    reply[1] = (uint8_t)len;
    if (len && send(fd, reply, len + 2, MSG_NOSIGNAL) < 0)
        perror("name server");
}

static void *serve(void *arg)
{
    struct world_dns *d = arg;
    struct pollfd fds[] = {{.fd = d->udp, .events = POLLIN},
                           {.fd = d->tcp, .events = POLLIN},
                           {.fd = d->quit[0], .events = POLLIN}};

    while (poll(fds, ARRAY_LEN(fds), -1) > 0 && !fds[2].revents) {
        if (fds[0].revents)
            serve_udp(d);
        if (fds[1].revents)
            serve_tcp(d);
    }
    return NULL;
}

static int bind_udp(uint16_t port)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 ? TAKE_FD(fd) : -1;
}

struct world_dns *world_dns_start(void)
{
    struct world_dns *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->udp = -1;
    for (int tries = 0; d->udp < 0 && tries < 20; tries++) {
        d->tcp = world_listen("127.0.0.1", 0, 16, &d->port);
        d->udp = bind_udp(d->port);
        if (d->udp < 0)
            close(d->tcp);
    }
    if (d->udp < 0 || pipe(d->quit) < 0 || pthread_create(&d->thread, NULL, serve, d) != 0) {
        free(d);
        return NULL;
    }
    snprintf(d->csv, sizeof d->csv, "127.0.0.1:%u", d->port);
    return d;
}

void world_dns_stop(struct world_dns *d)
{
    if (!d)
        return;
    close(d->quit[1]);
    pthread_join(d->thread, NULL);
    close(d->quit[0]);
    close(d->udp);
    close(d->tcp);
    free(d);
}

const char *world_dns_csv(const struct world_dns *d)
{
    return d->csv;
}

unsigned world_dns_queries(struct world_dns *d)
{
    return atomic_load(&d->queries);
}
