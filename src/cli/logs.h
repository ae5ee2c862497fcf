/* Which audit logs a command reads. */
#pragma once
#include "base/err.h"

#include <stddef.h>

struct logs {
    char **paths; /* oldest first; malloc'ed */
    size_t count;
};

/* The log of the proxy with this configuration, or this log or all in a folder, or (both NULL) those of this
 * user's runs.  Needs no running proxy.  An error where there is none. */
MUST_USE int logs_find(const char *config_file, const char *log, struct logs *ret, struct err *e);
void logs_clear(struct logs *l);
