/* The daemon's configuration for commands that only look something up in it. */
#pragma once
#include "app/config.h"

#define DEFAULT_CONFIG EXEAT_SYSCONFDIR "/exeat.yaml"

/* `path` NULL: the system's.  What is wrong is printed in the name of `command`. */
MUST_USE int daemon_config_load(const char *command, const char *path, struct config **ret);
