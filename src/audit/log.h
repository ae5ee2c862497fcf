/* The log's inside, shared by writer.c (queue, group commit), ports.c (the workers' ends) and upkeep.c
 * (the thread that syncs, mends and rotates).  Nobody else includes this.
 *
 * Two things protect it.  `lock` is held for moments: the queue, who writes, what is on file.  The writer's
 * role (`writing`) belongs to one thread at a time and is held without the lock while it chains and writes:
 * the file, the chain and `out` are the role's.
 */
#pragma once
#include "audit/audit.h"
#include "audit/event.h"
#include "audit/file.h"

#include <pthread.h>
#include <stdatomic.h>

enum batch_state { BATCH_FREE, BATCH_QUEUED, BATCH_WRITTEN, BATCH_FAILED };

/* Records on their way: bodies, each behind its length.  The owner fills it, hands it over (QUEUED), and
 * has it back when the state says how it ended. */
struct batch {
    struct batch *next;
    struct audit_port *port; /* NULL: of audit_write_now */
    struct buf bodies;
    struct list tickets; /* the owner's */
    bool ok;             /* the writer's */
    _Atomic(enum batch_state) state;
};

struct audit_log {
    pthread_mutex_t lock;
    pthread_cond_t idle; /* the role was given back, or a batch came to its end */
    pthread_cond_t work; /* for the upkeep thread */
    atomic_bool available;
    atomic_uint_fast64_t refused; /* records that were not taken, of this failure */

    /* under the lock */
    struct batch *queue, **queue_end;
    bool writing;         /* somebody has the role */
    unsigned waiting;     /* threads that want the role: the writer hurries */
    struct chain on_file; /* the last record written */
    struct err problem;
    bool ticked, full, stop, upkeep_runs;
    pthread_t upkeep;

    /* the role's */
    struct logfile file;
    struct chain chain;   /* the last record chained: on file, or in `out` after a failure */
    struct chain flushed; /* the last record on file */
    struct buf out;       /* lines; after a failure those that wait to be written */
    uint64_t delayed, lost;
    bool failed, dirty;

    uint64_t rotate_at; /* size at which to rotate, or to try it again */
    uint64_t announced; /* the rotated file whose end is on record already */

    uint64_t sealed;  /* the record with the last seal, or the last one of an earlier run */
    uint64_t seal_at; /* number of the record at which to seal, or to try it again */
    int (*seal)(void *arg, struct seal *claim);
    void *seal_arg;

    uint64_t rotate;
    unsigned keep;
    int64_t keep_age_ms;
    bool full_urls;
    char *run;
};

void batch_init(struct batch *b, struct audit_port *port);
void batch_free(struct batch *b);
/* Empty again, after its tickets were delivered. */
void batch_recycle(struct batch *b);
static inline bool batch_empty(const struct batch *b)
{
    return buf_len(&b->bodies) == 0;
}
/* Appends one record; -1 when it is full. */
MUST_USE int batch_add(struct batch *b, struct event_context *c, const struct audit_event *ev);

void port_wake(struct audit_port *p);

/* Hands a batch over and, if nobody is writing, writes all that is queued. */
void log_submit(struct audit_log *log, struct batch *b);
/* Returns when b has come to its end, writing it if nobody else does. */
void log_finish(struct audit_log *log, struct batch *b);
/* Takes the role if it is free and something is queued. */
void log_help(struct audit_log *log);

/* The role, for upkeep: waits for it, gives it back (and writes what was queued meanwhile). */
void log_take_role(struct audit_log *log);
void log_drop_role(struct audit_log *log);
/* With the role: writes `out` to the file.  -1: the log is now unavailable. */
MUST_USE int log_flush(struct audit_log *log);
/* With the role: from now on the log is unavailable, because of `why`. */
void log_fail(struct audit_log *log, const struct err *why);
/* With the role: chains a record of our own behind what is in `out`. */
MUST_USE int log_add(struct audit_log *log, const struct audit_event *ev);
MUST_USE int log_add_checkpoint(struct audit_log *log, const char *detail);

/* How many records may follow a seal. */
enum { SEAL_EVERY = 10000 };

MUST_USE int upkeep_start(struct audit_log *log);
void upkeep_stop(struct audit_log *log);
/* One round of it, in the calling thread. */
void upkeep_round(struct audit_log *log);
