#include "app/config.h"
#include "app/run.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/project.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *policy, *task, *mode, *config, *daemon;
    struct option_list rw, ro;
    bool as_root, dry_run, json, quiet;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct options, policy, "policy", "FILE",
                "the policy (default: " PROJECT_POLICY " of the project)"),
    OPTION_TEXT(struct options, task, "task", "NAME", "the task's name in the log"),
    OPTION_TEXT(struct options, mode, "mode", "MODE",
                "enforce, or monitor: let pass and record what would be blocked"),
    OPTION_LIST(struct options, rw, "rw", "DIR", "a folder that the command may write; may be repeated"),
    OPTION_LIST(struct options, ro, "ro", "DIR", "a folder that the command may read; may be repeated"),
    OPTION_FLAG(struct options, dry_run, "dry-run", "print the plan of the jail, and start nothing"),
    OPTION_FLAG(struct options, json, "json", "with --dry-run: as one JSON object"),
    OPTION_FLAG(struct options, as_root, "as-root",
                "let the jail's user be root: files it writes are root's"),
    OPTION_FLAG(struct options, quiet, "quiet", "no summary at the end"),
    OPTION_TEXT(struct options, config, "config", "FILE",
                "settings of the run's proxy: audit, limits, state, timeouts, upstream, workers"),
    OPTION_TEXT(struct options, daemon, "daemon", "SOCKET",
                "use the running `exeat proxy` that has `control: SOCKET`, instead of a proxy of the run's own"),
};

static const struct option_usage usage = {
    .synopsis = "exeat run [OPTION]... [--] COMMAND [ARGUMENT]...",
    .about =
        "Starts a command in a jail.  All that it sends over the network reaches a proxy of its own, which judges it\n"
        "by the project's policy and records it, or goes nowhere; of the file system it sees the project, which it\n"
        "may write, and the system, which it may read.  Exits as the command does (128+n for signal n), with 125 when\n"
        "exeat itself fails, 126 or 127 when the command cannot be executed or found.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
    .stop_at_operand = true,
};

static int complain(const struct err *e)
{
    fprintf(stderr, "exeat run: %s\n", e->text);
    return RUN_FAILED;
}

/* Folders as they are named on the command line, made absolute and free of links; ends with NULL. */
struct folders {
    char *at[OPTION_LIST_MAX + 1];
};

static void clear_folders(struct folders *f)
{
    for (size_t i = 0; i < OPTION_LIST_MAX; i++)
        free(f->at[i]);
}

static int find_folders(const struct option_list *list, struct folders *ret, struct err *e)
{
    for (size_t i = 0; i < list->count; i++) {
        ret->at[i] = realpath(list->at[i], NULL);
        if (!ret->at[i])
            return err_sys(e, "%s", list->at[i]);
    }
    return 0;
}

/* --rw also names the project, where that of the working directory may be none (a home directory, `/`). */
static const char *choose_project(const struct folders *rw)
{
    struct project project;
    struct err e;
    if (!rw->at[0])
        return NULL;
    if (project_find(&project, &e) < 0)
        return rw->at[0];
    int result = project_check_place(&project, &e);
    project_clear(&project);
    return result < 0 ? rw->at[0] : NULL;
}

static int start(const struct options *o, const char *config, const struct folders *rw,
                 const struct folders *ro, char **command)
{
    struct project_policy found;
    struct policy *policy = NULL;
    struct err e;
    if (project_policy_for_run(o->policy, choose_project(rw), &found, &e) < 0)
        return complain(&e);
    int status = RUN_FAILED;
    if (project_policy_compile(&found, NULL, project_print_problem, NULL, &policy) == 0) {
        const struct run_options run = {
            .project = found.project.dir,
            .policy_name = found.name,
            .policy_files = found.files,
            .policy_file_count = found.file_count,
            .policy = policy,
            .config = config,
            .daemon = o->daemon,
            .task = o->task,
            .mode = o->mode,
            .rw = (const char *const *)rw->at,
            .ro = (const char *const *)ro->at,
            .as_root = o->as_root,
            .dry_run = o->dry_run,
            .json = o->json,
            .quiet = o->quiet,
            .command = command,
        };
        status = run_command(&run);
    }
    policy_free(policy);
    project_policy_clear(&found);
    return status;
}

static int find_and_start(const struct options *o, char **command)
{
    struct folders rw = {0}, ro = {0};
    struct err e;
    AUTO_STR char *config = o->config ? realpath(o->config, NULL) : NULL;
    int status;
    if (o->config && !config) {
        err_sys(&e, "%s", o->config);
        return complain(&e);
    }
    status = find_folders(&o->rw, &rw, &e) < 0 || find_folders(&o->ro, &ro, &e) < 0
                 ? complain(&e)
                 : start(o, config, &rw, &ro, command);
    clear_folders(&rw);
    clear_folders(&ro);
    return status;
}

static int check_options(const struct options *o)
{
    if (o->mode && strcmp(o->mode, "ask") == 0)
        return options_wrong("run", "--mode ask is not available in this version yet");
    if (o->mode && strcmp(o->mode, "enforce") != 0 && strcmp(o->mode, "monitor") != 0)
        return options_wrong("run", "--mode is enforce or monitor, not `%s`", o->mode);
    if (o->task && !config_task_name_ok(slice_str(o->task)))
        return options_wrong("run", "--task: a name has 1 to 63 letters, digits, dots, dashes and underscores");
    if (o->config && o->daemon)
        return options_wrong("run", "--config is for a proxy of the run's own: it does not go with --daemon");
    if (o->json && !o->dry_run)
        return options_wrong("run", "--json prints the plan: it goes with --dry-run");
    return 0;
}

int cmd_run(int argc, char **argv)
{
    struct options o = {0};
    int first = 0;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over == EXIT_OK ? EXIT_OK : RUN_FAILED;
    if (check_options(&o) != 0)
        return RUN_FAILED;
    if (first == argc) {
        options_wrong("run", "a command is missing");
        return RUN_FAILED;
    }
    return find_and_start(&o, argv + first);
}
