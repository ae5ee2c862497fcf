/* Host certificates: a worker's line to the keeper and its bounded caches.
 *
 * Certificates for names that the task may not reach have a cache of their own, so that asking for many
 * blocked names cannot push out those in use.
 */
#pragma once
#include "base/err.h"
#include "base/list.h"
#include "loop/loop.h"
#include "tls/cert.h"

struct certs;

enum certs_result {
    CERTS_OK,
    CERTS_WAIT,        /* the waiter is called later */
    CERTS_UNAVAILABLE, /* no keeper, or it would not sign */
};

/* One connection that waits for a name; lives in it. */
struct certs_waiter {
    struct list node;
    void (*ready)(struct certs_waiter *waiter, struct tls_cert *cert); /* cert NULL: unavailable */
};

/* `keeper` is taken over.  `leaf_public` (DER) introduces the worker to it. */
MUST_USE int certs_new(struct loop *l, int keeper, struct slice leaf_public, struct certs **ret, struct err *e);
void certs_free(struct certs *c);
/* A new keeper after the old one has died. */
MUST_USE int certs_set_keeper(struct certs *c, int keeper);

/* CERTS_OK: *ret_cert is a reference of the caller's.  CERTS_WAIT: waiter->ready will be called once,
 * with a reference that becomes the callee's. */
enum certs_result certs_get(struct certs *c, struct slice name, bool blocked, struct certs_waiter *waiter,
                            struct tls_cert **ret_cert);
/* Whether certs_get would answer CERTS_OK. */
bool certs_has(struct certs *c, struct slice name, bool blocked);
void certs_forget(struct certs_waiter *waiter);
