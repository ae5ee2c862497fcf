#include "app/daemon.h"
#include "cli/commands.h"
#include "cli/daemon_config.h"
#include "cli/options.h"

struct proxy_options {
    const char *config;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct proxy_options, config, "config", "FILE",
                "the configuration (default: " DEFAULT_CONFIG ")"),
};

static const struct option_usage usage = {
    .synopsis = "exeat proxy [--config FILE]",
    .about =
        "Serves the tasks of the configuration, each by its own policy, until SIGTERM or SIGINT.  The first\n"
        "lets requests in progress finish (timeouts.shutdown), a second ends at once.  SIGHUP reads the\n"
        "configuration and all policies again: all of it takes effect, or nothing.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

int cmd_proxy(int argc, char **argv)
{
    struct proxy_options o = {.config = DEFAULT_CONFIG};
    int first = 0;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (first < argc)
        return options_wrong(argv[0], "unexpected word `%s`", argv[first]);
    return daemon_serve(o.config);
}
