#include "app/proxy_role_guests.h"

#include "app/proxy_role_jails.h"
#include "audit/tally.h"
#include "base/log.h"
#include "proxy/gate.h"

#include <stdio.h>

static void note(const struct proxy_role_guests *r, enum audit_kind kind, const char *task,
                 const char *outcome, const char *detail)
{
    const struct audit_event event = {
        .kind = kind, .task = task, .ns = -1, .outcome = outcome, .detail = detail};
    struct err e;
    if (audit_write_now(r->log, &event, &e) < 0)
        log_error("audit log: %s", e.text);
}

static void reply(const struct proxy_role_guests *r, unsigned id, int result, struct err *e)
{
    const struct ipc_jail_id ready = {id};
    if (result < 0)
        result = ipc_send(r->ipc, IPC_JAIL_REFUSED, slice_str(e->text), NULL, 0, e);
    else
        result = ipc_send(r->ipc, IPC_JAIL_READY, slice_of((const char *)&ready, sizeof ready), NULL, 0, e);
    if (result < 0)
        log_error("%s", e->text);
}

static struct guest_options options_with(const struct proxy_role_guests *r, unsigned id, int bundle)
{
    const struct proxy_policies *p = r->policies;
    return (struct guest_options){
        .id = id, .bundle = bundle, .load = p->load, .site = p->bundle, .budgets = p->budgets};
}

/* Whatever was changed holds from here on, or nobody hears of it. */
static int use(const struct proxy_role_guests *r, struct err *e)
{
    AUTO(proxy_snapshot) *snapshot = NULL;
    if (proxy_policies_snapshot(r->policies, &snapshot, e) < 0)
        return -1;
    proxy_reload(r->proxy, snapshot);
    return 0;
}

/* --- one comes --- */

static void forget(const struct proxy_role_guests *r, unsigned id)
{
    struct err e;
    if (proxy_guests_remove(&r->policies->guests, id) && use(r, &e) < 0)
        log_error("a task that has ended is still among the tasks: %s", e.text);
}

static int admit(const struct proxy_role_guests *r, struct ipc_message *m, struct ipc_guest *guest,
                 struct err *e)
{
    struct proxy_guests *guests = &r->policies->guests;
    AUTO_FD int bundle = TAKE_FD(m->fds[0]);
    struct guest_options o = options_with(r, guest->jail.id, bundle);
    o.task = guest->jail.task;
    o.uid = guest->uid;
    o.mode = (enum config_mode)guest->mode;
    if (proxy_guests_add(guests, &o, e) < 0)
        return -1;
    if (use(r, e) == 0 && proxy_role_serve_jail(r->proxy, r->workers, &guest->jail, guest, m, 1, e) == 0)
        return 0;
    forget(r, guest->jail.id);
    return -1;
}

/* What listened when the supervisor looked may be a connection by now, with something to send. */
static void close_sockets(struct ipc_message *m)
{
    for (size_t i = 0; i < m->fd_count; i++)
        if (m->fds[i] >= 0)
            gate_close_at_once(m->fds[i]);
    ipc_message_close(m);
}

static void take_new(const struct proxy_role_guests *r, struct ipc_message *m)
{
    struct ipc_guest guest = {.uid = 0};
    struct err e = {0};
    int result = ipc_payload(m, &guest, sizeof guest) < 0 ? err_set(&e, "malformed message") : 0;
    guest.jail.task[sizeof guest.jail.task - 1] = '\0';
    if (result == 0)
        result = admit(r, m, &guest, &e);
    guest.note[sizeof guest.note - 1] = '\0';
    char come[IPC_NOTE_BYTES + 64];
    snprintf(come, sizeof come, "by `control`; says of its jail: %s", guest.note);
    note(r, AUDIT_START, guest.jail.task, result < 0 ? "refused" : NULL, result < 0 ? e.text : come);
    reply(r, guest.jail.id, result, &e);
    close_sockets(m);
}

static void take_policy(const struct proxy_role_guests *r, struct ipc_message *m)
{
    struct ipc_jail_id which = {0};
    struct err e = {0};
    int result = ipc_payload(m, &which, sizeof which) < 0 ? err_set(&e, "malformed message") : 0;
    const struct guest_options o = options_with(r, which.id, m->fds[0]);
    if (result == 0 && (proxy_guests_change(&r->policies->guests, &o, &e) < 0 || use(r, &e) < 0))
        result = -1;
    note(r, AUDIT_RELOAD, proxy_guests_task(&r->policies->guests, which.id), result < 0 ? "refused" : NULL,
         result < 0 ? e.text : NULL);
    reply(r, which.id, result, &e);
}

void proxy_role_take_guest(const struct proxy_role_guests *r, struct ipc_message *m)
{
    if (m->type == IPC_GUEST)
        take_new(r, m);
    else
        take_policy(r, m);
}

/* --- and goes --- */

static void say_left(const struct proxy_role_guests *r, unsigned id, struct audit_tally *tally)
{
    struct ipc_guest_left left;
    struct err e;
    memset(&left, 0, sizeof left);
    left.id = id;
    left.allowed = atomic_load(&tally->allowed);
    left.blocked = atomic_load(&tally->blocked);
    left.would_block = atomic_load(&tally->would_block);
    left.sent = atomic_load(&tally->sent);
    left.tunnels = atomic_load(&tally->tunnels);
    left.tunnels_out = atomic_load(&tally->tunnels_out);
    left.tunnels_in = atomic_load(&tally->tunnels_in);
    for (size_t i = 0; i < REASON_COUNT; i++)
        left.by_reason[i] = atomic_load(&tally->by_reason[i]);
    audit_head(r->log, &left.seq, left.hash);
    if (ipc_send(r->ipc, IPC_GUEST_LEFT, slice_of((const char *)&left, sizeof left), NULL, 0, &e) < 0)
        log_error("%s", e.text);
}

void proxy_role_guests_left(const struct proxy_role_guests *r)
{
    struct audit_tally tally;
    unsigned id;
    while (proxy_next_left(r->proxy, &id, &tally)) {
        note(r, AUDIT_STOP, proxy_guests_task(&r->policies->guests, id), NULL, "the run has ended");
        forget(r, id);
        say_left(r, id, &tally);
    }
}
