/* One connection: its making and its end. */
#include "fetch/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct trusted *trusted_new(struct tls_trust *trust, struct err *e)
{
    struct trusted *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, "no memory for the TLS client side");
        return NULL;
    }
    if (tls_client_new(trust, &t->client, e) < 0) {
        free(t);
        return NULL;
    }
    t->trust = tls_trust_ref(trust);
    t->refs = 1;
    return t;
}

struct trusted *trusted_ref(struct trusted *t)
{
    t->refs++;
    return t;
}

void trusted_unref(struct trusted *t)
{
    if (!t || --t->refs)
        return;
    tls_client_free(t->client);
    tls_trust_free(t->trust);
    free(t);
}

/* Between owners nobody reads: a descriptor that is ready all the same must not spin the loop. */
static void on_unowned(struct loop_io *io, int events)
{
    (void)events;
    loop_io_want(io, 0);
}

void fetch_conn_disown(struct conn *c)
{
    c->pub.arg = NULL;
    c->pub.io.ready = on_unowned;
    loop_io_want(&c->pub.io, LOOP_READ);
}

struct conn *fetch_conn_new(struct pool *p, int fd, uint64_t generation)
{
    AUTO_FD int owned = fd;
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    struct conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0 ||
        fetch_address_from_sockaddr((struct sockaddr *)&peer, len, &c->pub.peer) < 0) {
        free(c);
        return NULL;
    }
    c->pub.fd = TAKE_FD(owned);
    c->pub.generation = generation;
    c->pool = pool_ref(p);
    loop_io_init(&c->pub.io, p->pools->loop, fd, on_unowned);
    list_init(&c->in_pool);
    list_init(&c->in_task);
    list_init(&c->in_all);
    return c;
}

bool fetch_conn_is_silent(struct conn *c)
{
    char byte;
    ssize_t n = recv(c->pub.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN;
    return n > 0 && c->pub.tls && tls_read(c->pub.tls, &byte, 1) == TLS_WANT_READ;
}

void fetch_conn_set_via(struct conn *c, char *text)
{
    c->pub.via = c->via = text;
}

static void destroy(struct conn *c)
{
    loop_io_stop(&c->pub.io);
    tls_conn_free(c->pub.tls);
    close(c->pub.fd);
    trusted_unref(c->trusted);
    pool_unref(c->pool);
    free(c->via);
    free(c);
}

void fetch_conn_close(struct conn *c)
{
    if (!c)
        return;
    if (c->pub.tls)
        tls_close_notify(c->pub.tls);
    destroy(c);
}

/* A linger time of 0 makes close(2) send RST (socket(7)): an origin that has read a part of a message must
 * not take it for the whole. */
void fetch_conn_abort(struct conn *c)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (!c)
        return;
    setsockopt(c->pub.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    destroy(c);
}
