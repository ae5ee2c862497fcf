/* Reading everything again: all of it takes effect, or nothing, and what came of it is said. */
#include "app/notify.h"
#include "app/reload_say.h"
#include "app/supervisor_internal.h"
#include "base/log.h"
#include "policy/model.h"

#include <stdio.h>
#include <stdlib.h>

/* --- what a reload changes --- */

static bool same_listen(const struct config *a, const struct config *b)
{
    bool same = a->listen_count == b->listen_count;
    for (size_t i = 0; same && i < a->listen_count; i++)
        same = a->listen[i].address.port == b->listen[i].address.port &&
               fetch_address_same_host(&a->listen[i].address, &b->listen[i].address);
    return same;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_audit(const struct config *a, const struct config *b)
{
    return strcmp(a->audit.file, b->audit.file) == 0 && a->audit.rotate == b->audit.rotate &&
           a->audit.keep == b->audit.keep && a->audit.keep_age_ms == b->audit.keep_age_ms && a->audit.full_urls == b->audit.full_urls;
}

static void warn_of_restart(struct supervisor *s, const char *what, bool same)
{
    if (!same)
        reload_say(s->orders, 'w', "`%s` has changed: this takes effect at the next start", what);
}

static void compare(struct supervisor *s, const struct config *old, const struct config *new)
{
    warn_of_restart(s, "listen", same_listen(old, new));
    warn_of_restart(s, "workers", old->workers == new->workers);
    warn_of_restart(s, "state", strcmp(old->state, new->state) == 0);
    warn_of_restart(s, "audit", same_audit(old, new));
    warn_of_restart(s, "control", same_text(old->control.socket, new->control.socket) &&
                                      same_text(old->control.group, new->control.group));
    warn_of_restart(s, "ca", strcmp(old->ca.cert, new->ca.cert) == 0 && strcmp(old->ca.key, new->ca.key) == 0);
}

static size_t task_index(const struct config *c, const char *name)
{
    const struct config_task *t = config_find_task(c, name);
    return t ? (size_t)(t - c->tasks) : c->task_count;
}

static void say_tasks(struct supervisor *s, const struct load *old, const struct load *new)
{
    for (size_t i = 0; i < new->config->task_count; i++) {
        const char *name = new->config->tasks[i].name;
        size_t was = task_index(old->config, name);
        if (was == old->config->task_count)
            reload_say(s->orders, 'i', "%s: a new task", name);
        else
            reload_say_policy(s->orders, name, old->policies[was], new->policies[i]);
    }
    for (size_t i = 0; i < old->config->task_count; i++)
        if (!config_find_task(new->config, old->config->tasks[i].name))
            reload_say(s->orders, 'i', "%s: the task has gone", old->config->tasks[i].name);
}

int supervisor_tell_proxy(struct supervisor *s, enum ipc_type type, struct slice text, const int *fd)
{
    struct err e;
    int result = ipc_send(&s->proxy.ipc, type, text, fd, fd ? 1 : 0, &e);
    if (result < 0)
        log_error("the proxy: %s", e.text);
    return result;
}

/* --- the keeper --- */

/* Its end is nobody's loss: the new one has taken over. */
static void retire(struct role *old)
{
    if (old->pid)
        role_kill(old);
}

static int start_keeper(struct supervisor *s, struct buf *text, struct slice *ret_ca, struct err *e)
{
    int sockets[KEEPER_SOCKETS_MAX];
    if (role_spawn("keeper", IPC_KEEPER, &s->keeper, e) < 0 || supervisor_setup_keeper(s, sockets, e) < 0)
        return -1;
    int result = supervisor_await_keeper(s, text, ret_ca, e);
    if (result == 0)
        result = ipc_send(&s->proxy.ipc, IPC_NEW_KEEPER, SLICE(""), sockets, keeper_sockets(s), e);
    for (size_t i = 0; i < keeper_sockets(s); i++)
        close(sockets[i]);
    return result;
}

/* The one that serves goes on until the new one can. */
static int replace_keeper(struct supervisor *s, struct err *e)
{
    AUTO_BUF text = BUF_INIT(CA_PEM_BYTES);
    struct slice ca;
    struct role old = s->keeper;
    s->keeper = (struct role){0};
    if (start_keeper(s, &text, &ca, e) < 0) {
        role_kill(&s->keeper);
        s->keeper = old;
        return -1;
    }
    if (old.pid)
        loop_child_stop(&s->keeper_end);
    retire(&old);
    loop_child_init(&s->keeper_end, s->loop, s->keeper.pid, supervisor_keeper_ended);
    return supervisor_write_trust(s, ca, -1, e);
}

static void restart_keeper(struct supervisor *s)
{
    struct err e = {0};
    if (s->keeper.pid != 0 || s->o.ephemeral_ca)
        return;
    if (replace_keeper(s, &e) < 0)
        reload_say(s->orders, 'e', "the keeper cannot be started: %s", e.text);
    else
        reload_say(s->orders, 'i', "the keeper has been started anew");
}

static void rotate_keeper(struct supervisor *s)
{
    struct err e = {0};
    int status = 0;
    if (s->o.ephemeral_ca) {
        reload_say(s->orders, 'e', "the CA of a run is its own, and ends with it");
        status = 2;
    } else if (replace_keeper(s, &e) < 0) {
        reload_say(s->orders, 'e', "the CA in force stays in force: %s", e.text);
        status = 2;
    } else {
        reload_say(s->orders, 'i', "certificates are signed by the new CA from now on");
    }
    reload_socket_end(s->orders, status);
}

/* --- reloading --- */

static void refuse(struct supervisor *s, const char *why)
{
    reload_say(s->orders, 'e', "not reloaded, what was in force stays in force: %s", why);
    notify_state("READY=1");
    reload_socket_end(s->orders, 2);
}

void supervisor_reload(struct supervisor *s)
{
    struct err e = {0};
    if (s->stopping || !s->watching)
        return;
    if (s->pending) {
        s->again_alone = s->files.alone && (s->again_alone || !s->reload_again);
        s->reload_again = true;
        return;
    }
    notify_reloading();
    AUTO_FD int bundle = supervisor_read_configuration(s, &s->pending, &e);
    if (bundle < 0) {
        if (supervisor_tell_proxy(s, IPC_RELOAD_BROKEN, slice_str(e.text), NULL) < 0)
            return;
        refuse(s, e.text);
    } else if (supervisor_tell_proxy(s, IPC_RELOAD, SLICE(""), &bundle) < 0) {
        load_free(TAKE(s->pending));
        refuse(s, "the proxy does not answer");
    }
    restart_keeper(s);
}

static void watch_files(struct supervisor *s);

void supervisor_reloaded(struct supervisor *s, const struct ipc_message *m)
{
    char text[900];
    ipc_text(m, text, sizeof text);
    struct load *pending = TAKE(s->pending);
    if (m->type == IPC_RELOADED && pending) {
        compare(s, s->load->config, pending->config);
        say_tasks(s, s->load, pending);
        load_free(s->load);
        s->load = TAKE(pending);
        reload_say(s->orders, 'i', "reloaded (%zu task%s)", s->load->config->task_count,
            s->load->config->task_count == 1 ? "" : "s");
        notify_state("READY=1");
        watch_files(s);
        if (!s->reload_again)
            reload_socket_end(s->orders, 0);
    } else {
        refuse(s, text);
    }
    load_free(pending);
    if (s->reload_again) {
        s->reload_again = false;
        s->files.alone = s->again_alone;
        supervisor_reload(s);
        s->files.alone = false;
    }
}

/* --- orders from outside --- */

/* A run's policy from now on: the texts that the person has seen, under the names of the start. */
static int take_texts(struct supervisor *s, struct trust_record *texts, struct err *e)
{
    const struct files_source *start = &s->o.files;
    const char *name = s->load->config->task_count ? s->load->config->tasks[0].policy : "";
    if (!s->o.project)
        return err_set(e, "a daemon reads its own files");
    if (strcmp(texts->files[0].path, name) != 0)
        return err_set(e, "it was started with the policy %s, and not with %s", name, texts->files[0].path);
    struct files_given *given = calloc(texts->count + 1, sizeof *given);
    if (!given)
        return err_set(e, "no memory");
    size_t count = 0;
    for (size_t i = 0; i < start->given_count && count == 0; i++)
        if (strcmp(start->given[i].path, start->config) == 0)
            given[count++] = start->given[i];
    memcpy(given + count, texts->files, texts->count * sizeof *given);
    trust_record_free(s->given_texts);
    free(s->given);
    s->given_texts = texts;
    s->given = given;
    s->files.given = given;
    s->files.given_count = count + texts->count;
    return 0;
}

static void on_order(void *arg, enum reload_order order, struct trust_record *texts)
{
    struct supervisor *s = arg;
    struct err e;
    AUTO(trust_record) *mine = texts;
    if (s->stopping || !s->watching) {
        reload_say(s->orders, 'e', "it is ending");
        reload_socket_end(s->orders, 2);
    } else if (order == RELOAD_KEEPER) {
        rotate_keeper(s);
    } else if (mine && take_texts(s, mine, &e) < 0) {
        refuse(s, e.text);
    } else {
        mine = NULL;
        s->files.alone = false;
        supervisor_reload(s);
    }
}

/* --- watching --- */

static void on_change(void *arg)
{
    struct supervisor *s = arg;
    reload_say(s->orders, 'i', "a policy file has changed");
    s->files.alone = true;
    supervisor_reload(s);
    s->files.alone = false;
}

static void on_trouble(void *arg, const char *what)
{
    const struct supervisor *s = arg;
    reload_say(s->orders, 'w', "%s", what);
}

/* A policy and what it extends by path, each once. */
static size_t add_policy(const struct policy *p, const char **paths, size_t count)
{
    for (size_t i = 0; i < p->origin_count && count < FILE_WATCH_MAX; i++) {
        bool known = p->origins[i]->kind == ORIGIN_PRESET || p->origins[i]->kind == ORIGIN_SITE;
        for (size_t k = 0; k < count && !known; k++)
            known = strcmp(paths[k], p->origins[i]->file) == 0;
        if (!known)
            paths[count++] = p->origins[i]->file;
    }
    return count;
}

static void watch_files(struct supervisor *s)
{
    const char *paths[FILE_WATCH_MAX];
    size_t count = 0;
    struct err e;
    if (!s->watch)
        return;
    if (s->load->config->site)
        paths[count++] = s->load->config->site;
    for (size_t i = 0; i < s->load->config->task_count; i++)
        count = add_policy(s->load->policies[i], paths, count);
    if (file_watch_set(s->watch, paths, count, &e) < 0)
        reload_say(s->orders, 'w', "%s: reload with a signal", e.text);
}

static int start_watch(struct supervisor *s, struct err *e)
{
    const struct file_watch_calls calls = {on_change, on_trouble, s};
    if (s->o.project || s->o.ephemeral_ca || s->load->config->reload == CONFIG_RELOAD_SIGNAL)
        return 0;
    if (file_watch_new(s->loop, &calls, &s->watch, e) < 0)
        return -1;
    watch_files(s);
    return 0;
}

int supervisor_hear(struct supervisor *s, struct err *e)
{
    const char *folder = s->load->config->state;
    if (s->o.project) {
        if (reload_place_make(&s->place, s->o.orders, s->run, e) < 0)
            return -1;
        folder = s->place.dir;
    }
    if (reload_socket_open(s->loop, folder, s->o.project, on_order, s, &s->orders, e) < 0)
        return -1;
    return start_watch(s, e);
}

void supervisor_hear_no_more(struct supervisor *s)
{
    reload_socket_free(s->orders);
    reload_place_remove(&s->place);
    file_watch_free(s->watch);
    trust_record_free(s->given_texts);
    free(s->given);
}
