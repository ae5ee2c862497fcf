/* An origin that does as the path of a request says: what plain HTTP servers answer, and what hostile ones
 * do.  A thread a connection; plain or, with a certificate, over TLS. */
#pragma once
#include "base/buf.h"
#include "tls/conn.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { ORIGIN_CONNS = 900, HALF = 40000 };

struct origin_conn {
    struct origin *origin;
    int fd;
    struct tls_conn *tls;
    bool cut; /* ends without close_notify */
    pthread_t thread;
};

struct origin {
    int fd;
    uint16_t port;
    struct tls_server *server; /* NULL: plain */
    struct tls_cert *cert;
    pthread_t acceptor;
    atomic_uint count, requests;
    struct origin_conn conns[ORIGIN_CONNS];
    sem_t go;              /* what /hold and /speak-up wait for */
    sem_t spoken;          /* what /speak-up says with its second answer */
    atomic_bool closing;   /* nothing drips any longer */
    atomic_int last_errno; /* how the last upload ended: 0 cleanly, -1: has not */
    struct buf seen;       /* of the last upload; once last_errno is not -1 */
};

extern struct origin plain_origin, tls_origin;

/* `server` and `cert` NULL: plain. */
void origin_start(struct origin *o, struct tls_server *server, struct tls_cert *cert);
/* After the proxy: its connections have ended. */
void origin_stop(struct origin *o);

/* All of it, or until the other side has gone: false then. */
bool say(int fd, struct slice s);
void pause_ms(long ms);
