/* A proxy and a keeper of the run's own, with a CA that ends with it: nothing has to be set up. */
#include "app/jailnet.h"
#include "app/run_config.h"
#include "app/run_server.h"
#include "app/supervisor.h"
#include "base/io.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES = 64 << 10 };
#define CONFIG_NAME "exeat run"

struct own {
    struct run_server server;
    struct supervisor *supervisor;
    unsigned jail_id;
    char *state, *log; /* a reload frees those of the configuration */
    struct buf config;
    struct files_given *given;
};

static struct own *own_of(struct run_server *s)
{
    return CONTAINER_OF(s, struct own, server);
}

/* --- its configuration --- */

static int write_config(struct own *w, struct err *e)
{
    const struct run_serving *with = &w->server.with;
    const struct run_options *o = with->o;
    AUTO_BUF given = BUF_INIT(CONFIG_BYTES);
    struct run_config c = {
        .state = with->state,
        .audit_file = with->log,
        .task = run_task(o),
        .policy = o->policy_name,
        .mode = o->mode,
    };
    struct problems problems = {
        .file = o->config ? o->config : CONFIG_NAME, .report = with->report, .report_arg = with->arg};
    if (o->config && io_read_file(o->config, &given, e) < 0)
        return -1;
    c.given = buf_slice(&given);
    w->config = BUF_INIT(2 * CONFIG_BYTES);
    return run_config_write(&c, &problems, &w->config) < 0
               ? err_set(e, "%s: not a configuration for a run", problems.file)
               : 0;
}

static int make_config(struct own *w, struct err *e)
{
    const struct run_options *o = w->server.with.o;
    w->given = calloc(o->policy_file_count + 2, sizeof *w->given);
    if (!w->given)
        return err_set(e, "no memory");
    if (write_config(w, e) < 0)
        return -1;
    w->given[0] = (struct files_given){o->config ? o->config : CONFIG_NAME, buf_slice(&w->config)};
    w->given[1] = (struct files_given){o->policy_name, SLICE("")};
    for (size_t i = 0; i < o->policy_file_count; i++)
        w->given[i + 1] = o->policy_files[i];
    return 0;
}

/* --- start and end --- */

static void on_end(void *arg, enum supervisor_end end)
{
    const struct run_serving *with = &((struct own *)arg)->server.with;
    if (end == SUPERVISOR_PROXY_LOST)
        with->lost(with->arg, "the proxy has died");
    with->ended(with->arg);
}

static void on_keeper_end(void *arg)
{
    const struct run_serving *with = &((struct own *)arg)->server.with;
    with->lost(with->arg, "the keeper has died");
}

static int start_supervisor(struct own *w, struct err *e)
{
    const struct run_serving *with = &w->server.with;
    const struct supervisor_options options = {
        .files = {.config = w->given[0].path,
                  .given = w->given,
                  .given_count = with->o->policy_file_count ? with->o->policy_file_count + 1 : 2,
                  .report = with->report,
                  .arg = with->arg},
        .run = with->id,
        .ephemeral_ca = true,
        .note = with->note,
        .project = with->o->project,
        .orders = with->state,
        .trust_dir = with->private,
        .ended = on_end,
        .keeper_lost = on_keeper_end,
        .arg = w,
    };
    return supervisor_start(with->loop, &options, &w->supervisor, e);
}

static void own_free(struct run_server *s)
{
    struct own *w = own_of(s);
    supervisor_free(w->supervisor);
    free(w->given);
    free(w->state);
    free(w->log);
    buf_free(&w->config);
    free(w);
}

static int own_await(struct run_server *s, struct err *e)
{
    return supervisor_serve(own_of(s)->supervisor, e);
}

static void own_stop(struct run_server *s, bool now)
{
    if (supervisor_serves(own_of(s)->supervisor))
        supervisor_stop(own_of(s)->supervisor, now);
    else
        s->with.ended(s->with.arg); /* it never began: there is no end to hear of */
}

/* --- the jail --- */

static int own_add(struct run_server *s, struct network *n, const struct policy_jail *jail, struct err *e)
{
    struct own *w = own_of(s);
    const char *task = supervisor_load(w->supervisor)->config->tasks[0].name;
    if (supervisor_add_jail(w->supervisor, task, n, &w->jail_id, e) < 0)
        return -1;
    return supervisor_add_services(w->supervisor, w->jail_id, jail->services, jail->service_count, e);
}

static void own_publish(struct run_server *s, struct run_publish *p, int control)
{
    const struct own *w = own_of(s);
    run_publish_serve(p, w->supervisor, w->jail_id, control);
}

static void own_remove(struct run_server *s)
{
    struct own *w = own_of(s);
    if (w->jail_id)
        supervisor_remove_jail(w->supervisor, w->jail_id);
    w->jail_id = 0;
}

static int own_summary(struct run_server *s, struct run_summary *ret, struct run_head *ret_head,
                       struct err *e)
{
    const struct own *w = own_of(s);
    if (run_summary_read(s->log, s->with.id, ret, e) < 0)
        return -1;
    *ret_head =
        (struct run_head){.log = s->log, .run = s->with.id, .seal_key = supervisor_seal_key(w->supervisor)};
    supervisor_head(w->supervisor, &ret_head->seq, ret_head->hash);
    return 0;
}

static const struct run_server_kind kind = {
    .await = own_await,
    .add = own_add,
    .publish = own_publish,
    .remove = own_remove,
    .stop = own_stop,
    .summary = own_summary,
    .free = own_free,
};

static int describe(struct own *w, struct err *e)
{
    const struct load *load = supervisor_load(w->supervisor);
    w->server.state = w->state = strdup(load->config->state);
    w->server.log = w->log = strdup(load->config->audit.file);
    if (!w->state || !w->log)
        return err_set(e, "no memory");
    w->server.trust = supervisor_trust(w->supervisor);
    w->server.monitor = policy_mode(load->policies[0]) == POLICY_MONITOR;
    return 0;
}

int run_own_start(const struct run_serving *with, struct run_server **ret, struct err *e)
{
    struct own *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, "no memory");
    w->server = (struct run_server){.kind = &kind, .with = *with};
    if (make_config(w, e) < 0 || start_supervisor(w, e) < 0 || describe(w, e) < 0) {
        own_free(&w->server);
        return -1;
    }
    *ret = &w->server;
    return 0;
}
