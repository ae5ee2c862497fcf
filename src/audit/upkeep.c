/* What may block and must happen once in a while: look whether the file is still there, write what could
 * not be written, rotate, drop old files, fsync.  A thread of the log's own does it, so that no event
 * loop ever waits for a disk. */
#include "audit/log.h"
#include "base/caps.h"
#include "base/clock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

enum { ROTATE_AGAIN_BYTES = 1 << 20 };

/* How the failure that is over is put on record. */
static int add_recovery(struct audit_log *log, uint64_t refused)
{
    char detail[640];
    pthread_mutex_lock(&log->lock);
    int n = snprintf(detail, sizeof detail,
                     "%" PRIu64 " records delayed, %" PRIu64 " lost, %" PRIu64
                     " requests refused while the log could not be written: %.400s",
                     log->delayed, log->lost, refused, log->problem.text);
    pthread_mutex_unlock(&log->lock);
    return n < 0 ? -1 : log_add_checkpoint(log, detail);
}

/* Records that could not be written follow in their order, then one that says so. */
static void mend(struct audit_log *log)
{
    struct err e;
    uint64_t refused = atomic_load(&log->refused);
    struct chain before = log->chain;
    size_t lines = buf_len(&log->out);
    if (logfile_check(&log->file, &e) < 0 || logfile_sync(&log->file, &e) < 0) {
        log_fail(log, &e);
        return;
    }
    if (add_recovery(log, refused) < 0 || log_flush(log) < 0) {
        /* the next round says it again, with the numbers of then */
        buf_truncate(&log->out, lines);
        log->chain = before;
        return;
    }
    log->delayed = log->lost = 0;
    log->failed = false;
    atomic_fetch_sub(&log->refused, refused);
    atomic_store(&log->available, true);
}

static void check(struct audit_log *log)
{
    struct err e;
    if (logfile_check(&log->file, &e) < 0)
        log_fail(log, &e);
}

/* A log that cannot be rotated goes on in the old file, with a record that says why: to stop for that
 * would help nobody. */
static void rotate(struct audit_log *log)
{
    struct err e;
    if (log->file.size < log->rotate_at)
        return;
    if (logfile_sync(&log->file, &e) == 0 && logfile_rotate(&log->file, log->chain.seq + 1, &e) == 0) {
        log->rotate_at = log->rotate;
        return;
    }
    char detail[512];
    snprintf(detail, sizeof detail, "cannot rotate: %.450s", e.text);
    log->rotate_at = log->file.size + ROTATE_AGAIN_BYTES;
    if ((log_add_checkpoint(log, detail) < 0 || log_flush(log) < 0) && !log->failed)
        log_fail(log, &e);
}

/* The keeper is asked without the role: nobody's records wait for its answer.  What was written meanwhile stands
 * between the record that is sealed and the seal; the next one covers it. */
static void seal(struct audit_log *log)
{
    struct seal s = {0};
    pthread_mutex_lock(&log->lock);
    s.seq = log->on_file.seq;
    memcpy(s.hash, log->on_file.hash, sizeof s.hash);
    pthread_mutex_unlock(&log->lock);
    if (!log->seal || !log->run || s.seq <= log->sealed)
        return;
    snprintf(s.chain, sizeof s.chain, "%s", log->run);
    bool signed_now = log->seal(log->seal_arg, &s) == 0;
    log_take_role(log);
    if (signed_now && !log->failed && log_add(log, &(struct audit_event){.kind = AUDIT_SEAL, .ns = -1, .seal = &s}) == 0 &&
        log_flush(log) == 0)
        log->sealed = log->chain.seq;
    log->seal_at = log->chain.seq + SEAL_EVERY; /* without a keeper: tried again then */
    log_drop_role(log);
}

void audit_seal(struct audit_log *log)
{
    upkeep_stop(log); /* one thread at a time */
    seal(log);
}

/* Before a file is closed for good, and after so many records. */
static bool seal_is_due(struct audit_log *log)
{
    log_take_role(log);
    bool many = log->flushed.seq >= log->seal_at, full = log->file.size >= log->rotate_at;
    bool due = log->seal && !log->failed && (many || full) && log->flushed.seq > log->sealed;
    log_drop_role(log);
    return due;
}

/* Names the oldest file's records in the chain. */
static int announce_drop(struct audit_log *log)
{
    struct err e;
    struct chain last;
    char detail[512], name[LOGFILE_ROTATED_BYTES];
    logfile_rotated_name(log->file.name, log->file.rotated[0], name);
    if (logfile_oldest(&log->file, &last, &e) < 0)
        snprintf(detail, sizeof detail, "dropping %s, whose end cannot be read", name);
    else
        snprintf(detail, sizeof detail, "dropping %s: records %" PRIu64 " to %" PRIu64 ", head %s", name,
                 log->file.rotated[0], last.seq, last.hash);
    log_take_role(log);
    int result = log->failed || log_add_checkpoint(log, detail) < 0 ? -1 : log_flush(log);
    log_drop_role(log);
    return result;
}

/* A file without a known time (it is gone) may. */
static bool oldest_may_go(struct audit_log *log)
{
    int64_t written = log->keep_age_ms ? logfile_oldest_written_ms(&log->file) : -1;
    return written < 0 || clock_wall_ms() - written >= log->keep_age_ms;
}

/* What is dropped is named before it goes: the first record that is left has the hash of the last one
 * that went. */
static void drop_old(struct audit_log *log)
{
    struct err e;
    while (log->rotate && log->file.rotated_count > log->keep && oldest_may_go(log)) {
        if (log->announced != log->file.rotated[0] && announce_drop(log) < 0)
            return;
        log->announced = log->file.rotated[0];
        if (logfile_drop_oldest(&log->file, &e) < 0)
            return;
    }
}

/* Beside the writers: an fsync of the file does not keep anybody from appending to it. */
static void sync_file(struct audit_log *log)
{
    struct err e;
    if (logfile_sync(&log->file, &e) == 0)
        return;
    log_take_role(log);
    log_fail(log, &e);
    log_drop_role(log);
}

void upkeep_round(struct audit_log *log)
{
    if (seal_is_due(log))
        seal(log);
    log_take_role(log);
    if (log->failed)
        mend(log);
    else
        check(log);
    if (!log->failed)
        rotate(log);
    bool dirty = log->dirty && !log->failed;
    log->dirty = log->dirty && log->failed;
    log_drop_role(log);
    drop_old(log);
    if (dirty)
        sync_file(log);
}

static void *upkeep_main(void *arg)
{
    struct audit_log *log = arg;
    pthread_mutex_lock(&log->lock);
    while (!log->stop) {
        if (!log->ticked && !log->full) {
            pthread_cond_wait(&log->work, &log->lock);
            continue;
        }
        log->ticked = log->full = false;
        pthread_mutex_unlock(&log->lock);
        upkeep_round(log);
        pthread_mutex_lock(&log->lock);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

/* Signals belong to the thread that waits for them, never to this one. */
int upkeep_start(struct audit_log *log)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&log->upkeep, NULL, upkeep_main, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == 0 ? 0 : -1;
}

void upkeep_stop(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool runs = log->upkeep_runs;
    log->stop = true;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
    if (runs)
        pthread_join(log->upkeep, NULL);
    log->upkeep_runs = false;
}

void audit_tick(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    if (!log->upkeep_runs && upkeep_start(log) == 0)
        log->upkeep_runs = true;
    bool runs = log->upkeep_runs;
    log->ticked = true;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
    if (!runs)
        upkeep_round(log); /* no thread to be had: late is better than never */
}
