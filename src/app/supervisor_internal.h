/* Shared by the supervisor's own files. */
#pragma once
#include "app/budget_store.h"
#include "app/file_watch.h"
#include "app/ipc.h"
#include "app/jailnet.h"
#include "app/reload_socket.h"
#include "app/role.h"
#include "app/seal_keys.h"
#include "app/supervisor.h"
#include "base/list.h"

enum { KEEPER_SOCKETS_MAX = IPC_WORKERS_MAX + 1, CA_PEM_BYTES = 64 << 10 };

/* What the proxy was asked to take: it answers in this order. */
struct jail_asked {
    struct list node; /* of supervisor->jails_asked */
    unsigned id;
    bool guest; /* the answer goes to supervisor->guests; else it is awaited in jail_answer */
};

struct jail_answer {
    bool awaited, ready;
    char why[900];
};

struct supervisor {
    struct supervisor_options o;
    struct loop *loop;
    char run[IPC_RUN_BYTES];
    struct load *load;    /* in force */
    struct load *pending; /* sent to the proxy, not confirmed yet */
    bool reload_again;    /* asked for while one was pending */
    bool again_alone;     /* by the watch alone: links are not followed then either */
    struct files_source files;       /* what is read at the next reload */
    struct trust_record *given_texts; /* a run's, from `exeat reload`; NULL: those of the start */
    struct files_given *given;        /* the configuration, and those */
    struct reload_socket *orders;
    struct reload_place place; /* of a run's orders; a daemon's lie in the state folder */
    struct file_watch *watch; /* NULL: policy files are not watched */
    struct listeners listeners;
    unsigned workers;
    int audit_dir;
    const char *audit_name; /* in load->config of the start, which keeps audit.file */
    char audit_path[4096];
    int inflight;
    struct budget_store *budgets;
    struct loop_deadline save; /* of the budgets */
    struct trustfiles trust;
    char seal_key[2 * ED25519_KEY_BYTES + 1];
    struct role keeper, proxy;
    struct loop_child keeper_end, proxy_end;
    struct loop_io proxy_io;
    bool watching, stopping, stopped_said;
    struct list jails; /* struct jailnet (jailnet.c) */
    struct list jails_asked; /* struct jail_asked */
    unsigned jails_so_far;
    struct jail_answer jail_answer;
    struct guest_calls guests;
    struct ipc_stopped head;
};

/* One for each worker, and the last for the log. */
size_t keeper_sockets(const struct supervisor *s);
/* supervisor_roles.c */
/* Sends the keeper its setup; ret_sockets: keeper_sockets, non-blocking, the caller's. */
MUST_USE int supervisor_setup_keeper(struct supervisor *s, int *ret_sockets, struct err *e);
MUST_USE int supervisor_setup_proxy(struct supervisor *s, int bundle, const int *sockets, struct err *e);
/* Waits for READY; *ret_text gets its payload (may be NULL). */
MUST_USE int supervisor_await(struct role *r, struct buf *ret_text, struct err *e);
/* Takes one message of the proxy's, waiting so long.  False when there is none, or no proxy any more. */
bool supervisor_read(struct supervisor *s, int timeout_ms);
/* supervisor.c */
/* Returns the descriptor of a bundle that was compiled here without a finding. */
MUST_USE int supervisor_read_configuration(struct supervisor *s, struct load **ret, struct err *e);
/* The keeper is ready: *ret_ca is its certificate, in `text`; the key of its seals is kept. */
MUST_USE int supervisor_await_keeper(struct supervisor *s, struct buf *text, struct slice *ret_ca, struct err *e);
/* The trust files, with the system's roots of the bundle; -1: read anew. */
MUST_USE int supervisor_write_trust(struct supervisor *s, struct slice ca_pem, int bundle_fd, struct err *e);
void supervisor_keeper_ended(struct loop_child *child, int status);
/* supervisor_reload.c */
MUST_USE int supervisor_tell_proxy(struct supervisor *s, enum ipc_type type, struct slice text, const int *fd);
/* Once it serves: orders from outside, and the watch of policy files. */
MUST_USE int supervisor_hear(struct supervisor *s, struct err *e);
void supervisor_hear_no_more(struct supervisor *s);
/* The proxy's answer to a reload. */
void supervisor_reloaded(struct supervisor *s, const struct ipc_message *m);
/* jailnet.c */
void supervisor_free_jails(struct supervisor *s);
/* JAIL_READY, JAIL_REFUSED, GUEST_LEFT. */
void supervisor_jail_answered(struct supervisor *s, const struct ipc_message *m);
/* A dead proxy's open requests become records. */
void supervisor_recover(struct supervisor *s, int status);
