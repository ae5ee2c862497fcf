/* How `exeat reload` and `exeat ca rotate` reach a running supervisor: DIR/reload.sock, 0600, in its state folder
 * (of a run: STATE/orders/RUN), where no jail and no other user can connect.
 *
 * SOCK_SEQPACKET.  The caller sends one packet: an order, and for a run a descriptor of the texts that shall take
 * effect, in the form of app/trust.h: a run never reads its project again.  The answers are packets of a level
 * ('i', 'w', 'e') and a line, then one of 'x' and the exit status as a digit.  Peers of another user (but root) or
 * another network namespace are turned away (unix(7), SO_PEERCRED). */
#pragma once
#include "app/trust.h"
#include "loop/loop.h"

enum reload_order {
    RELOAD_FILES = 'R',  /* read everything again; with texts: these */
    RELOAD_KEEPER = 'K', /* start a keeper with the CA that is on disk now */
    RELOAD_ABOUT = 'A',  /* only say which project this serves: one line */
};

#define RELOAD_SOCKET "reload.sock"
#define RELOAD_RUNS "orders" /* in the state folder: a folder for each run */
enum { RELOAD_LINE_BYTES = 4096 };

/* --- the supervisor's side --- */

struct reload_socket;
/* An order; `texts` is the callee's, NULL where none came.  The answer follows by reload_socket_say and _end. */
typedef void reload_take(void *arg, enum reload_order order, struct trust_record *texts);

/* `about` is what RELOAD_ABOUT says, which `take` does not see; NULL: nothing.  It outlives the socket. */
MUST_USE int reload_socket_open(struct loop *loop, const char *dir, const char *about, reload_take *take, void *arg,
                                struct reload_socket **ret, struct err *e);
void reload_socket_free(struct reload_socket *r); /* also removes the name */

/* Of a run: a folder of its own, which is not where the trust files of the jail lie. */
struct reload_place {
    char dir[4096]; /* "": none was made */
    int lock;       /* of it: says that this run lives */
};
#define RELOAD_PLACE_NONE ((struct reload_place){.dir = "", .lock = -1})
MUST_USE int reload_place_make(struct reload_place *p, const char *state, const char *run, struct err *e);
void reload_place_remove(struct reload_place *p); /* after the socket */
/* To all who wait; `r` may be NULL. */
void reload_socket_say(struct reload_socket *r, char level, const char *line);
void reload_socket_end(struct reload_socket *r, int status);

/* --- the caller's side --- */

typedef void reload_line(void *arg, char level, struct slice line);
/* Sends an order to the supervisor of this folder and waits for its end.  1: nobody serves there. */
MUST_USE int reload_ask(const char *dir, enum reload_order order, struct slice texts, reload_line *line, void *arg,
                        int *ret_status, struct err *e);
