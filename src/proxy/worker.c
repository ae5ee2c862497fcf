#include "proxy/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/exchange.h"
#include "proxy/jail.h"
#include "proxy/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TICK_NS = 250000000, TICKS_PER_SECOND = 4, OPEN_RECORD_NS = 1000000000, RETRY_ACCEPT_NS = 100000000 };

/* --- accepting --- */

static void accept_later(struct listener *l)
{
    loop_io_want(&l->io, 0);
    loop_deadline_after(&l->retry, RETRY_ACCEPT_NS);
    log_error("cannot accept a connection: out of descriptors or memory; new clients wait");
}

static void retry_accept(struct loop_deadline *d)
{
    struct listener *l = CONTAINER_OF(d, struct listener, retry);
    loop_io_want(&l->io, LOOP_READ);
}

/* False where nobody waits, or nobody can be taken in. */
static bool accept_next(struct listener *l)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    AUTO_FD int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            accept_later(l);
        return false;
    }
    struct fetch_address peer;
    if (fetch_address_from_sockaddr((struct sockaddr *)&sa, len, &peer) == 0 && conn_new(l, fd, &peer) == 0)
        (void)TAKE_FD(fd);
    return true;
}

/* One connection a turn: the other workers get theirs. */
static void accept_one(struct loop_io *io, int events UNUSED)
{
    (void)accept_next(CONTAINER_OF(io, struct listener, io));
}

void worker_listener_init(struct listener *l, struct worker *w, int fd)
{
    *l = (struct listener){.worker = w, .fd = fd, .ask = -1};
    loop_io_init(&l->io, w->loop, l->fd, accept_one);
    loop_deadline_init(&l->retry, w->loop, retry_accept);
}

void worker_listener_stop(struct listener *l)
{
    loop_deadline_clear(&l->retry);
    loop_io_stop(&l->io);
}

void worker_listener_finish(struct listener *l)
{
    for (unsigned n = 0; n < SOMAXCONN && accept_next(l); n++)
        ;
    worker_listener_stop(l);
}

static int make_listeners(struct worker *w, const struct proxy_setup *setup)
{
    w->listeners = calloc(setup->listener_count + 1, sizeof *w->listeners);
    if (!w->listeners)
        return -1;
    w->listener_count = setup->listener_count;
    for (size_t i = 0; i < w->listener_count; i++)
        worker_listener_init(&w->listeners[i], w, setup->listeners[i]);
    return 0;
}

static void stop_listeners(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++)
        worker_listener_stop(&w->listeners[i]);
    w->listener_count = 0;
    jail_close_ports(w);
}

/* --- what other threads want --- */

/* Exchanges that were let through and go on.  The body may close the connection it is given. */
#define FOREACH_RUNNING(it, c, w)                                                                            \
    LIST_FOREACH (it, &(w)->conns)                                                                           \
        for (struct conn *c = LIST_ENTRY(it, struct conn, node); c; c = NULL)                                \
            if ((c->state == CONN_EXCHANGE || c->state == CONN_TUNNEL) && c->exchange->slot)

/* What goes on is judged as if it came now: after a reload, and where a rule expires. */
static void judge_running(struct worker *w)
{
    w->expiry_ms = snapshot_next_expiry(w->snapshot, clock_wall_ms());
    FOREACH_RUNNING(it, c, w) {
        request_judge_again(c->exchange, w->snapshot);
        conn_pump(c);
    }
    relays_judge_again(w);
}

static void use_snapshot(struct worker *w, struct proxy_snapshot *next)
{
    struct err e;
    if (fetch_configure(w->fetch, snapshot_fetch_settings(next), snapshot_generation(next), &e) < 0) {
        log_error("worker %u keeps the old policies: %s", w->index, e.text);
        proxy_snapshot_free(next);
        return;
    }
    proxy_snapshot_free(w->snapshot);
    w->snapshot = next;
    judge_running(w);
}

static void say_when_drained(struct worker *w)
{
    if (w->draining && w->conn_count == 0 && !w->drained_said) {
        w->drained_said = true;
        proxy_worker_drained(w->proxy);
    }
}

static void begin_drain(struct worker *w)
{
    w->draining = true;
    stop_listeners(w);
    conn_close_idle(w);
    say_when_drained(w);
}

static void take_inbox(struct loop_wake *wake)
{
    struct worker *w = CONTAINER_OF(wake, struct worker, inbox_wake);
    pthread_mutex_lock(&w->inbox.lock);
    struct proxy_snapshot *snapshot = TAKE(w->inbox.snapshot);
    int keeper = TAKE_FD(w->inbox.keeper);
    struct jail_order *jails = TAKE(w->inbox.jails);
    bool drain = w->inbox.drain, stop = w->inbox.stop;
    pthread_mutex_unlock(&w->inbox.lock);
    if (snapshot)
        use_snapshot(w, snapshot);
    if (keeper >= 0 && certs_set_keeper(w->certs, keeper) < 0)
        log_error("worker %u: the new keeper does not answer", w->index);
    jail_take_orders(w, jails);
    if (drain && !w->draining)
        begin_drain(w);
    if (stop)
        loop_stop(w->loop);
}

void worker_wake(struct worker *w)
{
    loop_wake_send(&w->inbox_wake);
}

void worker_conn_gone(struct worker *w)
{
    w->conn_count--;
    say_when_drained(w);
}

/* --- records and time --- */

/* Held-back answers go out here.  An answer may let the next pipelined request in, which queues a record
 * again: until nothing is queued, or the loop would sleep on it. */
static void turn_end(void *arg)
{
    struct worker *w = arg;
    while (w->queued) {
        w->queued = 0;
        audit_commit(w->audit);
    }
    conn_bury(w);
}

static void deliver(struct loop_wake *wake)
{
    struct worker *w = CONTAINER_OF(wake, struct worker, audit_wake);
    audit_port_deliver(w->audit);
}

static void wake_for_audit(void *arg)
{
    struct worker *w = arg;
    loop_wake_send(&w->audit_wake);
}

static void record_lasting(struct worker *w)
{
    int64_t before = clock_mono_ns() - OPEN_RECORD_NS;
    while (!list_empty(&w->young)) {
        struct exchange *x = LIST_ENTRY(w->young.next, struct exchange, young);
        struct conn *c = x->conn;
        if (x->started > before)
            return;
        exchange_record_open(x);
        conn_pump(c);
    }
}

/* What is on its way has no record yet that could be written: it stops too. */
static void stop_unrecorded(struct worker *w)
{
    FOREACH_RUNNING(it, c, w) {
        exchange_refuse(c->exchange, REASON_AUDIT_UNAVAILABLE, "the audit log failed meanwhile");
        conn_pump(c);
    }
    relays_cut_unrecorded(w);
}

/* Said once when the log fails and once when it works again: whoever runs exeat must know why it stopped. */
static void watch_log(struct worker *w)
{
    struct err e;
    audit_tick(w->log);
    bool broken = !audit_available(w->log);
    if (broken == w->log_broken)
        return;
    w->log_broken = broken;
    if (!broken)
        log_info("the audit log can be written again");
    else if (audit_problem(w->log, &e))
        log_error("the audit log cannot be written, nothing passes until it can: %s", e.text);
}

static void record_count(void *arg, const char *name, uint64_t count)
{
    struct worker *w = arg;
    char detail[160];
    snprintf(detail, sizeof detail, "%" PRIu64 " requests were refused without a record of their own: the audit budget is spent",
             count);
    const struct audit_event ev = {.kind = AUDIT_REQUEST,
                                   .task = name[0] ? name : NULL,
                                   .verdict = "block",
                                   .reason = REASON_REQUEST_RATE,
                                   .ns = -1,
                                   .begun = true,
                                   .detail = detail};
    if (audit_queue(w->audit, &ev, NULL) == 0)
        w->queued++;
}

/* Once a second, and at the end. */
static void record_counts(struct worker *w)
{
    if (w->index == 0)
        task_table_take_unrecorded(w->tasks, record_count, w);
}

static void tick(struct loop_deadline *d)
{
    struct worker *w = CONTAINER_OF(d, struct worker, tick);
    record_lasting(w);
    if (clock_wall_ms() >= w->expiry_ms)
        judge_running(w);
    if (w->index == 0)
        watch_log(w);
    if (w->index == 0 && ++w->ticks % TICKS_PER_SECOND == 0)
        record_counts(w);
    if (!audit_available(w->log))
        stop_unrecorded(w);
    loop_deadline_after(d, TICK_NS);
}

/* --- start and end --- */

int worker_init(struct worker *w, const struct proxy_setup *setup, struct tls_key *leaf, struct err *e)
{
    w->keeper = setup->keepers[w->index];
    w->inflight = setup->inflight;
    w->snapshot = proxy_snapshot_ref(setup->snapshot);
    w->expiry_ms = snapshot_next_expiry(w->snapshot, clock_wall_ms());
    list_init(&w->jails);
    list_init(&w->relays);
    list_init(&w->asking);
    list_init(&w->conns);
    list_init(&w->graveyard);
    list_init(&w->young);
    w->inbox = (struct worker_inbox){.keeper = -1};
    pthread_mutex_init(&w->inbox.lock, NULL);
    w->loop = loop_new(false);
    if (!w->loop)
        return err_set(e, "no event loop for worker %u", w->index);
    if (tls_server_new(leaf, &w->tls, e) < 0 || fetch_new(w->loop, &w->fetch, e) < 0 ||
        fetch_configure(w->fetch, snapshot_fetch_settings(w->snapshot), snapshot_generation(w->snapshot), e) < 0)
        return -1;
    return make_listeners(w, setup) < 0 ? err_set(e, "no memory for worker %u", w->index) : 0;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop);
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct worker *w)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    w->started = failed == 0;
    return failed ? -1 : 0;
}

static int meet_keeper(struct worker *w, struct tls_key *leaf, struct err *e)
{
    uint8_t public_key[256];
    size_t len;
    if (tls_key_public(leaf, public_key, sizeof public_key, &len) < 0)
        return err_set(e, "the leaf key cannot be read");
    return certs_new(w->loop, TAKE_FD(w->keeper), slice_of((char *)public_key, len), &w->certs, e);
}

int worker_start(struct worker *w, struct audit_log *log, struct tls_key *leaf, struct err *e)
{
    if (meet_keeper(w, leaf, e) < 0)
        return -1;
    w->log = log;
    w->audit = audit_port_new(log, wake_for_audit, w);
    if (!w->audit)
        return err_set(e, "no memory for worker %u", w->index);
    loop_at_turn_end(w->loop, turn_end, w);
    loop_wake_init(&w->inbox_wake, w->loop, take_inbox);
    loop_wake_init(&w->audit_wake, w->loop, deliver);
    loop_deadline_init(&w->tick, w->loop, tick);
    loop_deadline_after(&w->tick, TICK_NS);
    for (size_t i = 0; i < w->listener_count; i++)
        loop_io_want(&w->listeners[i].io, LOOP_READ);
    return start_thread(w) < 0 ? err_set(e, "cannot start the thread of worker %u", w->index) : 0;
}

static void close_all(struct worker *w)
{
    record_counts(w);
    while (!list_empty(&w->conns))
        conn_close(LIST_ENTRY(w->conns.next, struct conn, node), true);
    relays_free_all(w);
    turn_end(w);
}

void worker_join_and_free(struct worker *w)
{
    if (w->started) {
        pthread_mutex_lock(&w->inbox.lock);
        w->inbox.stop = true;
        pthread_mutex_unlock(&w->inbox.lock);
        worker_wake(w);
        pthread_join(w->thread, NULL);
    }
    w->drained_said = true; /* who stops us need not be told */
    stop_listeners(w);
    jail_free_ports(w);
    if (w->audit)
        close_all(w);
    free(w->listeners);
    certs_free(w->certs);
    fetch_free(w->fetch);
    tls_server_free(w->tls);
    audit_port_free(w->audit);
    proxy_snapshot_free(w->snapshot);
    proxy_snapshot_free(w->inbox.snapshot);
    jail_drop_orders(w->inbox.jails);
    fd_auto_close(&w->inbox.keeper);
    fd_auto_close(&w->keeper);
    blocks_free(&w->blocks);
    loop_free(w->loop);
}
