/* What a task uses now, across workers and reloads: connections, and certificates for blocked names.
 * Counters belong to the task's name, not to a snapshot, so that a reload never refills them. */
#pragma once
#include "base/slice.h"

#include <stdatomic.h>

struct task_state {
    struct task_state *next;
    struct task_state *payer; /* whose token buckets are its: its own, or those of whom it belongs to */
    unsigned holders; /* jails, under the table's lock */
    bool lasting;     /* somebody else may have a pointer to it */
    _Atomic unsigned connections;
    /* Token buckets in virtual time: when they will be full again, ns. */
    _Atomic int64_t blocked_certs_at, blocked_records_at, records_at;
    _Atomic uint64_t unrecorded; /* requests refused without a record of their own, not counted in one yet */
    char name[];
};

struct task_table;
MUST_USE struct task_table *task_table_new(void);
void task_table_free(struct task_table *t);

/* Made at first use; the empty name is for whoever has not said which task it is, lives as long as the table;
 * NULL without memory.  Thread-safe. */
struct task_state *task_table_get(struct task_table *t, struct slice name);
/* The same for a jail, whose task may be gone with it: lives until nobody holds it any more
 * and what it was refused is counted.  `payer`, where it is not empty, has the token buckets of all tasks
 * that are held with it, and outlives them; the same one each time for a name. */
struct task_state *task_table_hold(struct task_table *t, struct slice name, struct slice payer);
void task_table_release(struct task_table *t, struct task_state *s); /* NULL is nothing */
/* False when the task has `limit` connections already.  task_connection_end undoes it. */
MUST_USE bool task_connection_begin(struct task_state *s, unsigned limit);
void task_connection_end(struct task_state *s);

/* A task may have certificates made for this many blocked names at once, and one more each second. */
enum { BLOCKED_CERT_BURST = 64, BLOCKED_CERT_PER_SECOND = 1 };
MUST_USE bool task_blocked_cert(struct task_state *s, int64_t now_ns);

/* The audit budget (interfaces.md 3): so many records of blocked requests at once, and so many more each
 * second. Beyond it a block has no record of its own: task_take_unrecorded says how many there were. */
enum { BLOCKED_RECORD_BURST = 10000, BLOCKED_RECORDS_PER_SECOND = 100 };
MUST_USE bool task_blocked_record(struct task_state *s, int64_t now_ns);
/* The same for what is no request: a tunnel without one, a name that was looked up.  False: it counts as
 * unrecorded; NULL is nobody, and has no budget. */
MUST_USE bool task_may_note(struct task_state *s, int64_t now_ns);
/* Its share of the disk: a record of so many bytes fits into `per_day` (0: no share). */
MUST_USE bool task_record(struct task_state *s, int64_t now_ns, uint64_t bytes, uint64_t per_day);
/* Calls `each` for every task that has some, and begins to count anew. */
void task_table_take_unrecorded(struct task_table *t,
                                void (*each)(void *arg, const char *name, uint64_t count), void *arg);
