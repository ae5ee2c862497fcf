#include "app/proxy_role_jails.h"

#include "base/log.h"
#include "proxy/relay.h"

#include <stdio.h>

static int take_sockets(const struct ipc_jail *jail, unsigned workers, struct ipc_message *m, size_t first,
                        struct proxy_jail *ret)
{
    size_t next = first;
    if (jail->present >> JAIL_SOCKETS ||
        m->fd_count != first + (size_t)__builtin_popcount(jail->present) + workers)
        return -1;
    for (size_t i = 0; i < JAIL_SOCKETS; i++)
        ret->fds[i] = jail->present & 1u << i ? m->fds[next++] : -1;
    ret->ask = m->fds + next;
    return 0;
}

int proxy_role_serve_jail(struct proxy *p, unsigned workers, const struct ipc_jail *jail,
                          const struct ipc_guest *guest, struct ipc_message *m, size_t first, struct err *e)
{
    struct proxy_jail from = {.guest = guest != NULL, .owner = guest ? guest->uid : 0};
    if (take_sockets(jail, workers, m, first, &from) < 0)
        return err_set(e, "malformed message");
    from.id = jail->id;
    from.ipv6 = jail->ipv6 != 0;
    from.task = slice_str(jail->task);
    m->fd_count = 0; /* taken over */
    return proxy_add_jail(p, &from, e);
}

static int add(struct proxy *p, unsigned workers, struct ipc_message *m, struct ipc_jail *jail, struct err *e)
{
    if (ipc_payload(m, jail, sizeof *jail) < 0)
        return err_set(e, "malformed message");
    jail->task[sizeof jail->task - 1] = '\0';
    return proxy_role_serve_jail(p, workers, jail, NULL, m, 0, e);
}

void proxy_role_add_jail(struct proxy *p, unsigned workers, struct ipc *ipc, struct ipc_message *m)
{
    struct ipc_jail jail;
    struct err e = {0};
    int result = add(p, workers, m, &jail, &e);
    const struct ipc_jail_id id = {jail.id};
    if (result < 0)
        result = ipc_send(ipc, IPC_JAIL_REFUSED, slice_str(e.text), NULL, 0, &e);
    else
        result = ipc_send(ipc, IPC_JAIL_READY, slice_of((const char *)&id, sizeof id), NULL, 0, &e);
    if (result < 0)
        log_error("%s", e.text);
}

void proxy_role_remove_jail(struct proxy *p, const struct ipc_message *m)
{
    struct ipc_jail_id gone;
    if (ipc_payload(m, &gone, sizeof gone) == 0)
        proxy_remove_jail(p, gone.id, m->type == IPC_GUEST_CUT);
}

void proxy_role_forward(struct proxy *p, struct ipc_message *m)
{
    struct ipc_jail_forward f;
    bool service = m->type == IPC_JAIL_SERVICE;
    if (ipc_payload(m, &f, sizeof f) < 0)
        return;
    struct relay_order order = {
        .kind = service ? RELAY_SERVICE : RELAY_PUBLISHED,
        .from = m->fds[0],
        .to = service ? -1 : m->fds[1],
        .port = f.port,
        .host_port = f.host_port,
        .target = {.family = f.v6 ? AF_INET6 : AF_INET, .port = f.host_port},
    };
    memcpy(order.target.bytes, f.address, sizeof order.target.bytes);
    m->fd_count = 0; /* taken over */
    proxy_jail_relay(p, f.id, &order);
}

/* "udp://name:443", "udp://[2001:db8::1]:443" */
static void name_destination(struct proxy *p, unsigned id, const struct fetch_address *a, struct buf *out)
{
    char text[CAP_HOST_BYTES + 1];
    bool literal6 = false;
    if (!proxy_jail_name(p, id, a, text)) {
        fetch_address_print(a, text);
        literal6 = a->family == AF_INET6;
    }
    if (buf_printf(out, literal6 ? "udp://[%s]:%u" : "udp://%s:%u", text, a->port) < 0)
        buf_clear(out);
}

static void note_one(struct proxy *p, struct audit_log *log, unsigned id, const struct ipc_udp *tried)
{
    AUTO_BUF url = BUF_INIT(CAP_HOST_BYTES + 64);
    struct fetch_address to = {.family = tried->v6 ? AF_INET6 : AF_INET, .port = tried->port};
    char detail[64];
    struct err e;
    memcpy(to.bytes, tried->address, sizeof to.bytes);
    name_destination(p, id, &to, &url);
    snprintf(detail, sizeof detail, "%llu datagram%s so far", (unsigned long long)tried->datagrams,
             tried->datagrams == 1 ? "" : "s");
    const struct audit_event event = {.kind = AUDIT_UDP,
                                      .task = proxy_jail_task(p, id),
                                      .verdict = "block",
                                      .reason = REASON_UDP_DENIED,
                                      .url = buf_slice(&url),
                                      .ns = -1,
                                      .detail = detail};
    if (audit_write_now(log, &event, &e) < 0)
        log_error("audit log: %s", e.text);
}

void proxy_role_note_udp(struct proxy *p, struct audit_log *log, const struct ipc_message *m)
{
    struct ipc_jail_udp tried;
    if (ipc_payload(m, &tried, sizeof tried) < 0 || tried.count > IPC_UDP_MAX)
        return;
    for (size_t i = 0; i < tried.count; i++)
        note_one(p, log, tried.id, &tried.at[i]);
}
