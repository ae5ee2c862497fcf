/* What a task uses now, across workers and reloads: connections, and certificates for blocked names.
 * Counters belong to the task's name, not to a snapshot, so that a reload never refills them. */
#pragma once
#include "base/slice.h"

#include <stdatomic.h>

struct task_state {
    struct task_state *next;
    _Atomic unsigned connections;
    _Atomic int64_t blocked_certs_at; /* token bucket in virtual time: when it will be full again, ns */
    char name[];
};

struct task_table;
MUST_USE struct task_table *task_table_new(void);
void task_table_free(struct task_table *t);

/* Made at first use, lives as long as the table; NULL without memory.  Thread-safe. */
struct task_state *task_table_get(struct task_table *t, struct slice name);
/* False when the task has `limit` connections already.  task_connection_end undoes it. */
MUST_USE bool task_connection_begin(struct task_state *s, unsigned limit);
void task_connection_end(struct task_state *s);

/* A task may have certificates made for this many blocked names at once, and one more each second. */
enum { BLOCKED_CERT_BURST = 64, BLOCKED_CERT_PER_SECOND = 1 };
MUST_USE bool task_blocked_cert(struct task_state *s, int64_t now_ns);
