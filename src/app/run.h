/* `exeat run`: one command, in the foreground, with a supervisor of its own.
 *
 * Until the jail exists, the environment alone leads the command through the proxy. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>

enum { RUN_FAILED = 125, RUN_CANNOT_EXECUTE = 126, RUN_NOT_FOUND = 127 }; /* env(1) */

struct run_options {
    const char *policy_name;  /* for messages and records: ".exeat.yaml" */
    struct slice policy;      /* its text */
    const char *default_task; /* where neither `task` nor the policy names one */
    const char *task;         /* NULL: the policy's */
    const char *mode;         /* NULL: the policy's */
    bool quiet;               /* no summary */
    char **command;           /* ends with NULL */
};

/* Returns the exit status: the command's own, 128 + n for a signal, or one of the above. */
int run_command(const struct run_options *o);
