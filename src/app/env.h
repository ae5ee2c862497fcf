/* The environment of a program that is to use the proxy: a pure function from where things are to names and
 * values.  The list is env.def; `exeat env` prints it, `exeat run` sets it. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* All paths are absolute: the program may change its directory. */
struct env_inputs {
    const char *proxy_host; /* name or address, IPv6 without brackets */
    uint16_t proxy_port;
    const char *task;        /* NULL: no credentials (the task is known by its source address) */
    struct slice token;      /* with `task`; any bytes */
    const char *bundle;      /* PEM: the system's roots and our CA */
    const char *ca;          /* PEM: our CA alone */
    const char *trust_store; /* for JVMs (tls/roots.h) */
    bool jailed;             /* loopback is the jail's own: it goes past the proxy */
};

/* -1 ends the walk. */
typedef int env_visit(void *arg, const char *name, const char *value);
/* Calls `visit` for every variable in the order of env.def.  Values hold no newline unless a path does.
 * Errors: a value that is too long, or what `visit` refused. */
MUST_USE int env_each(const struct env_inputs *in, env_visit *visit, void *arg, struct err *e);
