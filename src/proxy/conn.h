/* A client connection: the agent's TCP connection to the explicit proxy, and what was tunnelled in it.
 *
 *   HEAD → EXCHANGE → COMMIT → FLUSH → HEAD …            requests, one after the other
 *   SNIFF → HEAD …, SNIFF → EXCHANGE → CERT → HANDSHAKE → HEAD …   captured in a jail: HTTP, TLS
 *   HEAD → EXCHANGE → CERT → HANDSHAKE → HEAD …           CONNECT: the tunnel is terminated here
 *   HEAD → EXCHANGE → TUNNEL → COMMIT → …                 CONNECT that is passed through, not terminated
 *   … COMMIT → FLUSH → LINGER → CLOSED                    the last answer, then the end
 *
 * COMMIT waits for the audit record: the last bytes of a response are in `out` and stay there until
 * the record is on file.  Backpressure is: stop wanting to read.
 */
#pragma once
#include "proxy/certs.h"
#include "proxy/stream.h"
#include "proxy/worker.h"

enum conn_state {
#define STATE(constant, name, next) CONN_##constant,
#include "proxy/states.def"
#undef STATE
    CONN_STATE_COUNT
};

/* What the connection's deadline means when it comes. */
enum conn_timer { TIMER_IDLE, TIMER_HEAD, TIMER_CERT, TIMER_HANDSHAKE, TIMER_RESPONSE_HEAD, TIMER_STALL, TIMER_TUNNEL, TIMER_LINGER };

struct exchange;

struct conn {
    struct list node; /* of the worker's connections, or of its graveyard */
    struct worker *worker;
    enum conn_state state;
    enum conn_timer timer;

    struct stream stream;
    struct loop_io io;
    struct loop_deadline deadline;
    bool readable; /* the loop said so and nothing was read since */
    bool eof;      /* the client has ended its side */
    bool close_after; /* nothing follows the response in progress */
    bool cut;      /* … and it must not look complete */
    bool client_late; /* timeouts.head has passed in the middle of a head */

    struct fetch_address peer;
    char peer_text[FETCH_ADDRESS_TEXT];
    struct buf in, out;
    size_t head_seen; /* bytes of `in` that were tried as a head already */
    bool followed;    /* more bytes came with the head */

    /* Who this connection belongs to: fixed by its first credential. */
    struct task_state *task; /* NULL before; counted in task->connections */
    struct source *source;   /* NULL: not counted (of a jail, or too many) */

    /* Accepted in a jail: what comes is its task's, without a token.  Else NULL. */
    struct jail *jail;
    struct client *client; /* who it is, as far as that is known; NULL */
    /* It was meant for somebody else (capture.h): `authority` is whom, and no CONNECT came before. */
    bool captured;
    bool captured_denied; /* no rule allows anything there */
    bool captured_ends;   /* it is over, and only its record waits, for who it is */

    /* After CONNECT. */
    bool intercepted;
    bool blocked_tunnel; /* terminated only to explain the block: one request, then the end */
    enum reason connect_reason; /* of the CONNECT's own verdict */
    bool had_request;    /* else the tunnel itself gets a record at its end */
    enum tls_failure tunnel_failure; /* why nothing came of it */
    struct http_authority authority; /* host lies in `host` */
    char host[CAP_HOST_BYTES + 1];
    struct certs_waiter cert_waiter;
    struct tls_cert *cert;

    /* A connection to the origin that was authenticated for this client (http/auth.h), between two requests:
     * nobody else gets it, and it ends with this one. */
    struct fetch_conn *pinned;

    struct exchange *exchange; /* of EXCHANGE, COMMIT, CERT and FLUSH */
};

MUST_USE int conn_new(const struct listener *l, int fd, const struct fetch_address *peer);
/* Does what can be done without waiting, then says what to wait for. */
void conn_pump(struct conn *c);
/* One function changes each state, and asserts that the step is legal. */
void conn_enter(struct conn *c, enum conn_state next);
void conn_timer(struct conn *c, enum conn_timer timer, int64_t ns);
/* Who it is: over that socket of the jail's (client.h); `remote` is what it connected to. */
void conn_ask_client(struct conn *c, int sock, const struct fetch_address *remote);
/* Ends the connection now; `abort`: so that the client cannot take what it has for complete. */
void conn_close(struct conn *c, bool abort);
/* Frees what was closed in this turn. */
void conn_bury(struct worker *w);
struct slice conn_task_name(const struct conn *c);
/* Closes connections that wait for a request (draining). */
void conn_close_idle(struct worker *w);

/* Steps of the table in conn.c: true when something was done and the pump should look again. */
bool head_step(struct conn *c);
bool intercept_handshake_step(struct conn *c);
bool exchange_step(struct conn *c);

/* A tunnel has ended; without a request in it, it gets a record of its own. */
void intercept_record_end(struct conn *c);
