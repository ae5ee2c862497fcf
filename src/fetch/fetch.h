/* Connections to origins: resolve, judge every address, connect, secure, pool.
 *
 * c-ares resolves on the worker's loop, the guard judges the whole answer, libcurl makes the TCP
 * connection to judged addresses only (happy eyeballs), tls/ secures it.  One `struct fetch` a worker;
 * nothing in it blocks.  A connection that comes out is ready for HTTP.
 */
#pragma once
#include "fetch/address.h"
#include "http/target.h"
#include "loop/loop.h"
#include "tls/conn.h"

enum fetch_fault {
    FETCH_OK,
    FETCH_ADDRESS_BLOCKED, /* one answer is forbidden: the name is */
    FETCH_DNS,             /* no such name, no answer, name server silent */
    FETCH_REFUSED,         /* no address accepted a connection */
    FETCH_TLS,             /* handshake or certificate */
    FETCH_TIMEOUT,         /* connect or handshake took too long */
    FETCH_OVERLOADED,      /* a cap of ours: look-ups or connections */
};

/* `upstream.resolve`: an address that the operator wrote for exactly this host and port. */
struct fetch_override {
    const char *host; /* canonical */
    uint16_t port;
    struct fetch_address to; /* with its own port */
};

/* `upstream.proxy`: another proxy that stands between us and the origins.  Names are resolved there. */
enum fetch_proxy_kind { FETCH_PROXY_NONE, FETCH_PROXY_HTTP, FETCH_PROXY_SOCKS5 };

struct fetch_proxy {
    enum fetch_proxy_kind kind;
    struct http_authority at;   /* its own; its address may be private: the operator wrote it */
    const char *user, *password; /* decoded; NULL: none */
    const char *text;           /* "http://proxy.corp.example:3128", without credentials: `via` of records */
};

/* One snapshot's.  fetch_configure copies all of it and takes a reference to `trust`. */
struct fetch_settings {
    const struct fetch_override *overrides; /* several for one host and port: all are tried */
    size_t override_count;
    const struct fetch_address *listeners; /* exeat's own: always forbidden (port 0: any port) */
    size_t listener_count;
    struct tls_trust *trust;
    struct fetch_proxy proxy;
    const char *hint;     /* ends the detail of a failed connection; NULL: none */
    int64_t connect_ns;   /* look-up and TCP */
    int64_t handshake_ns; /* TLS */
    int64_t pool_idle_ns; /* how long a connection may lie in the pool */
};

/* All that it points to, but `trust`, into the arena.  -1 without room; *ret is untouched then. */
MUST_USE int fetch_settings_copy(struct arena *a, const struct fetch_settings *from, struct fetch_settings *ret);

/* Once a process, before it locks itself in: the libraries' global parts, and the system's name servers
 * (/etc/resolv.conf).  fetch_new does it where nobody did. */
MUST_USE int fetch_prepare(struct err *e);

/* fetch_new opens /dev/urandom (c-ares seeds its query ids from it, and falls back to rand(3) in silence:
 * so it fails where that is not readable) and asks netlink for this machine's addresses; later only the
 * latter happens again.  Environment variables of the libraries are ignored. */
struct fetch;
MUST_USE int fetch_new(struct loop *l, struct fetch **ret, struct err *e);
/* Operations under way end without `done`; connections that are out have been released before. */
void fetch_free(struct fetch *f);
DEFINE_AUTO(fetch)
/* New settings (a new snapshot), needed before the first fetch_acquire: idle connections of older
 * generations are closed now, others when they come back. */
MUST_USE int fetch_configure(struct fetch *f, const struct fetch_settings *s, uint64_t generation,
                             struct err *e);
/* Other name servers than the system's: "192.0.2.1,192.0.2.2:5353,[2001:db8::1]:53".  Before the first
 * look-up. */
MUST_USE int fetch_set_name_servers(struct fetch *f, const char *csv, struct err *e);

/* A connection to an origin.  While acquired, the owner drives `io` (and reads `arg` there).
 *
 * `io` is never stopped when it changes hands: it wants LOOP_READ in the pool and when it is handed out,
 * so that a request on a pooled connection costs no epoll_ctl(2).  The owner sets io.ready at once. */
struct fetch_conn {
    int fd;
    struct tls_conn *tls; /* NULL for http */
    struct loop_io io;
    struct fetch_address peer;
    uint64_t generation;
    const char *via; /* NULL: direct, else the text of the proxy that `peer` is; lives as long as this */
    bool reused;     /* served a request before */
    void *arg;   /* the owner's */
};

/* What the rule that decided says of addresses that the guard forbids (`addresses`).  The jail's synthetic
 * ranges and exeat's own listeners stay forbidden whatever it answers. */
struct fetch_permit {
    bool (*holds)(const void *arg, const struct fetch_address *a); /* NULL: the rule says nothing */
    const void *arg; /* outlives the operation */
};

struct fetch_want {
    struct slice task; /* pools never cross tasks */
    enum http_scheme scheme;
    struct http_authority authority;
    bool single_label_ok;       /* a rule wrote this name itself */
    bool opaque;                /* TLS is the client's affair: what comes out is TCP, and never pooled */
    struct fetch_permit permit; /* with one, the way is direct: what lies inside is not the proxy's to reach */
};

struct fetch_result {
    enum fetch_fault fault;
    struct fetch_conn *conn; /* with FETCH_OK; else NULL */
    char detail[256];        /* for the record: "certificate has expired"; untrusted text, names no address */
};
typedef void fetch_done(void *arg, const struct fetch_result *result);

struct fetch_op;
/* A pooled connection at once (returns it, *ret_op is NULL), or NULL and an operation whose `done` is
 * called later exactly once, from the loop, never from within this call.  `want` is copied.
 * Without memory, NULL and no operation: `done` will not be called, the caller treats it as FETCH_OVERLOADED.
 * Nothing is resolved or dialled before this call: the verdict comes first. */
struct fetch_conn *fetch_acquire(struct fetch *f, const struct fetch_want *want, fetch_done *done, void *arg,
                                 struct fetch_op **ret_op);
/* Whether a connection that its owner kept to itself between two requests may serve `want`: of
 * this generation, its peer judged again, and nothing said meanwhile. */
bool fetch_may_serve(struct fetch *f, struct fetch_conn *c, const struct fetch_want *want);
bool fetch_is_silent(struct fetch_conn *c);
/* Whether a connection in use may stay, by the settings in force and this rule: NULL, or what its peer is. */
const char *fetch_forbids(struct fetch *f, const struct fetch_conn *c, const struct fetch_permit *permit);
/* As fetch_acquire, never from the pool; NULL without memory. */
struct fetch_op *fetch_connect(struct fetch *f, const struct fetch_want *want, fetch_done *done, void *arg);
/* `done` will not be called.  Not from within `done`: the operation is over then.  NULL is nothing. */
void fetch_cancel(struct fetch_op *op);
/* Gives a connection back: into the pool when `reusable` (its last message ended cleanly and nothing
 * is left unread), else closed. */
void fetch_release(struct fetch *f, struct fetch_conn *c, bool reusable);
/* Closes a connection so that the peer sees an abort (RST), never a clean end. */
void fetch_abort(struct fetch *f, struct fetch_conn *c);
