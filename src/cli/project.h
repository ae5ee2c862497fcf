/* The project that the working directory belongs to, and its policy (interfaces.md, Trust).
 *
 * The project directory is the top of the git work tree that holds the working directory, else the
 * working directory.  git is not asked: it would read configuration that an agent may have written.
 */
#pragma once
#include "base/err.h"
#include "policy/policy.h"

#define PROJECT_POLICY ".exeat.yaml"

struct project {
    char *dir;    /* absolute, without symbolic links */
    char *policy; /* dir/.exeat.yaml, whether it exists or not */
    char *task;   /* the directory's name, with "-" for what cannot stand in a task's name */
};

MUST_USE int project_find(struct project *ret, struct err *e);
void project_clear(struct project *p);

/* Prints "file:line:column: message" on standard error: a policy_report. */
void project_print_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message);

/* Reads and compiles.  `path` NULL: the project's own, called ".exeat.yaml" in messages.
 * Prints every problem on standard error.  1 where there is no such file (only with path NULL): then
 * *ret_policy is one that allows nothing, and how to write one was printed.  -1 on failure. */
MUST_USE int project_load_policy(const char *path, const char *task, struct policy **ret_policy);
