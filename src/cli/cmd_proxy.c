#include "app/notify.h"
#include "app/supervisor.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/daemon_config.h"
#include "cli/options.h"

#include <signal.h>
#include <stdio.h>

struct proxy_options {
    const char *config;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct proxy_options, config, "config", "FILE", "the configuration (default: " DEFAULT_CONFIG ")"),
};

static const struct option_usage usage = {
    .synopsis = "exeat proxy [--config FILE]",
    .about = "Serves the tasks of the configuration, each by its own policy, until SIGTERM or SIGINT.  The first\n"
             "lets requests in progress finish (timeouts.shutdown), a second ends at once.  SIGHUP reads the\n"
             "configuration and all policies again: all of it takes effect, or nothing.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

struct command {
    struct loop *loop;
    struct supervisor *supervisor;
    unsigned findings, stop_signals;
    int status;
};

static void print_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    struct command *c = arg;
    c->findings++;
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
    struct command *c = arg;
    c->status = end == SUPERVISOR_STOPPED ? EXIT_OK : EXIT_ERROR;
    if (end == SUPERVISOR_PROXY_LOST)
        log_error("the proxy has died: nothing passes any more");
    loop_stop(c->loop);
}

struct watched {
    struct loop_signal signal;
    struct command *command;
};

static void on_signal(struct loop_signal *s, int signo)
{
    struct command *c = CONTAINER_OF(s, struct watched, signal)->command;
    if (signo == SIGHUP)
        supervisor_reload(c->supervisor);
    else
        supervisor_stop(c->supervisor, c->stop_signals++ > 0);
}

static void say_ready(const struct supervisor *s)
{
    const struct listeners *l = supervisor_listeners(s);
    const struct config *config = supervisor_load(s)->config;
    char all[IPC_LISTENERS_MAX * (LISTENER_TEXT + 2)] = "";
    size_t used = 0;
    for (size_t i = 0; i < l->count; i++) {
        char one[LISTENER_TEXT];
        listener_print(&l->addresses[i], one);
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", one);
    }
    log_info("ready on %s (%zu task%s, CA %s)", all, config->task_count, config->task_count == 1 ? "" : "s",
             config->ca.cert);
}

static int serve(struct command *c, const char *config)
{
    struct err e = {0};
    const struct supervisor_options options = {
        .files = {.config = config, .report = print_problem, .warning = print_warning, .arg = c},
        .ended = on_end,
        .arg = c,
    };
    if (supervisor_start(c->loop, &options, &c->supervisor, &e) < 0) {
        if (c->findings == 0)
            log_error("%s", e.text);
        return EXIT_ERROR;
    }
    static const int signals[] = {SIGHUP, SIGTERM, SIGINT};
    struct watched watched[ARRAY_LEN(signals)];
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        watched[i].command = c;
        loop_signal_init(&watched[i].signal, c->loop, signals[i], on_signal);
    }
    say_ready(c->supervisor);
    notify_state("READY=1");
    loop_run(c->loop);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        loop_signal_stop(&watched[i].signal);
    return c->status;
}

int cmd_proxy(int argc, char **argv)
{
    struct proxy_options o = {.config = DEFAULT_CONFIG};
    int first = 0;
    switch (options_parse(&usage, argc, argv, &o, &first)) {
    case OPTIONS_HELPED:
        return EXIT_OK;
    case OPTIONS_WRONG:
        return EXIT_ERROR;
    case OPTIONS_READY:
        break;
    }
    if (first < argc)
        return options_wrong(argv[0], "unexpected word `%s`", argv[first]);
    log_set_name("exeat proxy");
    signal(SIGPIPE, SIG_IGN);
    struct command c = {.loop = loop_new(true), .status = EXIT_ERROR};
    if (!c.loop) {
        log_error("no event loop");
        return EXIT_ERROR;
    }
    int status = serve(&c, o.config);
    supervisor_free(c.supervisor);
    loop_free(c.loop);
    return status;
}
