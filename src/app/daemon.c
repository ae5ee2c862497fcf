#include "app/daemon.h"

#include "app/control.h"
#include "app/notify.h"
#include "app/supervisor.h"
#include "base/log.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>

enum { STATUS_OK = 0, STATUS_ERROR = 2 };

struct daemon {
    struct loop *loop;
    struct supervisor *supervisor;
    struct control *control; /* NULL: nobody comes by himself */
    unsigned findings, stop_signals;
    int status;
};

static void print_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    struct daemon *d = arg;
    d->findings++;
    if (line)
        log_error("%s:%u:%u: %s", file, line, column, message);
    else
        log_error("%s: %s", file, message);
}

static void print_warning(void *arg UNUSED, const char *file, unsigned line UNUSED, unsigned column UNUSED,
                          const char *message)
{
    log_warn("%s: %s", file, message);
}

static void on_end(void *arg, enum supervisor_end end)
{
    struct daemon *d = arg;
    d->status = end == SUPERVISOR_STOPPED ? STATUS_OK : STATUS_ERROR;
    if (end == SUPERVISOR_PROXY_LOST)
        log_error("the proxy has died: nothing passes any more");
    loop_stop(d->loop);
}

struct watched {
    struct loop_signal signal;
    struct daemon *daemon;
};

static void on_signal(struct loop_signal *s, int signo)
{
    struct daemon *d = CONTAINER_OF(s, struct watched, signal)->daemon;
    if (signo == SIGHUP)
        supervisor_reload(d->supervisor);
    else
        supervisor_stop(d->supervisor, d->stop_signals++ > 0);
}

static void say_ready(const struct supervisor *s)
{
    const struct listeners *l = supervisor_listeners(s);
    const struct config *config = supervisor_load(s)->config;
    char all[IPC_LISTENERS_MAX * (LISTENER_TEXT + 2) + PATH_MAX] = "";
    size_t used = 0;
    for (size_t i = 0; i < l->count; i++) {
        char one[LISTENER_TEXT];
        listener_print(&l->addresses[i], one);
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", one);
    }
    if (config->control.socket)
        snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", config->control.socket);
    else if (config->task_count == 0)
        log_warn("%s: `tasks` is empty: nobody is let in", config->file);
    log_info("ready on %s (%zu task%s, CA %s)", all, config->task_count, config->task_count == 1 ? "" : "s",
             config->ca.cert);
}

static int serve(struct daemon *d, const char *config)
{
    struct err e = {0};
    const struct supervisor_options options = {
        .files = {.config = config, .report = print_problem, .warning = print_warning, .arg = d},
        .ended = on_end,
        .arg = d,
    };
    if (supervisor_start(d->loop, &options, &d->supervisor, &e) < 0 ||
        supervisor_serve(d->supervisor, &e) < 0 ||
        control_open(d->loop, d->supervisor, &d->control, &e) < 0) {
        if (d->findings == 0)
            log_error("%s", e.text);
        return STATUS_ERROR;
    }
    static const int signals[] = {SIGHUP, SIGTERM, SIGINT};
    struct watched watched[ARRAY_LEN(signals)];
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        watched[i].daemon = d;
        loop_signal_init(&watched[i].signal, d->loop, signals[i], on_signal);
    }
    say_ready(d->supervisor);
    notify_state("READY=1");
    loop_run(d->loop);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        loop_signal_stop(&watched[i].signal);
    return d->status;
}

int daemon_serve(const char *config)
{
    log_set_name("exeat proxy");
    signal(SIGPIPE, SIG_IGN);
    struct daemon d = {.loop = loop_new(true), .status = STATUS_ERROR};
    if (!d.loop) {
        log_error("no event loop");
        return STATUS_ERROR;
    }
    int status = serve(&d, config);
    control_free(d.control);
    supervisor_free(d.supervisor);
    loop_free(d.loop);
    return status;
}
