#include "proxy/certs.h"

#include "base/caps.h"
#include "base/clock.h"
#include "base/lru.h"
#include "tls/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RENEW_SECONDS = 3600, QUESTIONS_MAX = 1024 };

/* A name that the keeper was asked for, and who waits for it. */
struct question {
    struct list node;
    struct list waiters;
    uint32_t id;
    bool blocked;
    size_t name_len;
    char name[CAP_HOST_BYTES + 1];
};

struct certs {
    struct loop_io io;
    struct loop *loop;
    int keeper; /* -1: gone */
    struct lru *allowed, *blocked;
    struct list questions;
    unsigned question_count;
    uint32_t last_id;
    size_t leaf_len;
    uint8_t leaf[256];
};

static void drop_cert(void *cert)
{
    tls_cert_free(cert);
}

static struct lru *cache(struct certs *c, bool blocked)
{
    return blocked ? c->blocked : c->allowed;
}

static void answer(struct certs *c, struct question *q, struct tls_cert *cert)
{
    list_remove(&q->node);
    c->question_count--;
    LIST_FOREACH(it, &q->waiters) {
        struct certs_waiter *w = LIST_ENTRY(it, struct certs_waiter, node);
        list_remove(&w->node);
        w->ready(w, cert ? tls_cert_ref(cert) : NULL);
    }
    free(q);
}

static void keeper_gone(struct certs *c)
{
    if (c->keeper >= 0) {
        loop_io_stop(&c->io);
        close(TAKE_FD(c->keeper));
    }
    LIST_FOREACH(it, &c->questions)
        answer(c, LIST_ENTRY(it, struct question, node), NULL);
}

static void take_reply(struct certs *c, const struct keeper_reply *reply)
{
    if (reply->id == 0) {
        if (reply->status != KEEPER_OK)
            keeper_gone(c);
        return;
    }
    LIST_FOREACH(it, &c->questions) {
        struct question *q = LIST_ENTRY(it, struct question, node);
        if (q->id != reply->id)
            continue;
        AUTO(tls_cert) *cert = NULL;
        if (reply->status == KEEPER_OK && tls_cert_from_der(reply->data, &cert, NULL) == 0 &&
            lru_put(cache(c, q->blocked), slice_of(q->name, q->name_len), tls_cert_ref(cert)) < 0) {
            /* not cached: made again next time */
        }
        answer(c, q, cert);
        return;
    }
}

static void keeper_ready(struct loop_io *io, int events UNUSED)
{
    struct certs *c = CONTAINER_OF(io, struct certs, io);
    while (c->keeper >= 0) {
        uint8_t message[KEEPER_MESSAGE_BYTES];
        ssize_t n = recv(c->keeper, message, sizeof message, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        struct keeper_reply reply;
        if (n <= 0 || keeper_decode_reply(slice_of((char *)message, (size_t)n), &reply) < 0)
            keeper_gone(c);
        else
            take_reply(c, &reply);
    }
}

static int say(struct certs *c, const uint8_t *message, ssize_t len)
{
    if (len < 0 || c->keeper < 0 || send(c->keeper, message, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) != len)
        return -1;
    return 0;
}

int certs_set_keeper(struct certs *c, int keeper)
{
    keeper_gone(c);
    /* its CA may be another, and clients of now may trust that one alone */
    lru_clear(c->allowed);
    lru_clear(c->blocked);
    c->keeper = keeper;
    uint8_t message[KEEPER_MESSAGE_BYTES];
    ssize_t len = keeper_encode_hello(slice_of((char *)c->leaf, c->leaf_len), message);
    if (say(c, message, len) < 0) {
        close(TAKE_FD(c->keeper));
        return -1;
    }
    loop_io_init(&c->io, c->loop, keeper, keeper_ready);
    loop_io_want(&c->io, LOOP_READ);
    return 0;
}

int certs_new(struct loop *l, int keeper, struct slice leaf_public, struct certs **ret, struct err *e)
{
    struct certs *c = calloc(1, sizeof *c);
    if (!c || leaf_public.len > sizeof c->leaf) {
        free(c);
        return err_set(e, "no memory for the certificate caches");
    }
    c->loop = l;
    c->keeper = -1;
    c->leaf_len = leaf_public.len;
    memcpy(c->leaf, leaf_public.ptr, leaf_public.len);
    list_init(&c->questions);
    c->allowed = lru_new(CAP_CERT_CACHE_ENTRIES, drop_cert);
    c->blocked = lru_new(CAP_BLOCKED_CERT_CACHE_ENTRIES, drop_cert);
    if (!c->allowed || !c->blocked || certs_set_keeper(c, keeper) < 0) {
        certs_free(c);
        return err_set(e, "the keeper does not answer");
    }
    *ret = c;
    return 0;
}

void certs_free(struct certs *c)
{
    if (!c)
        return;
    keeper_gone(c);
    lru_free(c->allowed);
    lru_free(c->blocked);
    free(c);
}

static struct tls_cert *cached(struct certs *c, struct slice name, bool blocked)
{
    struct tls_cert *cert = lru_get(cache(c, blocked), name);
    if (!cert && blocked)
        cert = lru_get(c->allowed, name); /* the name is allowed to another task: nothing to make */
    return cert && tls_cert_expires(cert) > clock_wall_ms() / 1000 + RENEW_SECONDS ? cert : NULL;
}

bool certs_has(struct certs *c, struct slice name, bool blocked)
{
    return cached(c, name, blocked) != NULL;
}

static struct question *ask(struct certs *c, struct slice name, bool blocked)
{
    LIST_FOREACH(it, &c->questions) {
        struct question *q = LIST_ENTRY(it, struct question, node);
        if (q->blocked == blocked && slice_eq(slice_of(q->name, q->name_len), name))
            return q;
    }
    struct question *q = c->question_count < QUESTIONS_MAX && name.len <= CAP_HOST_BYTES ? calloc(1, sizeof *q) : NULL;
    if (!q)
        return NULL;
    if (++c->last_id == 0)
        c->last_id = 1;
    uint8_t message[KEEPER_MESSAGE_BYTES];
    if (say(c, message, keeper_encode_sign(c->last_id, name, message)) < 0) {
        free(q);
        return NULL;
    }
    q->id = c->last_id;
    q->blocked = blocked;
    q->name_len = name.len;
    memcpy(q->name, name.ptr, name.len);
    list_init(&q->waiters);
    list_insert(&c->questions, &q->node);
    c->question_count++;
    return q;
}

enum certs_result certs_get(struct certs *c, struct slice name, bool blocked, struct certs_waiter *waiter,
                            struct tls_cert **ret_cert)
{
    struct tls_cert *cert = cached(c, name, blocked);
    if (cert) {
        *ret_cert = tls_cert_ref(cert);
        return CERTS_OK;
    }
    struct question *q = ask(c, name, blocked);
    if (!q)
        return CERTS_UNAVAILABLE;
    list_insert(&q->waiters, &waiter->node);
    return CERTS_WAIT;
}

void certs_forget(struct certs_waiter *waiter)
{
    list_remove(&waiter->node);
}
