/* The sockets that clients connect to: opened by the supervisor, used by the proxy role. */
#pragma once
#include "app/config.h"
#include "app/ipc.h"

struct listeners {
    int fds[IPC_LISTENERS_MAX];
    struct fetch_address addresses[IPC_LISTENERS_MAX]; /* as bound: port 0 has become another */
    size_t count;
};

enum { LISTENER_TEXT = 64 };

MUST_USE int listeners_open(const struct config *c, struct listeners *ret, struct err *e);
void listeners_close(struct listeners *l);
/* "127.0.0.1:3128", "[::1]:3128" */
void listener_print(const struct fetch_address *a, char ret[LISTENER_TEXT]);
