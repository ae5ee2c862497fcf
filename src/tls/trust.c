/* Trusted roots: tls_trust of tls/conn.h. */
#include "tls/roots.h"
#include "tls/trust_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

int pem_each_certificate(struct slice pem, int (*each)(void *arg, X509 *cert), void *arg, size_t *ret_count,
                         struct err *e)
{
    AUTO_OSSL(BIO) *bio = BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len);
    size_t count = 0;
    ERR_clear_error();
    for (;; count++) {
        AUTO_OSSL(X509) *cert = bio ? PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL) : NULL;
        if (!cert)
            break;
        if (each(arg, cert) < 0)
            return tls_err(e, "certificate %zu cannot be used", count + 1);
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return tls_err(e, "certificate %zu cannot be read", count + 1);
    ERR_clear_error();
    *ret_count = count;
    return 0;
}

static int add_root(void *store, X509 *cert)
{
    return X509_STORE_add_cert(store, cert) == 1 ? 0 : -1;
}

static int add_system(struct tls_trust *t, struct slice pem, struct err *e)
{
    size_t count;
    if (pem_each_certificate(pem, add_root, t->store, &count, e) < 0)
        return err_wrap(e, "the system's roots");
    return count ? 0 : err_set(e, "the system's roots: no PEM certificate");
}

static int add_extra(struct tls_trust *t, struct slice pem, struct err *e)
{
    size_t count;
    if (pem_each_certificate(pem, add_root, t->store, &count, e) < 0)
        return err_wrap(e, "additional roots");
    return count ? 0 : err_set(e, "additional roots: no PEM certificate");
}

static int trust_new(struct slice system_pem, struct slice extra_pem, bool later, struct tls_trust **ret,
                     struct err *e)
{
    AUTO(tls_trust) *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, "no memory for trusted roots");
    atomic_init(&t->refs, 1);
    t->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    t->unread = BUF_INIT(ROOTS_BYTES_MAX);
    tls_prepare_clock();
    t->store = X509_STORE_new();
    if (!t->store)
        return tls_err(e, "no memory for trusted roots");
    if (system_pem.len + extra_pem.len == 0)
        return err_set(e, "no trusted root: no server could be verified (install ca-certificates)");
    if (extra_pem.len && add_extra(t, extra_pem, e) < 0)
        return -1;
    if (later && buf_append(&t->unread, system_pem) < 0)
        return err_set(e, "no memory for trusted roots");
    if (!later && system_pem.len && add_system(t, system_pem, e) < 0)
        return -1;
    *ret = TAKE(t);
    return 0;
}

int tls_trust_new(struct slice system_pem, struct slice extra_pem, struct tls_trust **ret, struct err *e)
{
    return trust_new(system_pem, extra_pem, false, ret, e);
}

int tls_trust_later(struct slice system_pem, struct slice extra_pem, struct tls_trust **ret, struct err *e)
{
    return trust_new(system_pem, extra_pem, true, ret, e);
}

int tls_trust_complete(struct tls_trust *t, struct err *e)
{
    pthread_mutex_lock(&t->lock);
    int result = buf_len(&t->unread) ? add_system(t, buf_slice(&t->unread), e) : 0;
    if (result == 0)
        buf_free(&t->unread);
    pthread_mutex_unlock(&t->lock);
    return result;
}

struct tls_trust *tls_trust_ref(struct tls_trust *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_trust_free(struct tls_trust *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    X509_STORE_free(t->store);
    buf_free(&t->unread);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
