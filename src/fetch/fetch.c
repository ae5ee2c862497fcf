#include "fetch/fetch.h"

#include "fetch/inner.h"

#include <stdlib.h>

enum { SETTINGS_BYTES = 8 << 20 };

int fetch_prepare(struct err *e)
{
    if (resolve_prepare(e) < 0)
        return -1;
    return dial_prepare(e);
}

int fetch_new(struct loop *l, struct fetch **ret, struct err *e)
{
    struct fetch *f = calloc(1, sizeof *f);

    if (!f || pools_init(&f->pools, l) < 0) {
        free(f);
        return err_set(e, "no memory for connections to origins");
    }
    f->loop = l;
    f->settings_memory = ARENA_INIT(SETTINGS_BYTES);
    list_init(&f->ops);
    if (guard_local_read(&f->local, loop_now(l), e) < 0 || resolver_new(l, &f->resolver, e) < 0 ||
        dialler_new(l, &f->dialler, e) < 0) {
        fetch_free(f);
        return -1;
    }
    *ret = f;
    return 0;
}

void fetch_free(struct fetch *f)
{
    if (!f)
        return;
    while (!list_empty(&f->ops))
        fetch_cancel(op_first(f));
    pools_destroy(&f->pools);
    resolver_free(f->resolver);
    dialler_free(f->dialler);
    trusted_unref(f->trusted);
    guard_local_free(&f->local);
    arena_free(&f->settings_memory);
    free(f);
}

int fetch_set_name_servers(struct fetch *f, const char *csv, struct err *e)
{
    return resolver_set_servers(f->resolver, csv, e);
}

/* --- settings --- */

static int copy_text(struct arena *a, const char **text)
{
    if (!*text)
        return 0;
    *text = arena_slice(a, slice_str(*text)).ptr;
    return *text ? 0 : -1;
}

static int copy_proxy(struct arena *a, struct fetch_proxy *p)
{
    if (p->kind == FETCH_PROXY_NONE)
        return 0;
    p->at.host = arena_slice(a, p->at.host);
    return !p->at.host.ptr || copy_text(a, &p->text) < 0 || copy_text(a, &p->user) < 0 ||
                   copy_text(a, &p->password) < 0
               ? -1
               : 0;
}

static int copy_overrides(struct arena *a, struct fetch_settings *s)
{
    struct fetch_override *to = arena_array(a, s->override_count + 1, sizeof *to);
    for (size_t i = 0; to && i < s->override_count; i++) {
        to[i] = s->overrides[i];
        if (copy_text(a, &to[i].host) < 0)
            return -1;
    }
    s->overrides = to;
    return to ? 0 : -1;
}

static int copy_listeners(struct arena *a, struct fetch_settings *s)
{
    struct fetch_address *to = arena_array(a, s->listener_count + 1, sizeof *to);
    if (to && s->listener_count)
        memcpy(to, s->listeners, s->listener_count * sizeof *to);
    s->listeners = to;
    return to ? 0 : -1;
}

int fetch_settings_copy(struct arena *a, const struct fetch_settings *from, struct fetch_settings *ret)
{
    struct fetch_settings s = *from;
    if (copy_overrides(a, &s) < 0 || copy_listeners(a, &s) < 0 || copy_text(a, &s.hint) < 0 ||
        copy_proxy(a, &s.proxy) < 0)
        return -1;
    *ret = s;
    return 0;
}

/* The session cache stays with an unchanged trust: a reload of a policy is no reason for full handshakes. */
static struct trusted *trusted_for(struct fetch *f, struct tls_trust *trust, struct err *e)
{
    if (f->trusted && f->trusted->trust == trust)
        return trusted_ref(f->trusted);
    return trusted_new(trust, e);
}

int fetch_configure(struct fetch *f, const struct fetch_settings *s, uint64_t generation, struct err *e)
{
    struct arena memory = ARENA_INIT(SETTINGS_BYTES);
    struct fetch_settings copy;
    struct trusted *trusted = NULL;

    if (s->trust && !(trusted = trusted_for(f, s->trust, e)))
        return -1;
    if (fetch_settings_copy(&memory, s, &copy) < 0) {
        trusted_unref(trusted);
        arena_free(&memory);
        return err_set(e, "no memory for the settings of connections to origins");
    }
    trusted_unref(f->trusted);
    arena_free(&f->settings_memory);
    f->trusted = trusted;
    f->settings_memory = memory;
    f->settings = copy;
    f->pools.idle_ns = s->pool_idle_ns;
    f->generation = generation;
    pools_close_idle(&f->pools);
    return 0;
}

static bool is_permitted(const struct fetch_address *a, const char *label, const struct fetch_permit *permit)
{
    struct fetch_address dialled = guard_unmapped(a);
    return permit->holds && !guard_is_final(label) && permit->holds(permit->arg, &dialled);
}

const char *fetch_judge(struct fetch *f, const struct fetch_address *a, enum fetch_word word,
                        const struct fetch_permit *permit)
{
    guard_local_refresh(&f->local, loop_now(f->loop));
    if (guard_is_listener(a, f->settings.listeners, f->settings.listener_count, &f->local))
        return "a listener of exeat's own";
    const char *label = word == FETCH_WORD_OPERATOR ? NULL : guard_forbids(a, &f->local);
    return label && is_permitted(a, label, permit) ? NULL : label;
}

bool fetch_is_proxied(const struct fetch *f, const struct fetch_want *want)
{
    return f->settings.proxy.kind != FETCH_PROXY_NONE && !want->permit.holds;
}

/* --- connections --- */

static bool may_serve(struct fetch *f, struct conn *c, const struct fetch_want *want)
{
    return fetch_conn_is_silent(c) && !fetch_judge(f, &c->pub.peer, c->word, &want->permit);
}

bool fetch_may_serve(struct fetch *f, struct fetch_conn *conn, const struct fetch_want *want)
{
    struct conn *c = CONTAINER_OF(conn, struct conn, pub);
    bool proxied = fetch_is_proxied(f, want);

    return conn->generation == f->generation && pools_find(&f->pools, want, proxied) == c->pool &&
           may_serve(f, c, want);
}

struct fetch_conn *fetch_acquire(struct fetch *f, const struct fetch_want *want, fetch_done *done, void *arg,
                                 struct fetch_op **ret_op)
{
    struct pool *p = pools_find(&f->pools, want, fetch_is_proxied(f, want));
    struct conn *c;

    while (p && (c = pool_take(p))) {
        if (LIKELY(may_serve(f, c, want))) {
            *ret_op = NULL;
            return &c->pub;
        }
        if (list_empty(&p->idle))
            p = NULL; /* closing its last connection may free the pool */
        fetch_conn_close(c);
    }
    *ret_op = op_start(f, want, done, arg);
    return NULL;
}

const char *fetch_forbids(struct fetch *f, const struct fetch_conn *conn, const struct fetch_permit *permit)
{
    const struct conn *c = CONTAINER_OF(conn, const struct conn, pub);

    return fetch_judge(f, &c->pub.peer, c->word, permit);
}

bool fetch_is_silent(struct fetch_conn *c)
{
    return fetch_conn_is_silent(CONTAINER_OF(c, struct conn, pub));
}

struct fetch_op *fetch_connect(struct fetch *f, const struct fetch_want *want, fetch_done *done, void *arg)
{
    return op_start(f, want, done, arg);
}

void fetch_release(struct fetch *f, struct fetch_conn *conn, bool reusable)
{
    struct conn *c = CONTAINER_OF(conn, struct conn, pub);

    if (reusable && conn->generation == f->generation && f->settings.pool_idle_ns > 0 &&
        !(conn->tls && tls_has_pending(conn->tls)))
        pool_put(c);
    else
        fetch_conn_close(c);
}

void fetch_abort(struct fetch *f, struct fetch_conn *conn)
{
    (void)f;
    fetch_conn_abort(CONTAINER_OF(conn, struct conn, pub));
}
