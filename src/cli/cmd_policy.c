/* exeat policy: what a policy means, what is doubtful in it, whether it says what its tests expect. */
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/policy_actions.h"
#include "cli/project.h"
#include "policy/show.h"

#include <stdio.h>
#include <string.h>

enum { OUTPUT_BYTES = 64 << 20 };

static const struct option_row rows[] = {
    OPTION_TEXT(struct policy_options, policy, "policy", "FILE", "the same as FILE"),
    OPTION_FLAG(struct policy_options, json, "json", "as JSON: show one object, lint and test one a line"),
    OPTION_FLAG(struct policy_options, strict, "strict", "lint: status 1 on warnings too"),
    OPTION_TEXT(struct policy_options, replay, "replay", "LOG",
                "test: which requests of this log, or folder of logs, would get another verdict"),
    OPTION_TEXT(struct policy_options, task, "task", "NAME", "test --replay: only the records of this task"),
};

static const struct option_usage usage = {
    .synopsis = "exeat policy show [--json] [FILE]\n"
                "       exeat policy lint [--json] [--strict] [FILE]\n"
                "       exeat policy test [--json] [--replay LOG [--task NAME]] [FILE]",
    .about = "show prints what a policy allows: a summary, then each rule with the numbers in force.\n"
             "lint says what is allowed in a policy and yet most likely not meant.\n"
             "test judges the requests under `tests:` of the policy (`allow METHOD URL`, `block METHOD URL`).\n"
             "Default FILE: the project's " PROJECT_POLICY ".\n"
             "Exit status: 0; 1 where lint has found an error or a test fails; 2 where nothing could be judged.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

static int show(const struct policy_options *o)
{
    AUTO(policy) *policy = NULL;
    AUTO_BUF out = BUF_INIT(OUTPUT_BYTES);
    if (project_load_policy(o->policy, NULL, &policy) != 0)
        return EXIT_ERROR;
    if ((o->json ? show_json(policy, &out) : show_text(policy, &out)) < 0) {
        fprintf(stderr, "exeat policy: the policy is too large to print\n");
        return EXIT_ERROR;
    }
    fwrite(out.data + out.start, 1, buf_len(&out), stdout);
    return EXIT_OK;
}

static const struct action {
    const char *name;
    int (*run)(const struct policy_options *o);
    bool lints, tests; /* takes the options of that action */
} actions[] = {
    {"show", show, false, false},
    {"lint", policy_action_lint, true, false},
    {"test", policy_action_test, false, true},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(actions); i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static int check_options(const struct policy_options *o, const struct action *a)
{
    if (o->strict && !a->lints)
        return options_wrong("policy", "--strict belongs to `policy lint`");
    if ((o->replay || o->task) && !a->tests)
        return options_wrong("policy", "--replay and --task belong to `policy test`");
    return o->task && !o->replay ? options_wrong("policy", "--task goes with --replay") : 0;
}

int cmd_policy(int argc, char **argv)
{
    struct policy_options o = {0};
    int first;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (first == argc)
        return options_wrong("policy", "what to do is missing: show, lint or test");
    const struct action *action = find_action(argv[first]);
    if (!action)
        return options_wrong("policy", "there is no `policy %s`", argv[first]);
    if (argc - first > (o.policy ? 1 : 2))
        return options_wrong("policy", "one FILE at most");
    if (check_options(&o, action) != 0)
        return EXIT_ERROR;
    if (!o.policy)
        o.policy = argv[first + 1];
    return action->run(&o);
}
