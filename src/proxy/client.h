/* Who asked: which process of the jail has a connection (design: The jail, 7).
 *
 * The proxy has locked itself in and cannot look; the supervisor can.  A question goes out when a connection
 * is accepted, over a socket of the worker's own; the answer is there long before most records are made, and
 * a record that would be earlier waits for it, at most CLIENT_WAIT_NS.  What is not known by then stays null.
 */
#pragma once
#include "fetch/address.h"

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

struct audit_event;
struct client; /* of one connection: waits for an answer, then holds it */
struct worker;

/* Asks whose connection goes from `local` to `remote`, what it connected to.  `settled` is called once, when
 * that is known or will not be any more; never where nobody will know because memory or room in the socket is
 * missing, and then nothing is awaited. */
struct client *client_ask(struct worker *w, int sock, const struct fetch_address *local,
                          const struct fetch_address *remote, void (*settled)(void *arg), void *arg);
/* The rest takes NULL: nobody was asked for. */
/* Whether an answer may still come. */
bool client_is_awaited(const struct client *cl);
/* What is known, for a record of the connection. */
void client_note(const struct client *cl, struct audit_event *ev);
void client_free(struct client *cl);
/* The worker's end of the supervisor's answers.  False when the supervisor has closed the other end. */
bool client_take_answers(struct worker *w, int sock);
