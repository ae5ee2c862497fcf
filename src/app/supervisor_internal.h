/* Shared by the supervisor's own files. */
#pragma once
#include "app/budget_store.h"
#include "app/ipc.h"
#include "app/role.h"
#include "app/supervisor.h"

struct supervisor {
    struct supervisor_options o;
    struct loop *loop;
    char run[IPC_RUN_BYTES];
    struct load *load;    /* in force */
    struct load *pending; /* sent to the proxy, not confirmed yet */
    bool reload_again;    /* asked for while one was pending */
    struct listeners listeners;
    unsigned workers;
    int audit_dir;
    const char *audit_name; /* in load->config of the start, which keeps audit.file */
    char audit_path[4096];
    int inflight;
    struct budget_store *budgets;
    struct loop_deadline save; /* of the budgets */
    struct trustfiles trust;
    struct role keeper, proxy;
    struct loop_child keeper_end, proxy_end;
    struct loop_io proxy_io;
    bool watching, stopping, stopped_said;
    struct ipc_stopped head;
};

/* supervisor_roles.c */
/* Sends the keeper its setup; ret_sockets: one for each worker, non-blocking, the caller's. */
MUST_USE int supervisor_setup_keeper(struct supervisor *s, int *ret_sockets, struct err *e);
MUST_USE int supervisor_setup_proxy(struct supervisor *s, int bundle, const int *sockets, struct err *e);
/* Waits for READY; *ret_text gets its payload (may be NULL). */
MUST_USE int supervisor_await(struct role *r, struct buf *ret_text, struct err *e);
/* A dead proxy's open requests become records. */
void supervisor_recover(struct supervisor *s, int status);
