#include "app/proxy_role.h"

#include "app/budget_store.h"
#include "app/proxy_policies.h"
#include "app/proxy_role_guests.h"
#include "app/proxy_role_jails.h"
#include "app/role.h"
#include "app/sealer.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/version.h"
#include "fetch/fetch.h"
#include "proxy/proxy.h"
#include "sandbox/lockin.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The order of the descriptors in IPC_PROXY_SETUP. */
enum { FD_BUNDLE, FD_AUDIT, FD_INFLIGHT, FD_BUDGETS, FD_LISTENERS };

struct role_state {
    struct ipc *ipc;
    struct ipc_proxy_setup setup;
    struct ipc_message message; /* the setup's, for its descriptors */
    struct fetch_address listeners[IPC_LISTENERS_MAX];
    struct proxy_policies policies;
    struct audit_log *log;
    struct inflight *inflight;
    struct budget_memory *budgets;
    struct sealer *sealer;
    struct proxy *proxy;
    char note[LOCKIN_NOTE_BYTES];
    int drained;     /* eventfd(2): the last connection is gone */
    int left;        /* the same: those of a guest are */
    int64_t stop_at; /* clock_mono_ns; 0: not stopping */
};

static int receive_setup(struct role_state *r, struct err *e)
{
    struct ipc_message *m = &r->message;
    if (ipc_recv(r->ipc, -1, m, e) != IPC_GOT)
        return err_wrap(e, "no setup");
    if (m->type != IPC_PROXY_SETUP || ipc_payload(m, &r->setup, sizeof r->setup) < 0 ||
        strncmp(r->setup.version, version_text(), sizeof r->setup.version) != 0)
        return err_set(e, "the proxy and exeat are of different versions");
    struct ipc_proxy_setup *s = &r->setup;
    s->run[sizeof s->run - 1] = s->audit_name[sizeof s->audit_name - 1] = s->note[sizeof s->note - 1] = '\0';
    if (s->listeners > IPC_LISTENERS_MAX || s->workers == 0 || s->workers > IPC_WORKERS_MAX ||
        m->fd_count != FD_LISTENERS + s->listeners + s->workers + 1)
        return err_set(e, "malformed setup");
    return 0;
}

/* Their real addresses: a configured port 0 has become another. */
static int read_listeners(struct role_state *r, struct err *e)
{
    for (size_t i = 0; i < r->setup.listeners; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        if (getsockname(r->message.fds[FD_LISTENERS + i], (struct sockaddr *)&sa, &len) < 0)
            return err_sys(e, "listener");
        if (fetch_address_from_sockaddr((struct sockaddr *)&sa, len, &r->listeners[i]) < 0)
            return err_set(e, "listener: not an Internet address");
    }
    return 0;
}

static int make_snapshot(struct role_state *r, struct proxy_snapshot **ret, struct err *e)
{
    struct proxy_policies *p = &r->policies;
    p->listeners = r->listeners;
    p->listener_count = r->setup.listeners;
    p->budgets = budget_memory_budgets(r->budgets);
    return proxy_policies_load(p, r->message.fds[FD_BUNDLE], ret, e);
}

/* What the configuration says of the log counts at the start only. */
static int open_log(struct role_state *r, struct err *e)
{
    const struct config *c = r->policies.load->config;
    const struct audit_options options = {.dir_fd = r->message.fds[FD_AUDIT],
                                          .name = r->setup.audit_name,
                                          .run = r->setup.run,
                                          .rotate = c->audit.rotate,
                                          .keep = c->audit.keep,
                                          .keep_age_ms = c->audit.keep_age_ms,
                                          .full_urls = c->audit.full_urls,
                                          .seal = sealer_ask,
                                          .seal_arg = r->sealer};
    return audit_open(&options, &r->log, e);
}

static int record(struct role_state *r, enum audit_kind kind, const char *outcome, const char *detail,
                  struct err *e)
{
    const struct audit_event event = {.kind = kind, .ns = -1, .outcome = outcome, .detail = detail};
    return audit_write_now(r->log, &event, e);
}

/* A record whose loss stops nothing by itself: the log has become unavailable, and requests get 503. */
static void note(struct role_state *r, enum audit_kind kind, const char *outcome, const char *detail)
{
    struct err e;
    if (record(r, kind, outcome, detail, &e) < 0)
        log_error("audit log: %s", e.text);
}

static void tell_main(int event)
{
    if (eventfd_write(event, 1) < 0) {
        /* Only a full counter fails, and then the main thread has been told. */
    }
}

static void drained(void *arg)
{
    const struct role_state *r = arg;
    tell_main(r->drained);
}

static void left(void *arg)
{
    const struct role_state *r = arg;
    tell_main(r->left);
}

static int make_proxy(struct role_state *r, struct proxy_snapshot *snapshot, struct err *e)
{
    const int *fds = r->message.fds;
    const struct proxy_setup setup = {
        .listeners = fds + FD_LISTENERS,
        .listener_count = r->setup.listeners,
        .workers = r->setup.workers,
        .keepers = fds + FD_LISTENERS + r->setup.listeners,
        .inflight = r->inflight,
        .snapshot = snapshot,
        .drained = drained,
        .left = left,
        .arg = r,
    };
    return proxy_new(&setup, &r->proxy, e);
}

static int prepare(struct role_state *r, struct proxy_snapshot **ret, struct err *e)
{
    if (receive_setup(r, e) < 0 || read_listeners(r, e) < 0)
        return -1;
    if (inflight_map(r->message.fds[FD_INFLIGHT], &r->inflight, e) < 0 ||
        budget_memory_map(r->message.fds[FD_BUDGETS], &r->budgets, e) < 0 ||
        make_snapshot(r, ret, e) < 0)
        return -1;
    if (sealer_new(r->message.fds[r->message.fd_count - 1], &r->sealer, e) < 0)
        return -1;
    r->drained = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->left = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return r->drained < 0 || r->left < 0 ? err_sys(e, "eventfd") : 0;
}

/* How this process is locked in, and what the supervisor says of the jail it serves. */
static int record_start(struct role_state *r, struct err *e)
{
    char detail[LOCKIN_NOTE_BYTES + IPC_NOTE_BYTES + 2];
    snprintf(detail, sizeof detail, "%s%s%s", r->note, r->setup.note[0] ? "; " : "", r->setup.note);
    return record(r, AUDIT_START, NULL, detail, e);
}

static int start(struct role_state *r, struct err *e)
{
    AUTO(proxy_snapshot) *snapshot = NULL;
    io_raise_descriptors(); /* one for each connection, and one for its origin */
    if (prepare(r, &snapshot, e) < 0 || make_proxy(r, snapshot, e) < 0)
        return -1;
    /* From here on threads are started, the log's first: Landlock binds only those that come after it. */
    const struct lockin_paths paths = {.audit_dir = r->message.fds[FD_AUDIT]};
    if (lockin_apply(LOCKIN_PROXY, &paths, r->note, e) < 0 || open_log(r, e) < 0 || record_start(r, e) < 0 ||
        proxy_run(r->proxy, r->log, e) < 0)
        return -1;
    close(r->message.fds[FD_BUNDLE]);
    if (ipc_send(r->ipc, IPC_READY, SLICE(""), NULL, 0, e) < 0)
        return -1;
    r->ipc->phase = IPC_SERVING;
    return 0;
}

/* --- serving --- */

static void reply(struct role_state *r, enum ipc_type type, const char *text)
{
    struct err e;
    if (ipc_send(r->ipc, type, slice_str(text), NULL, 0, &e) < 0)
        log_error("%s", e.text);
}

static void reload(struct role_state *r, const struct ipc_message *m)
{
    AUTO(proxy_snapshot) *snapshot = NULL;
    struct err e;
    if (proxy_policies_load(&r->policies, m->fds[0], &snapshot, &e) < 0) {
        note(r, AUDIT_RELOAD, "refused", e.text);
        reply(r, IPC_RELOAD_REFUSED, e.text);
        return;
    }
    proxy_reload(r->proxy, snapshot);
    char detail[64];
    snprintf(detail, sizeof detail, "generation %llu", (unsigned long long)r->policies.generation);
    note(r, AUDIT_RELOAD, NULL, detail);
    reply(r, IPC_RELOADED, "");
}

static void new_keeper(struct role_state *r, struct ipc_message *m)
{
    if (m->fd_count != r->setup.workers + 1)
        return; /* closed by whoever received them */
    proxy_set_keepers(r->proxy, m->fds);
    sealer_set_keeper(r->sealer, m->fds[r->setup.workers]);
    m->fd_count = 0; /* taken over */
}

static void stop(struct role_state *r, const struct ipc_message *m)
{
    struct ipc_stop order = {0};
    if (ipc_payload(m, &order, sizeof order) < 0 || order.grace_ns < 0)
        order.grace_ns = 0;
    if (r->ipc->phase == IPC_SERVING) {
        r->ipc->phase = IPC_STOPPING;
        proxy_drain(r->proxy);
    }
    r->stop_at = clock_mono_ns() + order.grace_ns;
}

/* --- guests --- */

static struct proxy_role_guests guests_with(struct role_state *r)
{
    return (struct proxy_role_guests){r->proxy, r->ipc, r->log, &r->policies, r->setup.workers};
}

static void guests_left(struct role_state *r)
{
    const struct proxy_role_guests with = guests_with(r);
    eventfd_t told;
    if (eventfd_read(r->left, &told) == 0)
        proxy_role_guests_left(&with);
}

static void handle(struct role_state *r, struct ipc_message *m)
{
    char text[1000];
    switch (m->type) {
    case IPC_RELOAD:
        reload(r, m);
        break;
    case IPC_RELOAD_BROKEN:
        ipc_text(m, text, sizeof text);
        note(r, AUDIT_RELOAD, "refused", text);
        break;
    case IPC_NEW_KEEPER:
        new_keeper(r, m);
        break;
    case IPC_JAIL:
        proxy_role_add_jail(r->proxy, r->setup.workers, r->ipc, m);
        break;
    case IPC_GUEST:
    case IPC_GUEST_POLICY: {
        const struct proxy_role_guests with = guests_with(r);
        proxy_role_take_guest(&with, m);
        break;
    }
    case IPC_JAIL_SERVICE:
    case IPC_JAIL_PUBLISHED:
        proxy_role_forward(r->proxy, m);
        break;
    case IPC_JAIL_UDP:
        proxy_role_note_udp(r->proxy, r->log, m);
        break;
    case IPC_JAIL_GONE:
    case IPC_GUEST_CUT:
        proxy_role_remove_jail(r->proxy, m);
        break;
    case IPC_STOP:
        stop(r, m);
        break;
    default: /* the table lets nothing else through */
        break;
    }
    ipc_message_close(m);
}

static int timeout_ms(const struct role_state *r)
{
    if (!r->stop_at)
        return -1;
    int64_t left = r->stop_at - clock_mono_ns();
    return left <= 0 ? 0 : (int)(left / 1000000) + 1;
}

enum ending { ENDING_STOPPED, ENDING_ORPHANED };

/* Until the last connection of a drained proxy is gone, its time is over, or the supervisor is. */
static enum ending serve(struct role_state *r)
{
    for (;;) {
        struct pollfd polled[] = {{r->ipc->fd, POLLIN, 0}, {r->drained, POLLIN, 0}, {r->left, POLLIN, 0}};
        int n = poll(polled, ARRAY_LEN(polled), timeout_ms(r));
        if (n < 0 && errno != EINTR)
            return ENDING_ORPHANED;
        if (r->stop_at && (n == 0 || (n > 0 && polled[1].revents)))
            return ENDING_STOPPED;
        if (n > 0 && polled[2].revents)
            guests_left(r);
        if (n <= 0 || !polled[0].revents)
            continue;
        struct ipc_message m;
        struct err e = {0};
        enum ipc_result got = ipc_recv(r->ipc, 0, &m, &e);
        if (got == IPC_GOT)
            handle(r, &m);
        else if (got != IPC_TIMEOUT)
            return ENDING_ORPHANED;
    }
}

/* The workers' records come before the `stop` record, and that is the last. */
static void finish(struct role_state *r, enum ending ending)
{
    proxy_stop(r->proxy);
    note(r, AUDIT_STOP, NULL, ending == ENDING_ORPHANED ? "the supervisor is gone" : NULL);
    audit_seal(r->log);
    struct ipc_stopped end = {0};
    audit_head(r->log, &end.seq, end.hash);
    audit_close(r->log);
    proxy_policies_clear(&r->policies);
    if (ending == ENDING_STOPPED &&
        ipc_send(r->ipc, IPC_STOPPED, slice_of((const char *)&end, sizeof end), NULL, 0, NULL) < 0)
        log_warn("the supervisor does not listen");
}

int proxy_role(struct ipc *ipc)
{
    static struct role_state r;
    struct err e = {0};
    r = (struct role_state){.ipc = ipc, .drained = -1, .left = -1};
    proxy_policies_init(&r.policies);
    if (start(&r, &e) < 0)
        return role_fail(ipc, &e);
    enum ending ending = serve(&r);
    finish(&r, ending);
    return ending == ENDING_STOPPED ? 0 : 1;
}
