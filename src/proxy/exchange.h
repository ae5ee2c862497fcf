/* One request and its response: judged, forwarded or blocked, recorded.
 *
 * Its memory comes from the exchange's arena and the worker's blocks and goes back at the end.
 * Nothing is resolved, dialled or sent before the verdict.
 */
#pragma once
#include "base/ulid.h"
#include "http/h1.h"
#include "proxy/charge.h"
#include "proxy/conn.h"

enum { EXCHANGE_ARENA_BYTES = 192 << 10, EXCHANGE_DETAIL_BYTES = 256 };

struct exchange {
    struct conn *conn;
    struct list young; /* node of worker->young until its `open` record is written */
    struct arena arena;
    struct proxy_snapshot *snapshot; /* keeps the rules alive that the verdict names */
    enum audit_kind kind;            /* request, or connect for a CONNECT that got no further */
    char id[ULID_BYTES];
    int64_t wall_ms, started; /* when the head was complete */

    struct slice raw_target;  /* as it was received; in the arena, since it is parsed into slices that live as long */
    struct slice method, url; /* in the arena; ptr NULL where unknown */
    bool url_canonical;       /* else as it was received: for the record, not for the agent */
    struct http_target target;
    struct request_facts facts; /* for judging again after a reload */
    struct verdict verdict;
    enum reason reason;
    bool blocked;      /* the record's verdict */
    bool unrecorded;   /* its task's audit budget is spent: it is only counted */
    bool mute;         /* captured, and waiting for TLS: nothing that we could say would be understood */
    bool wants_json;   /* Accept: application/json */
    bool head_request; /* the answer has no body */
    bool http10;       /* the client cannot read chunks */
    bool client_keep_alive;
    const char *outcome;
    char detail[EXCHANGE_DETAIL_BYTES];

    struct charge charge; /* what it takes of budgets */
    int64_t retry_after;  /* seconds; 0: not known, or never */

    struct inflight_slot *slot;
    struct fetch_op *op;
    struct fetch_conn *up;
    struct stream up_stream;
    bool up_readable, up_eof;
    struct buf up_out, up_in;
    size_t up_head_seen;

    struct h1_body request_body, response_body;
    uint64_t body_max; /* of the rule */
    bool request_chunked, request_done;
    bool response_begun;    /* its final head stands in conn->out, or was sent */
    bool response_chunked;  /* towards the client */
    bool response_close;    /* ended by the end of the connection (HTTP/1.0 clients) */
    bool up_keep_alive;
    bool request_lost; /* the origin takes no more of it; its answer may be there all the same */
    bool retried;
    unsigned interims; /* 1xx responses so far */
    enum { TUNNEL_NONE, TUNNEL_HELLO, TUNNEL_DIAL, TUNNEL_OPEN } tunnel; /* tunnel.h */
    bool up_shut, client_shut; /* the end of the other side was passed on */
    bool pins;         /* its connection to the origin is authenticated as a whole (http/auth.h) */
    struct buf request_trailers, response_trailers; /* as they came, until the last chunk is written */

    unsigned status;
    uint64_t sent, received;
    char up_address[FETCH_ADDRESS_TEXT];
    uint16_t up_port;
    const char *up_tls, *up_via; /* literal; in the arena */

    uint64_t to_client; /* bytes of the answer that have left */
    struct audit_ticket ticket;
    enum { TICKET_NONE, TICKET_WAITING, TICKET_PENDING, TICKET_WRITTEN, TICKET_FAILED } ticket_state;
};

MUST_USE struct exchange *exchange_new(struct conn *c, enum audit_kind kind);
void exchange_free(struct exchange *x);

/* A request whose head was parsed (worker->request): finds out who asks and what for, judges, and starts
 * or refuses it (request.c). */
void request_begin(struct conn *c);
/* Refuses what was not read, or cannot be: the connection ends with the answer. */
void request_refuse_unread(struct conn *c, enum reason reason, const char *detail);
/* A new snapshot is in force: an exchange that it does not allow is cut (design: Judged first). */
void request_judge_again(struct exchange *x, const struct proxy_snapshot *snapshot);
/* Whatever its verdict, it has a record, which is its task's share of the log: one must not push the others' out.
 * -1: the share is used up, and it is refused. */
MUST_USE int request_fill_log(struct exchange *x);
/* A CONNECT (intercept.c). */
void intercept_connect(struct exchange *x, const struct h1_request *r);
/* x->target names host and port, and the connection is its task's: judged, then terminated or refused. */
void intercept_open(struct exchange *x, const struct snapshot_task *t);
/* The answer to a CONNECT that is let in; -1: the client does not take it. */
MUST_USE int intercept_say_established(struct conn *c);
/* Who asks, for a request on the explicit proxy's own connection: 0, or the exchange is refused already. */
MUST_USE int request_identify(struct exchange *x, const struct h1_request *r,
                              const struct snapshot_task **ret_task);

/* Answers with a block page and records it; `detail` (literal or copied) may be NULL. */
void exchange_refuse(struct exchange *x, enum reason reason, const char *detail);
/* An allowed request that the origin or the way there failed: 502/504 while nothing of a response was
 * sent, else the client's connection is aborted. */
void exchange_fail(struct exchange *x, enum reason reason, const char *detail);
void exchange_arm(struct exchange *x);
/* No answer, or no byte of a body, within its time. */
void exchange_stalled(struct exchange *x);
/* The client has gone away. */
void exchange_abandoned(struct exchange *x);
/* The whole response stands in conn->out: queue the record and wait for it (CONN_COMMIT). */
void exchange_complete(struct exchange *x);
/* Who the client is, is known, or will not be: a record that waited for that is made. */
void exchange_client_settled(struct exchange *x);
/* The step of CONN_COMMIT: lets the answer go once its record is on file. */
bool exchange_commit_step(struct conn *c);
/* A record of kind `open` for what lasts or sends much. */
void exchange_record_open(struct exchange *x);

/* upstream.c */
/* What the rule that decided wants of a connection to x->target. */
struct fetch_want upstream_want_of(struct exchange *x);
/* Whether the connection in use may stay under another rule: NULL, or what its peer is. */
const char *upstream_forbids(const struct exchange *x, const struct policy_rule *rule);
/* A new connection is the exchange's from here on. */
void upstream_attach(struct exchange *x, struct fetch_conn *up);
/* The reason of a fetch that failed, answered as such. */
void upstream_refused(struct exchange *x, const struct fetch_result *result);
/* So many bytes more went to the origin: counted, and on record once they are many.  False where the exchange
 * has ended with that. */
bool upstream_sent(struct exchange *x, size_t n);
/* The client connection's own connection to an origin, if it has one, ends with it. */
void upstream_unpin(struct conn *c);
void upstream_begin(struct exchange *x, bool fresh);
/* The worker's snapshot allows it, with this verdict.  Where a connection is still being made by the word of a
 * former one, which may have let it go to other addresses, that ends here, the new one's word counts, and the
 * caller begins anew (true). */
bool upstream_cancel_outdated(struct exchange *x, const struct verdict *now);
/* How the connection to the origin ends: into the pool, cleanly, or so that no part of a message looks whole. */
enum upstream_end { UPSTREAM_KEEP, UPSTREAM_CLOSE, UPSTREAM_ABORT };
void upstream_drop(struct exchange *x, enum upstream_end end);
/* What to wait for on the origin's side. */
void upstream_want(struct exchange *x);
int forward_request_head(struct exchange *x, const struct h1_request *r);
int forward_response_head(struct exchange *x, const struct h1_response *r);

/* blockpage.c: appends a whole response to `out`. `close`: says that the connection ends with it. */
MUST_USE int blockpage_write(const struct exchange *x, enum reason reason, bool close, struct buf *out);

/* Above this many unsent bytes on one side, the other side is not read. */
enum { HIGH_WATER = 16 << 10 };
