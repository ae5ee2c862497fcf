/* The audit log: JSON Lines, append-only, chained by SHA-256; the source of truth.
 *
 * A record is written (write(2) has returned) before the last byte of its response.  Workers queue
 * records during a loop turn, hold back the last bytes of each response, and commit once at the end of
 * the turn: whoever gets the lock chains what all have queued and makes one write; nobody waits for
 * another's write (design: Audit log).
 *
 * Fields and kinds: interfaces.md 3.  Untrusted text is escaped by base/json.
 */
#pragma once
#include "audit/inflight.h"
#include "base/err.h"
#include "base/list.h"
#include "base/seal.h"
#include "policy/policy.h"

struct audit_tally;

enum audit_kind {
#define KIND(constant, id, exchange) AUDIT_##constant,
#include "audit/kinds.def"
#undef KIND
    AUDIT_KIND_COUNT
};

/* One event.  Unset parts are null in the record.  Everything is copied at queue time. */
struct audit_event {
    enum audit_kind kind;
    const char *id;  /* 26 characters; NULL: made here */
    int64_t wall_ms; /* 0: now */
    const char *task;
    const char *verdict; /* "allow", "block", "hold" or NULL */
    bool would_block;
    enum reason reason;
    const struct policy_rule *rule, *nearest;
    struct slice method, url; /* ptr NULL: null.  Redacted and cut here (query values over 64 characters) */
    const char *protocol;     /* "http/1.1", … */
    unsigned status;          /* 0: null */
    uint64_t sent, received;  /* bytes to and from the origin */
    int64_t ns;               /* last byte of the head to last byte of the response; -1: null */
    const char *upstream_address, *upstream_protocol, *upstream_tls,
        *upstream_via; /* address NULL: no upstream */
    uint16_t upstream_port;
    const char *client_address;
    int client_pid;           /* 0: not known */
    const char *client_exe;   /* NULL: not known */
    struct slice client_args; /* each ends with a NUL; redacted by whoever read them; ptr NULL: not known */
    bool begun; /* let through while the log worked: taken even where it does not now, and written later */
    const char *detail;  /* `detail`: what went wrong, in words; untrusted */
    const char *outcome; /* `outcome`: "interrupted", "aborted", NULL */
    const struct seal *seal; /* of a `seal` record; chain is the record's `run` */
    struct audit_tally *tally; /* counts this one too (audit/tally.h); NULL: nobody counts */
};

struct audit_log;

struct audit_options {
    int dir_fd;       /* the folder of the file; duplicated */
    const char *name; /* file name in it */
    const char *run;  /* `run` of every record */
    uint64_t rotate;  /* bytes; 0: never */
    unsigned keep;    /* rotated files kept */
    int64_t keep_age_ms; /* and all whose last record is younger */
    bool full_urls;
    /* Has the keeper sign (chain, seq and hash are given); may take a second; NULL: there are no seals.  Called
     * by the log's own thread, never by one that serves. */
    int (*seal)(void *arg, struct seal *claim);
    void *seal_arg;
};

/* Opens (O_APPEND|O_CREAT, 0600, no links followed), takes a lock (one writer a file), finds the end of
 * the chain, cuts an unfinished last line off and writes a `checkpoint` record that says so.
 *
 * Where SIGXFSZ would end the process (setrlimit(2), RLIMIT_FSIZE), it is ignored from here on: a file
 * that may not grow is then an error like a full disk.
 * Opening reads the directory; what comes later uses only openat, renameat, unlinkat, fstatat, fstat,
 * pread, write, fsync, ftruncate, fcntl, close, and one thread (made at the first audit_tick, so after the
 * process has locked itself in). */
MUST_USE int audit_open(const struct audit_options *o, struct audit_log **ret, struct err *e);
/* Writes what is queued, fsyncs.  All ports have been freed. */
void audit_close(struct audit_log *log);
/* False while the log cannot be written: new requests get audit-unavailable, nothing passes.  One atomic
 * read. */
bool audit_available(struct audit_log *log);
/* Why it cannot be written; false, and *ret untouched, when it can.  For a line on standard error. */
bool audit_problem(struct audit_log *log, struct err *ret);
/* Seals what is on file, for the end of a run: call when nobody writes any more. Without a keeper nothing happens. */
void audit_seal(struct audit_log *log);
/* The last record on file: for the summary of a run. */
void audit_head(struct audit_log *log, uint64_t *ret_seq, char ret_hash[65]);
/* Call about once a second from any one thread; never blocks.  A thread of the log's own then looks
 * whether the file is still there, retries after a failure, rotates and fsyncs. */
void audit_tick(struct audit_log *log);

/* Called once in the owner's thread, when the record is on file (ok) or when it is clear that it is not
 * (it may then be written later, when the log can be written again).  May queue, commit and forget; may
 * not free the port. */
struct audit_ticket {
    struct list node;
    void (*written)(struct audit_ticket *t, bool ok);
};

/* A worker's end; used by one thread.  `wake` is called from any thread, under a lock of the log, when
 * that one has written this port's records or when there is more to commit: it only tells the owner (an
 * ev_async_send, an eventfd), who then calls audit_port_deliver from its own thread. */
struct audit_port;
MUST_USE struct audit_port *audit_port_new(struct audit_log *log, void (*wake)(void *arg), void *arg);
/* Writes what is queued, waiting if another thread is writing it.  Tickets still out are forgotten. */
void audit_port_free(struct audit_port *p);
DEFINE_AUTO(audit_port)

/* Queues one record; `ticket` may be NULL (nobody waits).  -1: the log is unavailable (the request counts
 * as refused in the record of the recovery) or the queue is full; then `written` is not called. */
MUST_USE int audit_queue(struct audit_port *p, const struct audit_event *ev, struct audit_ticket *ticket);
/* Withdraws interest, not the record: for an owner that goes away.  Harmless after `written` and on a
 * zeroed ticket. */
void audit_ticket_forget(struct audit_ticket *t);
/* At the end of a loop turn: writes, or leaves it to the thread that is writing; delivers tickets. */
void audit_commit(struct audit_port *p);
/* After a wake: delivers tickets and commits what was queued since. */
void audit_port_deliver(struct audit_port *p);

/* Queue and write at once, for start, stop and reload.  Any thread. */
MUST_USE int audit_write_now(struct audit_log *log, const struct audit_event *ev, struct err *e);
