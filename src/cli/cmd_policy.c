/* exeat policy show: what a policy means, in plain words. */
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/project.h"
#include "policy/show.h"

#include <stdio.h>

enum { OUTPUT_BYTES = 64 << 20 };

struct policy_options {
    const char *policy;
    bool json;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct policy_options, policy, "policy", "FILE", "the same as FILE"),
    OPTION_FLAG(struct policy_options, json, "json", "as one JSON object"),
};

static const struct option_usage usage = {
    .synopsis = "exeat policy show [OPTION]... [FILE]",
    .about = "Prints what a policy allows: a summary, then each rule with the numbers in force.\n"
             "Default FILE: the project's .exeat.yaml.\n"
             "Not available in this version yet: exeat policy lint, exeat policy test.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

static int show(const char *path, bool json)
{
    AUTO(policy) *policy = NULL;
    AUTO_BUF out = BUF_INIT(OUTPUT_BYTES);
    if (project_load_policy(path, NULL, &policy) != 0)
        return EXIT_ERROR;
    if ((json ? show_json(policy, &out) : show_text(policy, &out)) < 0) {
        fprintf(stderr, "exeat policy: the policy is too large to print\n");
        return EXIT_ERROR;
    }
    fwrite(out.data + out.start, 1, buf_len(&out), stdout);
    return EXIT_OK;
}

int cmd_policy(int argc, char **argv)
{
    struct policy_options o = {0};
    int first;
    switch (options_parse(&usage, argc, argv, &o, &first)) {
    case OPTIONS_HELPED:
        return EXIT_OK;
    case OPTIONS_WRONG:
        return EXIT_ERROR;
    case OPTIONS_READY:
        break;
    }
    const char *action = first < argc ? argv[first] : "";
    if (strcmp(action, "lint") == 0 || strcmp(action, "test") == 0)
        return options_wrong("policy", "`%s` is not available in this version yet", action);
    if (strcmp(action, "show") != 0)
        return options_wrong("policy", *action ? "there is no `policy %s`" : "what to do is missing: show%s",
                             action);
    if (argc - first > (o.policy ? 1 : 2))
        return options_wrong("policy", "one FILE at most");
    return show(o.policy ? o.policy : argv[first + 1], o.json);
}
