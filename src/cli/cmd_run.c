#include "app/run.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/project.h"

#include <stdio.h>
#include <string.h>

struct options {
    const char *policy, *task, *mode;
    bool quiet;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct options, policy, "policy", "FILE",
                "the policy (default: " PROJECT_POLICY " of the project)"),
    OPTION_TEXT(struct options, task, "task", "NAME", "the task's name in the log"),
    OPTION_TEXT(struct options, mode, "mode", "MODE",
                "enforce, or monitor: let pass and record what would be blocked"),
    OPTION_FLAG(struct options, quiet, "quiet", "no summary at the end"),
    OPTION_LATER("rw", "DIR", "a folder that the command may write"),
    OPTION_LATER("ro", "DIR", "a folder that the command may read"),
    OPTION_LATER("dry-run", NULL, "print the plan of the jail"),
    OPTION_LATER("daemon", NULL, "use the running proxy"),
    OPTION_LATER("as-root", NULL, "let the jail's user be root"),
};

static const struct option_usage usage = {
    .synopsis = "exeat run [OPTION]... [--] COMMAND [ARGUMENT]...",
    .about =
        "Starts a command whose requests go through a proxy of its own, judged by the project's policy and\n"
        "recorded.  In this version only environment variables lead the command through the proxy; a program\n"
        "that ignores them is not held back.  Exits as the command does (128+n for signal n), with 125 when\n"
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

static int start(const struct options *o, char **command)
{
    struct project_policy policy;
    struct err e;
    if (project_policy_for_run(o->policy, NULL, &policy, &e) < 0)
        return complain(&e);
    const struct run_options run = {
        .policy_name = policy.name,
        .policy = policy.file_count ? policy.files[0].text : SLICE(""),
        .default_task = policy.project.task,
        .task = o->task,
        .mode = o->mode,
        .quiet = o->quiet,
        .command = command,
    };
    int status = run_command(&run);
    project_policy_clear(&policy);
    return status;
}

static int check_options(const struct options *o)
{
    if (o->mode && strcmp(o->mode, "ask") == 0)
        return options_wrong("run", "--mode ask is not available in this version yet");
    if (o->mode && strcmp(o->mode, "enforce") != 0 && strcmp(o->mode, "monitor") != 0)
        return options_wrong("run", "--mode is enforce or monitor, not `%s`", o->mode);
    return 0;
}

int cmd_run(int argc, char **argv)
{
    struct options o = {0};
    int first = 0;
    switch (options_parse(&usage, argc, argv, &o, &first)) {
    case OPTIONS_HELPED:
        return EXIT_OK;
    case OPTIONS_WRONG:
        return RUN_FAILED;
    case OPTIONS_READY:
        break;
    }
    if (check_options(&o) != 0)
        return RUN_FAILED;
    if (first == argc) {
        options_wrong("run", "a command is missing");
        return RUN_FAILED;
    }
    return start(&o, argv + first);
}
