/* Reading everything again: all of it takes effect, or nothing, and what came of it is said. */
#include "app/notify.h"
#include "app/supervisor_internal.h"
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

static bool same_listen(const struct config *a, const struct config *b)
{
    bool same = a->listen_count == b->listen_count;
    for (size_t i = 0; same && i < a->listen_count; i++)
        same = a->listen[i].address.port == b->listen[i].address.port &&
               fetch_address_same_host(&a->listen[i].address, &b->listen[i].address);
    return same;
}

static bool same_audit(const struct config *a, const struct config *b)
{
    return strcmp(a->audit.file, b->audit.file) == 0 && a->audit.rotate == b->audit.rotate &&
           a->audit.keep == b->audit.keep && a->audit.full_urls == b->audit.full_urls;
}

static void warn_of_restart(const char *what, bool same)
{
    if (!same)
        log_warn("`%s` has changed: this takes effect at the next start", what);
}

static void compare(const struct config *old, const struct config *new)
{
    warn_of_restart("listen", same_listen(old, new));
    warn_of_restart("workers", old->workers == new->workers);
    warn_of_restart("state", strcmp(old->state, new->state) == 0);
    warn_of_restart("audit", same_audit(old, new));
    warn_of_restart("ca", strcmp(old->ca.cert, new->ca.cert) == 0 && strcmp(old->ca.key, new->ca.key) == 0);
}

int supervisor_tell_proxy(struct supervisor *s, enum ipc_type type, struct slice text, const int *fd)
{
    struct err e;
    int result = ipc_send(&s->proxy.ipc, type, text, fd, fd ? 1 : 0, &e);
    if (result < 0)
        log_error("the proxy: %s", e.text);
    return result;
}

static void restart_keeper(struct supervisor *s)
{
    struct err e = {0};
    int sockets[KEEPER_SOCKETS_MAX];
    if (s->keeper.pid != 0 || s->o.ephemeral_ca)
        return;
    if (role_spawn("keeper", IPC_KEEPER, &s->keeper, &e) < 0 || supervisor_setup_keeper(s, sockets, &e) < 0) {
        log_error("the keeper cannot be started: %s", e.text);
        role_kill(&s->keeper);
        return;
    }
    AUTO_BUF text = BUF_INIT(CA_PEM_BYTES);
    struct slice ca;
    int result = supervisor_await_keeper(s, &text, &ca, &e);
    if (result == 0)
        result = ipc_send(&s->proxy.ipc, IPC_NEW_KEEPER, SLICE(""), sockets, keeper_sockets(s), &e);
    for (size_t i = 0; i < keeper_sockets(s); i++)
        close(sockets[i]);
    if (result < 0) {
        log_error("the keeper cannot be started: %s", e.text);
        role_kill(&s->keeper);
        return;
    }
    loop_child_init(&s->keeper_end, s->loop, s->keeper.pid, supervisor_keeper_ended);
    log_info("the keeper has been started anew");
}

void supervisor_reload(struct supervisor *s)
{
    struct err e = {0};
    if (s->stopping || !s->watching)
        return;
    if (s->pending) {
        s->reload_again = true;
        return;
    }
    notify_reloading();
    AUTO_FD int bundle = supervisor_read_configuration(s, &s->pending, &e);
    if (bundle < 0) {
        log_error("not reloaded, what was in force stays in force: %s", e.text);
        if (supervisor_tell_proxy(s, IPC_RELOAD_BROKEN, slice_str(e.text), NULL) < 0)
            return;
        notify_state("READY=1");
    } else if (supervisor_tell_proxy(s, IPC_RELOAD, SLICE(""), &bundle) < 0) {
        load_free(TAKE(s->pending));
    }
    restart_keeper(s);
}

void supervisor_reloaded(struct supervisor *s, const struct ipc_message *m)
{
    char text[900];
    ipc_text(m, text, sizeof text);
    struct load *pending = TAKE(s->pending);
    if (m->type == IPC_RELOADED && pending) {
        compare(s->load->config, pending->config);
        load_free(s->load);
        s->load = TAKE(pending);
        log_info("reloaded (%zu task%s)", s->load->config->task_count,
                 s->load->config->task_count == 1 ? "" : "s");
    } else {
        log_error("not reloaded, what was in force stays in force: %s", text);
    }
    load_free(pending);
    notify_state("READY=1");
    if (s->reload_again) {
        s->reload_again = false;
        supervisor_reload(s);
    }
}
