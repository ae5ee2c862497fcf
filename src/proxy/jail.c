#include "proxy/jail.h"

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/conn.h"
#include "proxy/dns_names.h"
#include "proxy/dns_server.h"
#include "proxy/gate.h"
#include "proxy/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- the jail, shared by workers and connections --- */

/* A user's runs share his part of the log: a new run does not make it larger.  No task is called "UID/". */
static struct task_state *hold_task(const struct proxy_jail *from, struct task_table *tasks)
{
    char payer[16] = "";
    if (from->guest)
        snprintf(payer, sizeof payer, "%u/", (unsigned)from->owner);
    return task_table_hold(tasks, from->task, slice_str(payer));
}

struct jail *jail_new(const struct proxy_jail *from, struct task_table *tasks, unsigned workers)
{
    struct jail *j = calloc(1, sizeof *j + from->task.len + 1);
    struct dns_names *names = dns_names_new();
    struct task_state *state = hold_task(from, tasks);
    if (!j || !names || !state) {
        free(j);
        dns_names_free(names);
        task_table_release(tasks, state);
        return NULL;
    }
    *j = (struct jail){.refs = 1,
                       .listening = workers,
                       .id = from->id,
                       .ipv6 = from->ipv6,
                       .names = names,
                       .tasks = tasks,
                       .state = state,
                       .guest = from->guest,
                       .owner = from->owner};
    memcpy(j->fds, from->fds, sizeof j->fds);
    memcpy(j->task, from->task.ptr, from->task.len);
    return j;
}

struct jail *jail_ref(struct jail *j)
{
    atomic_fetch_add_explicit(&j->refs, 1, memory_order_relaxed);
    return j;
}

/* What listened when it came may be a connection by now, with something to send. */
static void close_sockets(struct jail *j)
{
    for (size_t i = 0; i < JAIL_SOCKETS; i++) {
        if (j->guest && j->fds[i] >= 0)
            gate_close_at_once(j->fds[i]);
        fd_auto_close(&j->fds[i]);
    }
}

void jail_stops_listening(struct jail *j)
{
    if (atomic_fetch_sub(&j->listening, 1) == 1)
        close_sockets(j);
}

void jail_free(struct jail *j)
{
    if (!j)
        return;
    void (*left)(void *arg) = j->left;
    void *arg = j->left_arg;
    unsigned before = atomic_fetch_sub_explicit(&j->refs, 1, memory_order_acq_rel);
    if (before == 2 && left)
        left(arg);
    if (before != 1)
        return;
    close_sockets(j);
    dns_names_free(j->names);
    task_table_release(j->tasks, j->state);
    free(j);
}

/* --- a worker's part of it --- */

enum { TCP_LISTENERS = JAIL_CAPTURE6 + 1, LOOK_NS = 10000000, LOOKS_MAX = 100 };

struct jail_port {
    struct list node; /* of worker->jails */
    struct worker *worker;
    struct jail *jail;
    struct listener listeners[TCP_LISTENERS];
    struct dns_server *dns; /* NULL: another worker serves it */
    struct relays *relays;  /* NULL: none so far */
    struct loop_io answers; /* of the supervisor */
    int ask;
    bool closed; /* no longer listening */
    struct loop_deadline leave; /* a guest's: looks whether its last connection is gone */
    unsigned looks;
};

static void on_answer(struct loop_io *io, int events UNUSED)
{
    struct jail_port *p = CONTAINER_OF(io, struct jail_port, answers);
    if (!client_take_answers(p->worker, p->ask))
        loop_io_want(&p->answers, 0);
}

static void listen_on(struct jail_port *p, enum jail_socket which)
{
    struct listener *l = &p->listeners[which];
    if (p->jail->fds[which] < 0)
        return;
    worker_listener_init(l, p->worker, p->jail->fds[which]);
    l->jail = p->jail;
    l->capture = which == JAIL_CAPTURE4 || which == JAIL_CAPTURE6;
    l->ask = p->ask;
    if (!p->jail->guest)
        loop_io_want(&l->io, LOOP_READ);
}

static void close_port(struct jail_port *p)
{
    if (p->closed)
        return;
    p->closed = true;
    for (size_t i = 0; i < TCP_LISTENERS; i++)
        if (p->listeners[i].worker && p->jail->guest)
            worker_listener_stop(&p->listeners[i]);
        else if (p->listeners[i].worker)
            worker_listener_finish(&p->listeners[i]);
    dns_server_free(TAKE(p->dns));
    if (p->relays)
        relays_stop_listening(p->relays);
    jail_stops_listening(p->jail);
}

static void free_port(struct jail_port *p)
{
    close_port(p);
    relays_leave(p->relays);
    loop_deadline_clear(&p->leave);
    loop_io_stop(&p->answers);
    close(p->ask);
    jail_free(p->jail);
    list_remove(&p->node);
    free(p);
}

/* Whoever has the other end of a guest's connections may keep it as long as he likes. */
static void cut_connections(struct worker *w, const struct jail *jail)
{
    LIST_FOREACH(it, &w->conns)
    {
        struct conn *c = LIST_ENTRY(it, struct conn, node);
        if (c->jail == jail)
            conn_close(c, true);
    }
}

static bool has_connections(const struct worker *w, const struct jail *jail)
{
    LIST_FOREACH(it, &w->conns)
    if (LIST_ENTRY(it, struct conn, node)->jail == jail)
        return true;
    return false;
}

/* What its programs tried last is on record, as it is of any jail; but who still holds on is not waited for. */
static void let_leave(struct loop_deadline *d)
{
    struct jail_port *p = CONTAINER_OF(d, struct jail_port, leave);
    bool waits = !atomic_load(&p->jail->cut) && p->looks++ < LOOKS_MAX;
    if (waits && has_connections(p->worker, p->jail)) {
        loop_deadline_after(d, LOOK_NS);
        return;
    }
    cut_connections(p->worker, p->jail);
    free_port(p);
}

static struct jail_port *open_port(struct worker *w, const struct jail_order *order)
{
    struct jail_port *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->worker = w;
    p->jail = order->jail;
    p->ask = order->ask;
    list_insert(&w->jails, &p->node);
    loop_io_init(&p->answers, w->loop, p->ask, on_answer);
    loop_io_want(&p->answers, LOOP_READ);
    loop_deadline_init(&p->leave, w->loop, let_leave);
    for (size_t i = 0; i < TCP_LISTENERS; i++)
        listen_on(p, (enum jail_socket)i);
    if (order->serves_dns && !(p->dns = dns_server_new(w, p->jail)))
        log_error("no memory for the name server of jail %u: its programs cannot look names up", p->jail->id);
    return p;
}

static void give_up(struct jail_order *order)
{
    if (order->jail)
        jail_stops_listening(order->jail);
    jail_free(order->jail);
    fd_auto_close(&order->ask);
    fd_auto_close(&order->client);
    relay_order_clear(&order->relay);
}

static void remove_port(struct worker *w, unsigned id)
{
    LIST_FOREACH(it, &w->jails)
    {
        struct jail_port *p = LIST_ENTRY(it, struct jail_port, node);
        if (p->jail->id != id)
            continue;
        close_port(p);
        if (p->jail->guest)
            let_leave(&p->leave);
        else
            free_port(p);
    }
}

static void begin_client(struct jail_port *p, enum jail_socket which, int client)
{
    AUTO_FD int fd = client;
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct fetch_address peer;
    if ((size_t)which >= TCP_LISTENERS)
        dns_server_take(p->dns, TAKE_FD(fd));
    else if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
             fetch_address_from_sockaddr((struct sockaddr *)&sa, len, &peer) == 0 &&
             conn_new(&p->listeners[which], fd, &peer) == 0)
        (void)TAKE_FD(fd);
}

static void take_client(struct worker *w, struct jail_order *order)
{
    LIST_FOREACH(it, &w->jails)
    {
        struct jail_port *p = LIST_ENTRY(it, struct jail_port, node);
        if (p->jail->id == order->id && !p->closed && order->client >= 0)
            begin_client(p, order->which, TAKE_FD(order->client));
    }
    fd_auto_close(&order->client);
}

/* Of a jail that is gone by now, or not served here: nobody answers. */
static void take_relay(struct worker *w, struct jail_order *order)
{
    LIST_FOREACH(it, &w->jails)
    {
        struct jail_port *p = LIST_ENTRY(it, struct jail_port, node);
        if (p->jail->id != order->id || p->closed || (!p->relays && !(p->relays = relays_new(w, p->jail, p->ask))))
            continue;
        relays_take(p->relays, &order->relay);
        order->relay.kind = RELAY_NONE;
    }
    relay_order_clear(&order->relay);
}

static void take_order(struct worker *w, struct jail_order *order)
{
    if (order->client >= 0)
        take_client(w, order);
    else if (order->relay.kind != RELAY_NONE)
        take_relay(w, order);
    else if (!order->jail)
        remove_port(w, order->id);
    else if (w->draining || !open_port(w, order))
        give_up(order);
}

/* --- orders --- */

static void put_order(struct worker *w, struct jail_order *order)
{
    pthread_mutex_lock(&w->inbox.lock);
    order->next = w->inbox.jails;
    w->inbox.jails = order;
    pthread_mutex_unlock(&w->inbox.lock);
    worker_wake(w);
}

void jail_order_relay(struct worker *w, unsigned id, struct relay_order *relay)
{
    struct jail_order *order = malloc(sizeof *order);
    if (!order) {
        relay_order_clear(relay);
        return;
    }
    *order = (struct jail_order){.id = id, .ask = -1, .client = -1, .relay = *relay};
    put_order(w, order);
}

bool jail_order(struct worker *w, struct jail *jail, unsigned id, bool serves_dns, int ask)
{
    struct jail_order *order = malloc(sizeof *order);
    if (!order)
        return false;
    *order = (struct jail_order){
        .jail = jail ? jail_ref(jail) : NULL, .id = id, .serves_dns = serves_dns, .ask = ask, .client = -1};
    put_order(w, order);
    return true;
}

void jail_order_client(struct worker *w, unsigned id, enum jail_socket which, int fd)
{
    struct jail_order *order = malloc(sizeof *order);
    if (!order) {
        close(fd);
        return;
    }
    *order = (struct jail_order){.id = id, .ask = -1, .which = which, .client = fd};
    put_order(w, order);
}

/* They come newest first. */
void jail_take_orders(struct worker *w, struct jail_order *orders)
{
    struct jail_order *in_order = NULL;
    while (orders) {
        struct jail_order *next = orders->next;
        orders->next = in_order;
        in_order = orders;
        orders = next;
    }
    while (in_order) {
        struct jail_order *next = in_order->next;
        take_order(w, in_order);
        free(in_order);
        in_order = next;
    }
}

void jail_drop_orders(struct jail_order *orders)
{
    while (orders) {
        struct jail_order *next = orders->next;
        give_up(orders);
        free(orders);
        orders = next;
    }
}

void jail_close_ports(struct worker *w)
{
    LIST_FOREACH(it, &w->jails)
    close_port(LIST_ENTRY(it, struct jail_port, node));
}

void jail_free_ports(struct worker *w)
{
    LIST_FOREACH(it, &w->jails)
    free_port(LIST_ENTRY(it, struct jail_port, node));
}
