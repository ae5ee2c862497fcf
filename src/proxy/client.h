/* Who asked: which process of the jail has a connection (design: The jail, 7).
 *
 * The proxy has locked itself in and cannot look; the supervisor can.  A question goes out when a connection
 * is accepted, over a socket of the worker's own; the answer is there long before most records are made, and
 * a record that would be earlier waits for it, at most CLIENT_WAIT_NS.  What is not known by then stays null.
 */
#pragma once
#include "base/list.h"
#include "fetch/address.h"
#include "loop/loop.h"

enum { CLIENT_EXE_BYTES = 256, CLIENT_ARGS_BYTES = 1024, CLIENT_WAIT_NS = 50000000 };

/* Messages: SOCK_SEQPACKET, of one build.  Both ends as the client sees them. */
struct client_question {
    uint64_t id;
    struct fetch_address local, remote;
};
struct client_answer {
    uint64_t id;
    int32_t pid; /* as the supervisor sees it; 0: not found */
    uint16_t args_len;
    char exe[CLIENT_EXE_BYTES];   /* a C string; empty: not known */
    char args[CLIENT_ARGS_BYTES]; /* each ends with a NUL; redacted */
};

struct conn;
struct worker;

/* Of a connection: waits for an answer, then holds it. */
struct client {
    struct list node; /* of worker->asking, until the answer or the end of the wait */
    struct loop_deadline late;
    struct conn *conn;
    struct client_answer answer;
};

/* Asks; without memory or room in the socket nobody will know, and nothing waits.  `remote`: what the client
 * connected to. */
void client_ask(struct conn *c, int sock, const struct fetch_address *remote);
/* Whether an answer may still come. */
bool client_is_awaited(const struct conn *c);
/* What is known, for a record of the connection. */
struct audit_event;
void client_note(const struct conn *c, struct audit_event *ev);
void client_free(struct client *cl);
/* The worker's end of the supervisor's answers.  False when the supervisor has closed the other end. */
bool client_take_answers(struct worker *w, int sock);
