/* The log as others see it: opened, closed, and a port for each worker. */
#include "audit/log.h"
#include "audit/tally.h"
#include "base/caps.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* How often one commit delivers and writes again what the delivered tickets queued; what is left then
 * waits for the next turn of the loop, which a wake makes sure of. */
enum { COMMIT_ROUNDS = 4 };

/* Two batches: one is filled while the other is on its way. */
struct audit_port {
    struct audit_log *log;
    void (*wake)(void *arg);
    void *arg;
    struct event_context context;
    struct batch batches[2];
    struct batch *filling, *flying;
    bool busy; /* in audit_commit: a ticket that commits finds it true */
};

void port_wake(struct audit_port *p)
{
    p->wake(p->arg);
}

static void free_log(struct audit_log *log)
{
    logfile_close(&log->file);
    buf_free(&log->out);
    pthread_cond_destroy(&log->work);
    pthread_cond_destroy(&log->idle);
    pthread_mutex_destroy(&log->lock);
    free(log->run);
    free(log);
}

static struct audit_log *new_log(const struct audit_options *o)
{
    struct audit_log *log = calloc(1, sizeof *log);
    char *run = o->run ? slice_dup(slice_str(o->run)) : NULL;
    if (!log || (o->run && !run)) {
        free(log);
        free(run);
        return NULL;
    }
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->idle, NULL);
    pthread_cond_init(&log->work, NULL);
    log->queue_end = &log->queue;
    log->out = BUF_INIT(CAP_AUDIT_QUEUE_BYTES + 2 * CAP_RECORD_BYTES);
    log->file = (struct logfile){.fd = -1, .dir_fd = -1};
    log->rotate = o->rotate;
    log->rotate_at = o->rotate ? o->rotate : UINT64_MAX;
    log->keep = o->keep;
    log->keep_age_ms = o->keep_age_ms;
    log->seal = o->seal;
    log->seal_arg = o->seal_arg;
    log->full_urls = o->full_urls;
    log->run = run;
    atomic_store(&log->available, true);
    return log;
}

/* A crash left half a line: it was never part of the chain, and what it was stays on record. */
static int record_cut(struct audit_log *log, const struct logfile_cut *cut, struct err *e)
{
    char detail[512];
    if (cut->bytes == 0)
        return 0;
    snprintf(detail, sizeof detail, "unfinished line of %zu bytes cut off, sha256=%s: %.*s", cut->bytes,
             cut->hash, (int)cut->start_len, cut->start);
    if (log_add_checkpoint(log, detail) < 0)
        return err_set(e, "%s: no memory", log->file.name);
    if (log_flush(log) < 0) {
        if (e)
            *e = log->problem;
        return -1;
    }
    return 0;
}

/* The default action would kill the proxy where it has to answer 503. */
static void survive_full_files(void)
{
    struct sigaction now;
    if (sigaction(SIGXFSZ, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGXFSZ, SIG_IGN);
}

int audit_open(const struct audit_options *o, struct audit_log **ret, struct err *e)
{
    survive_full_files();
    struct audit_log *log = new_log(o);
    struct logfile_cut cut;
    if (!log)
        return err_set(e, "%s: no memory", o->name);
    if (logfile_open(o->dir_fd, o->name, &log->file, &log->chain, &cut, e) < 0) {
        free_log(log);
        return -1;
    }
    log->flushed = log->chain;
    if (record_cut(log, &cut, e) < 0) {
        free_log(log);
        return -1;
    }
    log->on_file = log->flushed;
    log->sealed = log->flushed.seq;
    log->seal_at = log->seal ? log->sealed + SEAL_EVERY : UINT64_MAX;
    *ret = log;
    return 0;
}

void audit_close(struct audit_log *log)
{
    if (!log)
        return;
    upkeep_stop(log);
    upkeep_round(log);
    free_log(log);
}

bool audit_available(struct audit_log *log)
{
    return atomic_load_explicit(&log->available, memory_order_relaxed);
}

bool audit_problem(struct audit_log *log, struct err *ret)
{
    if (audit_available(log))
        return false;
    pthread_mutex_lock(&log->lock);
    *ret = log->problem;
    pthread_mutex_unlock(&log->lock);
    return true;
}

void audit_head(struct audit_log *log, uint64_t *ret_seq, char ret_hash[65])
{
    pthread_mutex_lock(&log->lock);
    *ret_seq = log->on_file.seq;
    memcpy(ret_hash, log->on_file.hash, sizeof log->on_file.hash);
    pthread_mutex_unlock(&log->lock);
}

static int explain(struct audit_log *log, struct err *e)
{
    struct err why = {.text = "no memory for a record"};
    (void)audit_problem(log, &why);
    if (e)
        *e = why;
    return -1;
}

int audit_write_now(struct audit_log *log, const struct audit_event *ev, struct err *e)
{
    if (!audit_available(log))
        return explain(log, e);
    struct event_context context;
    struct batch b;
    event_context_init(&context, log->run, log->full_urls);
    batch_init(&b, NULL);
    int result = batch_add(&b, &context, ev);
    event_context_free(&context);
    if (result == 0) {
        log_submit(log, &b);
        log_finish(log, &b);
        result = b.ok ? 0 : -1;
    }
    batch_free(&b);
    return result < 0 ? explain(log, e) : 0;
}

struct audit_port *audit_port_new(struct audit_log *log, void (*wake)(void *arg), void *arg)
{
    struct audit_port *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct audit_port){.log = log, .wake = wake, .arg = arg};
    event_context_init(&p->context, log->run, log->full_urls);
    batch_init(&p->batches[0], p);
    batch_init(&p->batches[1], p);
    p->filling = &p->batches[0];
    p->flying = &p->batches[1];
    return p;
}

static enum batch_state state_of(const struct batch *b)
{
    return atomic_load_explicit(&b->state, memory_order_acquire);
}

static void submit_filling(struct audit_port *p)
{
    struct batch *b = p->filling;
    p->filling = p->flying;
    p->flying = b;
    log_submit(p->log, b);
}

static void forget_all(struct batch *b)
{
    while (!list_empty(&b->tickets))
        list_remove(b->tickets.next);
}

void audit_port_free(struct audit_port *p)
{
    if (!p)
        return;
    log_finish(p->log, p->flying);
    if (!batch_empty(p->filling)) {
        submit_filling(p);
        log_finish(p->log, p->flying);
    }
    for (size_t i = 0; i < ARRAY_LEN(p->batches); i++) {
        forget_all(&p->batches[i]);
        batch_free(&p->batches[i]);
    }
    event_context_free(&p->context);
    free(p);
}

int audit_queue(struct audit_port *p, const struct audit_event *ev, struct audit_ticket *ticket)
{
    if (!audit_available(p->log) && !ev->begun) {
        atomic_fetch_add(&p->log->refused, 1);
        return -1;
    }
    if (batch_add(p->filling, &p->context, ev) < 0)
        return -1;
    if (ticket)
        list_insert(&p->filling->tickets, &ticket->node);
    if (ev->tally)
        audit_tally_add(ev->tally, ev);
    return 0;
}

void audit_ticket_forget(struct audit_ticket *t)
{
    if (t->node.next)
        list_remove(&t->node);
}

/* Each ticket leaves the list before it is called: it may be freed or queued again in the call. */
static void deliver(struct batch *b)
{
    enum batch_state state = state_of(b);
    if (state != BATCH_WRITTEN && state != BATCH_FAILED)
        return;
    while (!list_empty(&b->tickets)) {
        struct audit_ticket *t = LIST_ENTRY(b->tickets.next, struct audit_ticket, node);
        list_remove(&t->node);
        t->written(t, state == BATCH_WRITTEN);
    }
    batch_recycle(b);
}

void audit_commit(struct audit_port *p)
{
    if (p->busy)
        return;
    p->busy = true;
    deliver(p->flying);
    for (unsigned round = 0; round < COMMIT_ROUNDS; round++) {
        if (batch_empty(p->filling) || state_of(p->flying) != BATCH_FREE)
            break; /* where another thread writes, its wake brings us back */
        submit_filling(p);
        deliver(p->flying);
    }
    p->busy = false;
    if (!batch_empty(p->filling) && state_of(p->flying) == BATCH_FREE)
        p->wake(p->arg);
}

void audit_port_deliver(struct audit_port *p)
{
    log_help(p->log);
    audit_commit(p);
}
