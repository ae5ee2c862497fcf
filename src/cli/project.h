/* The project that the working directory belongs to, and its policy (interfaces.md 1, Trust).
 *
 * The project directory is the top of the git work tree that holds the working directory, else the
 * working directory.  git is not asked: it would read configuration that an agent may have written.
 */
#pragma once
#include "app/texts.h"
#include "base/err.h"
#include "policy/policy.h"

#define PROJECT_POLICY ".exeat.yaml"

struct project {
    char *dir;    /* absolute, without symbolic links */
    char *policy; /* dir/.exeat.yaml, whether it exists or not */
    char *task;   /* the directory's name, with "-" for what cannot stand in a task's name */
};

MUST_USE int project_find(struct project *ret, struct err *e);
/* `dir` itself is the project, whatever work tree holds it (`run --rw DIR`). */
MUST_USE int project_at(const char *dir, struct project *ret, struct err *e);
void project_clear(struct project *p);

/* Where no command of another program may be let loose: a home directory or an ancestor of one, `/`, a
 * directory of another user (root may: its jail takes the owner's uid), one that all users share. */
MUST_USE int project_check_place(const struct project *p, struct err *e);

/* A policy as it was read: the file first, then every file that it extends by path, each once; nothing is
 * read again. */
struct project_policy {
    struct project project;
    struct arena arena; /* of names and texts */
    const char *name;   /* for messages and records: ".exeat.yaml", or what --policy said */
    const char *base;   /* the folder that names of files start from; NULL: the working directory */
    struct texts *texts; /* what it extends, presets too */
    struct files_given *files; /* by name; none where the project has no policy: nothing is allowed then */
    size_t file_count;
    struct files_given site; /* of a daemon's configuration: holds beside the policy's own; path NULL: none */
};

/* What `exeat run` starts with.  `policy` (--policy) names a file, which is trusted by that; NULL is the
 * project's own, which takes effect once it is trusted: on a terminal the person is asked, with the
 * difference to what was trusted before; without one this fails and says so.
 * `dir` (--rw DIR) names the project; NULL: that of the working directory.
 * All errors are exit 125.  What a person must know (no policy) is printed. */
MUST_USE int project_policy_for_run(const char *policy, const char *dir, struct project_policy *ret, struct err *e);
/* Whether the project's own policy, as it was read, may take effect: asks as above where that is not known. */
MUST_USE int project_policy_check_trust(const struct project_policy *p, struct err *e);
void project_policy_clear(struct project_policy *p);

/* Reads the file that --policy names, or (NULL) the project's own, and what it extends.  `dir` as above.
 * 1 where the project has none: then there are no files. */
MUST_USE int project_policy_read(const char *policy, const char *dir, struct project_policy *ret, struct err *e);
/* Compiles what was read.  Without files: a policy that allows nothing. */
MUST_USE int project_policy_compile(const struct project_policy *p, const char *task, policy_report *report,
                                    void *report_arg, struct policy **ret_policy);

/* Prints "file:line:column: message" on standard error: a policy_report. */
void project_print_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message);

/* Reads and compiles.  `path` NULL: the project's own, called ".exeat.yaml" in messages; that it is not
 * trusted yet is said.
 * Prints every problem on standard error.  1 where there is no such file (only with path NULL): then
 * *ret_policy is one that allows nothing, and how to write one was printed.  -1 on failure. */
MUST_USE int project_load_policy(const char *path, const char *task, struct policy **ret_policy);
/* The same of a daemon's task, under the `site` of its configuration (NULL: none). */
MUST_USE int project_load_configured(const char *path, const char *site, const char *task,
                                     struct policy **ret_policy);
