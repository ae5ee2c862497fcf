/* What the proxy needs to know, as plain data, and the immutable snapshot made of it.
 *
 * app/ fills a struct proxy_settings from the configuration; the snapshot copies all of it, indexes the
 * tasks, and is then shared by all workers.  A reload makes a whole new snapshot or none.
 */
#pragma once
#include "fetch/fetch.h"
#include "inspect/budgets.h"
#include "policy/limits.h"
#include "policy/policy.h"

enum proxy_blocked_connect { BLOCKED_CONNECT_EXPLAIN, BLOCKED_CONNECT_REFUSE };

/* To add one: a row here, a row in app/config.c's table, a line in the documentation. Sizes are bytes. */
struct proxy_limits {
    size_t head_size;              /* default 64 KiB */
    unsigned connections_per_task; /* default 1000 */
    unsigned connections_per_source; /* default 10000: open ones of one client address (IPv6: of one /64) */
    struct policy_limits task;     /* a ceiling for each task's own `limits`; default: none */
    uint64_t task_heads;           /* for a task's life, where nothing limits uploads; 0: none (default) */
    uint64_t task_records;         /* bytes of the log that each task may fill a day; 0: any number */
};

/* Nanoseconds. */
struct proxy_timeouts {
    int64_t head;          /* default 10 s: first to last byte of a request's head, also the wait for TLS */
    int64_t connect;       /* 10 s: look-up and TCP */
    int64_t tls_handshake; /* 10 s, either side */
    int64_t response_head; /* 120 s */
    int64_t idle;          /* 300 s between requests */
    int64_t body_stall;    /* 60 s without a byte of a body */
    int64_t shutdown;      /* 30 s */
};

struct proxy_source {
    struct fetch_address net; /* port unused; host bits are zero */
    unsigned prefix;
};

struct proxy_task_settings {
    const char *name;
    struct policy *policy; /* the snapshot takes a reference of its own; NULL: policy-unavailable */
    bool has_token;
    uint8_t token_sha256[32];
    const struct proxy_source *sources;
    size_t source_count;
    bool jailed; /* nobody else is it: neither token nor sources */
    /* Of a task that comes by itself and goes again; else zeros. */
    struct budgets *budgets; /* where its limits count; outlives the policy */
    const char *owner;       /* for whom the ceilings count, over all of his tasks */
    uint64_t heads;          /* as limits.task_heads, where that is not written */
};

struct proxy_settings {
    const struct proxy_task_settings *tasks;
    size_t task_count;
    const struct fetch_override *overrides;
    size_t override_count;
    struct fetch_proxy proxy;
    const char *hint; /* of connections that fail (fetch/fetch.h); NULL: none */
    const struct fetch_address *listeners;
    size_t listener_count;
    struct tls_trust *trust; /* the snapshot takes a reference of its own */
    enum proxy_blocked_connect blocked_connect;
    struct proxy_limits limits;
    struct proxy_timeouts timeouts;
    struct budgets *budgets; /* outlives all snapshots; NULL: nothing is counted */
    struct policy_limits owner; /* a ceiling for all tasks of one owner together */
};

void proxy_settings_defaults(struct proxy_settings *s);

struct proxy_snapshot;
/* Errors: two tasks with one name, with one token, or with overlapping claims (the same source, no token). */
MUST_USE int proxy_snapshot_new(const struct proxy_settings *s, uint64_t generation,
                                struct proxy_snapshot **ret, struct err *e);
struct proxy_snapshot *proxy_snapshot_ref(struct proxy_snapshot *s);
void proxy_snapshot_free(struct proxy_snapshot *s);
DEFINE_AUTO(proxy_snapshot)
