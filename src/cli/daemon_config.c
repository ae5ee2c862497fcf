#include "cli/daemon_config.h"

#include <stdio.h>

int daemon_config_load(const char *command, const char *path, struct config **ret)
{
    struct err e = {0};
    if (config_load(path ? path : DEFAULT_CONFIG, NULL, NULL, ret, &e) == 0)
        return 0;
    fprintf(stderr, "exeat %s: %s%s\n", command, e.text, path ? "" : " (name another one with --config)");
    return -1;
}
