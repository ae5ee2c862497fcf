/* `exeat run`: one command, in a jail, with a supervisor of its own. */
#pragma once
#include "app/files.h"
#include "base/err.h"
#include "policy/policy.h"

#include <stdbool.h>

enum { RUN_FAILED = 125, RUN_CANNOT_EXECUTE = 126, RUN_NOT_FOUND = 127 }; /* env(1) */

struct run_options {
    const char *project;     /* absolute, without links: the folder that the command may write */
    const char *policy_name; /* for messages and records: ".exeat.yaml" */
    const struct files_given *policy_files; /* its text first, then what it extends by path */
    size_t policy_file_count;
    const struct policy *policy;       /* the same, compiled */
    const char *config;                /* path of --config, absolute; NULL: none */
    const char *daemon;                /* socket of --daemon; NULL: the run has a proxy of its own */
    const char *task;                  /* NULL: the policy's */
    const char *mode;                  /* NULL: the policy's */
    const char *const *rw, *const *ro; /* absolute; each ends with NULL */
    bool as_root, dry_run, json;
    bool quiet;     /* no summary */
    char **command; /* ends with NULL */
};

/* The task's name: as given, or the policy's. */
static inline const char *run_task(const struct run_options *o)
{
    return o->task ? o->task : policy_task(o->policy);
}

/* Returns the exit status: the command's own, 128 + n for a signal, or one of the above. */
int run_command(const struct run_options *o);
