/* Group commit: what all threads have queued becomes one write, made by whoever comes first. */
#include "audit/log.h"
#include "base/caps.h"

enum {
    BATCH_BYTES = CAP_AUDIT_QUEUE_BYTES / 4,
    BATCH_KEPT_BYTES = 256 << 10, /* memory above this goes back after a burst */
    WRITE_BYTES = 256 << 10,      /* one write is about as long as this */
    ROUNDS = 8,                   /* then another thread may have the role */
};

void batch_init(struct batch *b, struct audit_port *port)
{
    *b = (struct batch){.port = port, .bodies = BUF_INIT(BATCH_BYTES)};
    list_init(&b->tickets);
}

void batch_free(struct batch *b)
{
    buf_free(&b->bodies);
}

void batch_recycle(struct batch *b)
{
    if (b->bodies.size > BATCH_KEPT_BYTES)
        buf_free(&b->bodies);
    else
        buf_clear(&b->bodies);
    atomic_store_explicit(&b->state, BATCH_FREE, memory_order_relaxed);
}

int batch_add(struct batch *b, struct event_context *c, const struct audit_event *ev)
{
    size_t before = buf_len(&b->bodies);
    uint32_t len = 0;
    if (buf_append(&b->bodies, slice_of((const char *)&len, sizeof len)) < 0)
        return -1;
    if (event_append(c, ev, &b->bodies) < 0) {
        buf_truncate(&b->bodies, before);
        return -1;
    }
    len = (uint32_t)(buf_len(&b->bodies) - before - sizeof len);
    memcpy(b->bodies.data + b->bodies.start + before, &len, sizeof len);
    return 0;
}

void log_fail(struct audit_log *log, const struct err *why)
{
    log->failed = true;
    atomic_store(&log->available, false);
    pthread_mutex_lock(&log->lock);
    log->problem = *why;
    pthread_mutex_unlock(&log->lock);
}

int log_flush(struct audit_log *log)
{
    struct err e = {0};
    if (buf_len(&log->out) == 0)
        return 0;
    if (logfile_append(&log->file, buf_slice(&log->out), &e) < 0) {
        log_fail(log, &e);
        return -1;
    }
    if (log->out.size > 2 * WRITE_BYTES)
        buf_free(&log->out);
    else
        buf_clear(&log->out);
    log->flushed = log->chain;
    log->dirty = true;
    return 0;
}

int log_add(struct audit_log *log, const struct audit_event *ev)
{
    struct event_context context;
    event_context_init(&context, log->run, log->full_urls);
    AUTO_BUF body = BUF_INIT(CAP_RECORD_BYTES);
    int result = event_append(&context, ev, &body);
    event_context_free(&context);
    return result < 0 ? -1 : chain_append(&log->chain, buf_slice(&body), &log->out);
}

int log_add_checkpoint(struct audit_log *log, const char *detail)
{
    return log_add(log, &(struct audit_event){.kind = AUDIT_CHECKPOINT, .ns = -1, .detail = detail});
}

/* Into `out`, which has room for several batches; after a failure it may be full, and then counts. */
static void chain_batch(struct audit_log *log, struct batch *b)
{
    struct slice rest = buf_slice(&b->bodies);
    while (rest.len) {
        uint32_t len;
        memcpy(&len, rest.ptr, sizeof len);
        struct slice body = slice_of(rest.ptr + sizeof len, len);
        rest = slice_skip(rest, sizeof len + len);
        bool full = buf_len(&log->out) >= CAP_AUDIT_QUEUE_BYTES;
        if (full || chain_append(&log->chain, body, &log->out) < 0) {
            log->lost++;
            if (!log->failed)
                log_fail(log, &(struct err){.text = "no memory for the audit log, or SHA-256 failed"});
        } else if (log->failed) {
            log->delayed++;
        }
    }
}

static unsigned count_lines(struct slice s)
{
    unsigned n = 0;
    for (const char *at = s.ptr; s.len && (at = memchr(at, '\n', (size_t)(s.ptr + s.len - at))); at++)
        n++;
    return n;
}

static void write_batches(struct audit_log *log, struct batch *first)
{
    struct batch *from = first;
    for (struct batch *b = first; b; b = b->next) {
        chain_batch(log, b);
        if (b->next && buf_len(&log->out) < WRITE_BYTES)
            continue;
        bool was_failed = log->failed;
        bool ok = !was_failed && log_flush(log) == 0;
        if (!ok && !was_failed)
            log->delayed += count_lines(buf_slice(&log->out));
        for (; from != b->next; from = from->next)
            from->ok = ok;
    }
}

/* With the lock: the batches go back to their owners.  A port cannot be freed while this holds the lock,
 * so its wake is safe to call. */
static void return_batches(struct audit_log *log, struct batch *first, const struct batch *own)
{
    for (struct batch *b = first, *next; b; b = next) {
        next = b->next;
        b->next = NULL;
        struct audit_port *port = b == own ? NULL : b->port;
        atomic_store_explicit(&b->state, b->ok ? BATCH_WRITTEN : BATCH_FAILED, memory_order_release);
        if (port)
            port_wake(port);
    }
    log->on_file = log->flushed;
    if ((log->file.size >= log->rotate_at || log->on_file.seq >= log->seal_at) && !log->full) {
        log->full = true;
        pthread_cond_signal(&log->work);
    }
}

/* With the lock and the role. */
static void drain(struct audit_log *log, const struct batch *own)
{
    for (unsigned round = 0; log->queue && round < ROUNDS && !log->waiting; round++) {
        struct batch *first = log->queue;
        log->queue = NULL;
        log->queue_end = &log->queue;
        pthread_mutex_unlock(&log->lock);
        write_batches(log, first);
        pthread_mutex_lock(&log->lock);
        return_batches(log, first, own);
    }
    log->writing = false;
    pthread_cond_broadcast(&log->idle);
    if (log->queue && !log->waiting && log->queue->port)
        port_wake(log->queue->port); /* its owner goes on */
}

void log_submit(struct audit_log *log, struct batch *b)
{
    atomic_store_explicit(&b->state, BATCH_QUEUED, memory_order_relaxed);
    pthread_mutex_lock(&log->lock);
    *log->queue_end = b;
    log->queue_end = &b->next;
    if (!log->writing && !log->waiting) {
        log->writing = true;
        drain(log, b);
    }
    pthread_mutex_unlock(&log->lock);
}

void log_help(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    if (log->queue && !log->writing && !log->waiting) {
        log->writing = true;
        drain(log, NULL);
    }
    pthread_mutex_unlock(&log->lock);
}

void log_finish(struct audit_log *log, struct batch *b)
{
    pthread_mutex_lock(&log->lock);
    while (atomic_load_explicit(&b->state, memory_order_acquire) == BATCH_QUEUED) {
        if (log->writing || log->waiting) {
            pthread_cond_wait(&log->idle, &log->lock);
        } else {
            log->writing = true;
            drain(log, NULL);
        }
    }
    pthread_mutex_unlock(&log->lock);
}

void log_take_role(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->waiting++;
    while (log->writing)
        pthread_cond_wait(&log->idle, &log->lock);
    log->waiting--;
    log->writing = true;
    pthread_mutex_unlock(&log->lock);
}

void log_drop_role(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->on_file = log->flushed;
    drain(log, NULL);
    pthread_mutex_unlock(&log->lock);
}
