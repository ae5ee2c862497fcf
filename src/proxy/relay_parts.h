/* Inside of proxy/relay: one connection (relay.c), and all of a jail (relays.c). */
#pragma once
#include "base/ulid.h"
#include "proxy/duplex.h"
#include "proxy/relay.h"
#include "proxy/worker.h"

struct relays {
    struct list node; /* of worker->relays */
    struct worker *worker;
    struct jail *jail;       /* a reference */
    struct task_state *task; /* the jail's: it counts their connections */
    int ask; /* proxy/client.h; closed with the jail's ports, which is before the last of these */
    struct list services, relays;
    unsigned count;
    bool leaving; /* the jail is gone */
    bool held;    /* somebody walks over them: they are not freed */
};

struct relay {
    struct list node;
    struct relays *all;
    struct relay_order order;
    struct fetch_address target;
    struct loop_io io[DUPLEX_SIDES];
    struct loop_deadline late; /* while it connects; when one side has ended; when the jail has */
    struct duplex duplex;
    enum { RELAY_DIALS, RELAY_WAITS, RELAY_OPEN } state; /* it waits for who asked, then for its record */
    enum reason failure;                                 /* why it ends when it is known who asked */
    struct client *client;                               /* NULL: it comes from outside */
    char peer_text[FETCH_ADDRESS_TEXT];
    struct audit_ticket ticket;
    int64_t began;
    char id[ULID_BYTES];
};

/* --- relay.c --- */
/* Both descriptors are taken over. */
void relay_begin(struct relays *all, const struct relay_order *o, int client, int target);
/* With RST to both sides: what was cut must not look whole. */
void relay_cut(struct relay *r, const char *verdict, enum reason reason);
/* The jail is gone. */
void relay_leave(struct relay *r);

/* --- relays.c --- */
/* REASON_NONE: by the policy in force there may be such a connection. */
enum reason relays_judge(const struct relays *all, const struct relay_order *o);
/* One less: listeners that waited accept again; the last one of a jail that is gone frees them all. */
void relays_one_gone(struct relays *all);
