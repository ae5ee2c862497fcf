/* Trusted roots as trust.c, client.c and bundle.c see them. */
#pragma once
#include "tls/conn.h"
#include "tls/internal.h"

#include <openssl/x509_vfy.h>
#include <pthread.h>

struct tls_trust {
    atomic_uint refs;
    X509_STORE *store; /* locks itself: shared by all workers */
    pthread_mutex_t lock;
    struct buf unread; /* under lock: roots of the system that are not in the store yet */
};

/* Reads what was left for later; afterwards, and where nothing was, all roots are in the store. */
MUST_USE int tls_trust_complete(struct tls_trust *t, struct err *e);

/* Calls `each` for every certificate of a PEM text; other blocks and text between them are skipped.
 * A certificate that cannot be read, or that `each` refuses, is an error. */
MUST_USE int pem_each_certificate(struct slice pem, int (*each)(void *arg, X509 *cert), void *arg,
                                  size_t *ret_count, struct err *e);
