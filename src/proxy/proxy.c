#include "proxy/proxy.h"

#include "proxy/dns_names.h"
#include "proxy/gate.h"
#include "proxy/jail.h"
#include "proxy/sources.h"
#include "proxy/worker.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct proxy {
    struct tls_key *leaf;
    struct task_table *tasks;
    struct sources *sources;
    _Atomic unsigned busy; /* workers that still have connections */
    void (*drained)(void *arg);
    void (*left)(void *arg);
    void *arg;
    struct jail *jails[PROXY_JAILS_MAX]; /* NULL: free */
    struct jail *leaving[PROXY_JAILS_MAX]; /* guests that were removed */
    _Atomic unsigned next_worker;          /* for a guest's next connection */
    unsigned count;
    struct worker workers[];
};

int proxy_new(const struct proxy_setup *setup, struct proxy **ret, struct err *e)
{
    struct proxy *p = calloc(1, sizeof *p + setup->workers * sizeof p->workers[0]);
    if (!p)
        return err_set(e, "no memory for %u workers", setup->workers);
    p->drained = setup->drained;
    p->left = setup->left;
    p->arg = setup->arg;
    p->busy = setup->workers;
    p->tasks = task_table_new();
    p->sources = sources_new();
    int failed = p->tasks && p->sources ? tls_key_new(&p->leaf, e) : err_set(e, "no memory for the tasks");
    if (!failed)
        failed = fetch_prepare(e);
    while (!failed && p->count < setup->workers) {
        struct worker *w = &p->workers[p->count];
        w->index = p->count++;
        w->proxy = p;
        w->tasks = p->tasks;
        w->sources = p->sources;
        failed = worker_init(w, setup, p->leaf, e);
    }
    if (failed) {
        proxy_stop(p);
        return -1;
    }
    *ret = p;
    return 0;
}

int proxy_run(struct proxy *p, struct audit_log *log, struct err *e)
{
    for (unsigned i = 0; i < p->count; i++)
        if (worker_start(&p->workers[i], log, p->leaf, e) < 0)
            return -1;
    return 0;
}

void proxy_worker_drained(struct proxy *p)
{
    if (atomic_fetch_sub(&p->busy, 1) == 1 && p->drained)
        p->drained(p->arg);
}

void proxy_reload(struct proxy *p, struct proxy_snapshot *snapshot)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct worker *w = &p->workers[i];
        pthread_mutex_lock(&w->inbox.lock);
        struct proxy_snapshot *unread = w->inbox.snapshot;
        w->inbox.snapshot = proxy_snapshot_ref(snapshot);
        pthread_mutex_unlock(&w->inbox.lock);
        proxy_snapshot_free(unread);
        worker_wake(w);
    }
}

void proxy_set_keepers(struct proxy *p, const int *keepers)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct worker *w = &p->workers[i];
        pthread_mutex_lock(&w->inbox.lock);
        int unread = w->inbox.keeper;
        w->inbox.keeper = keepers[i];
        pthread_mutex_unlock(&w->inbox.lock);
        fd_auto_close(&unread);
        worker_wake(w);
    }
}

/* --- jails --- */

static struct jail **jail_slot(struct proxy *p, unsigned id)
{
    for (size_t i = 0; i < PROXY_JAILS_MAX; i++)
        if (p->jails[i] && p->jails[i]->id == id)
            return &p->jails[i];
    return NULL;
}

/* Where it can stay as long as it lives, and then until it has left. */
static struct jail **free_slot(struct proxy *p)
{
    for (size_t i = 0; i < PROXY_JAILS_MAX; i++)
        if (!p->jails[i] && !p->leaving[i])
            return &p->jails[i];
    return NULL;
}

/* --- guests --- */

static void on_client(void *arg, enum jail_socket which, int fd)
{
    const struct jail *jail = arg;
    struct proxy *p = jail->proxy;
    bool dns = which == JAIL_DNS_TCP4 || which == JAIL_DNS_TCP6; /* one worker has its names */
    unsigned worker = dns ? jail->id : atomic_fetch_add_explicit(&p->next_worker, 1, memory_order_relaxed);
    jail_order_client(&p->workers[worker % p->count], jail->id, which, fd);
}

static int open_gate(struct proxy *p, struct jail *jail, struct err *e)
{
    jail->proxy = p;
    jail->left = p->left;
    jail->left_arg = p->arg;
    jail->gate = gate_new(jail->fds, on_client, jail);
    return jail->gate ? 0 : err_set(e, "no thread to accept its connections");
}

bool proxy_next_left(struct proxy *p, unsigned *ret_id, struct audit_tally *ret_tally)
{
    for (size_t i = 0; i < PROXY_JAILS_MAX; i++) {
        struct jail *jail = p->leaving[i];
        if (!jail || atomic_load_explicit(&jail->refs, memory_order_acquire) != 1)
            continue;
        *ret_id = jail->id;
        memcpy(ret_tally, &jail->tally, sizeof *ret_tally);
        jail_free(TAKE(p->leaving[i]));
        return true;
    }
    return false;
}

/* A worker that cannot hear of it leaves the connections to the others; where none can, the jail's wait. */
static unsigned tell_workers(struct proxy *p, struct jail *jail, unsigned id, const int *ask)
{
    unsigned told = 0;
    for (unsigned i = 0; i < p->count; i++) {
        if (jail_order(&p->workers[i], jail, id, i == id % p->count, ask ? ask[i] : -1)) {
            told++;
        } else if (ask) {
            jail_stops_listening(jail);
            close(ask[i]);
        }
    }
    return told;
}

int proxy_add_jail(struct proxy *p, const struct proxy_jail *from, struct err *e)
{
    struct jail **slot = jail_slot(p, from->id) ? NULL : free_slot(p);
    struct jail *jail = slot ? jail_new(from, p->tasks, p->count) : NULL;
    if (!jail) {
        for (size_t i = 0; i < JAIL_SOCKETS; i++)
            if (from->fds[i] >= 0) {
                gate_close_at_once(from->fds[i]);
                close(from->fds[i]);
            }
        for (unsigned i = 0; i < p->count; i++)
            close(from->ask[i]);
        return err_set(e, slot ? "no memory for a jail" : "as many jails as there may be run already");
    }
    *slot = jail;
    if (!tell_workers(p, jail, jail->id, from->ask))
        return err_set(e, "no memory for a jail");
    return jail->guest ? open_gate(p, jail, e) : 0;
}

void proxy_remove_jail(struct proxy *p, unsigned id, bool cut)
{
    struct jail **slot = jail_slot(p, id);
    if (!slot)
        return;
    struct jail *jail = TAKE(*slot);
    gate_free(TAKE(jail->gate));
    atomic_store(&jail->cut, cut);
    tell_workers(p, NULL, id, NULL);
    if (!jail->guest) {
        jail_free(jail);
        return;
    }
    p->leaving[slot - p->jails] = jail;
    if (p->left && atomic_load(&jail->refs) == 1)
        p->left(p->arg); /* the last of the others was gone before it could be seen to leave */
}

/* By the worker that serves its names. */
void proxy_jail_relay(struct proxy *p, unsigned id, struct relay_order *o)
{
    if (jail_slot(p, id))
        jail_order_relay(&p->workers[id % p->count], id, o);
    else
        relay_order_clear(o);
}

size_t proxy_jail_name(struct proxy *p, unsigned id, const struct fetch_address *a, char ret[CAP_HOST_BYTES + 1])
{
    struct jail **slot = jail_slot(p, id);
    return slot ? dns_names_of((*slot)->names, a, ret) : 0;
}

const char *proxy_jail_task(struct proxy *p, unsigned id)
{
    struct jail **slot = jail_slot(p, id);
    return slot ? (*slot)->task : NULL;
}

void proxy_drain(struct proxy *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct worker *w = &p->workers[i];
        pthread_mutex_lock(&w->inbox.lock);
        w->inbox.drain = true;
        pthread_mutex_unlock(&w->inbox.lock);
        worker_wake(w);
    }
}

void proxy_stop(struct proxy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < PROXY_JAILS_MAX; i++)
        if (p->jails[i])
            gate_free(TAKE(p->jails[i]->gate));
    for (unsigned i = 0; i < p->count; i++)
        worker_join_and_free(&p->workers[i]);
    for (size_t i = 0; i < PROXY_JAILS_MAX; i++) {
        jail_free(p->jails[i]);
        jail_free(p->leaving[i]);
    }
    task_table_free(p->tasks);
    sources_free(p->sources);
    tls_key_free(p->leaf);
    free(p);
}
