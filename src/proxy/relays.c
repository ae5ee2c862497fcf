#include "base/clock.h"
#include "base/log.h"
#include "fetch/guard.h"
#include "policy/forward.h"
#include "proxy/jail.h"
#include "proxy/relay_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RETRY_NS = 100000000 };

struct service {
    struct list node;
    struct relays *all;
    struct loop_io io;
    struct loop_deadline retry; /* after EMFILE, as worker.c does */
    struct relay_order order;
};

/* --- whether one may be --- */

enum reason relays_judge(const struct relays *all, const struct relay_order *o)
{
    const struct proxy_snapshot *s = all->worker->snapshot;
    const struct fetch_settings *own = snapshot_fetch_settings(s);
    const struct snapshot_task *t = snapshot_task_named(s, slice_str(all->jail->task));
    bool service = o->kind == RELAY_SERVICE;
    char address[FETCH_ADDRESS_TEXT];
    fetch_address_print(&o->target, address);
    const struct policy_forward f = {
        .address = service ? address : NULL, .port = o->port, .host_port = o->host_port};
    if (!t || !t->policy)
        return REASON_POLICY_UNAVAILABLE;
    if (service && guard_is_listener(&o->target, own->listeners, own->listener_count, NULL))
        return REASON_ADDRESS_BLOCKED;
    return forward_judge(t->policy, service ? FORWARD_SERVICE : FORWARD_PUBLISHED, &f, clock_wall_ms());
}

/* --- listeners in the jail --- */

static void retry_accept(struct loop_deadline *d)
{
    loop_io_want(&CONTAINER_OF(d, struct service, retry)->io, LOOP_READ);
}

/* Who comes while there are as many as there may be waits in the listener's queue. */
static void accept_one(struct loop_io *io, int events UNUSED)
{
    struct service *s = CONTAINER_OF(io, struct service, io);
    const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    if (s->all->count >= RELAYS_MAX) {
        loop_io_want(io, 0);
        return;
    }
    AUTO_FD int target = socket(s->order.target.family, type, 0);
    int client = target < 0 ? -1 : accept4(s->order.from, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client >= 0) {
        relay_begin(s->all, &s->order, client, TAKE_FD(target));
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        loop_io_want(io, 0);
        loop_deadline_after(&s->retry, RETRY_NS);
    }
}

static void serve(struct relays *all, const struct relay_order *o)
{
    struct service *s = calloc(1, sizeof *s);
    if (!s) {
        log_error("no memory for a service of jail %u", all->jail->id);
        close(o->from);
        return;
    }
    s->all = all;
    s->order = *o;
    list_insert(&all->services, &s->node);
    loop_io_init(&s->io, all->worker->loop, o->from, accept_one);
    loop_deadline_init(&s->retry, all->worker->loop, retry_accept);
    loop_io_want(&s->io, LOOP_READ);
}

void relays_stop_listening(struct relays *all)
{
    LIST_FOREACH(it, &all->services)
    {
        struct service *s = LIST_ENTRY(it, struct service, node);
        loop_deadline_clear(&s->retry);
        loop_io_stop(&s->io);
        close(s->order.from);
        list_remove(&s->node);
        free(s);
    }
}

/* --- all of a jail's --- */

void relay_order_clear(struct relay_order *o)
{
    if (o->kind == RELAY_NONE)
        return;
    fd_auto_close(&o->from);
    fd_auto_close(&o->to);
    o->kind = RELAY_NONE;
}

struct relays *relays_new(struct worker *w, struct jail *jail, int ask)
{
    struct relays *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    *all = (struct relays){.worker = w, .jail = jail_ref(jail), .task = jail->state, .ask = ask};
    list_init(&all->services);
    list_init(&all->relays);
    list_insert(&w->relays, &all->node);
    return all;
}

void relays_take(struct relays *all, const struct relay_order *o)
{
    if (o->kind == RELAY_SERVICE)
        serve(all, o);
    else
        relay_begin(all, o, o->from, o->to);
}

static void free_if_over(struct relays *all)
{
    if (!all->leaving || all->held || all->count)
        return;
    list_remove(&all->node);
    jail_free(all->jail);
    free(all);
}

void relays_one_gone(struct relays *all)
{
    if (all->count-- == RELAYS_MAX)
        LIST_FOREACH(it, &all->services)
    loop_io_want(&LIST_ENTRY(it, struct service, node)->io, LOOP_READ);
    free_if_over(all);
}

/* `each` may end the relay that it is given. */
static void walk(struct relays *all, void (*each)(struct relay *r))
{
    all->held = true;
    LIST_FOREACH(it, &all->relays)
    each(LIST_ENTRY(it, struct relay, node));
    all->held = false;
    free_if_over(all);
}

void relays_leave(struct relays *all)
{
    if (!all)
        return;
    relays_stop_listening(all);
    all->leaving = true;
    walk(all, relay_leave);
}

/* --- all of a worker's --- */

static void walk_all(struct worker *w, void (*each)(struct relay *r))
{
    LIST_FOREACH(it, &w->relays)
    walk(LIST_ENTRY(it, struct relays, node), each);
}

static void judge_again(struct relay *r)
{
    enum reason reason = relays_judge(r->all, &r->order);
    if (reason != REASON_NONE)
        relay_cut(r, "block", reason);
}

static void cut_unrecorded(struct relay *r)
{
    relay_cut(r, "block", REASON_AUDIT_UNAVAILABLE);
}

static void cut_at_end(struct relay *r)
{
    relay_cut(r, "allow", REASON_NONE);
}

void relays_judge_again(struct worker *w)
{
    walk_all(w, judge_again);
}

void relays_cut_unrecorded(struct worker *w)
{
    walk_all(w, cut_unrecorded);
}

void relays_free_all(struct worker *w)
{
    walk_all(w, cut_at_end);
}
