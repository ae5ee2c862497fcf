/* exeat policy lint: what does not load, and what is most likely not meant (policy/lint.h). */
#include "app/run_kept.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/policy_actions.h"
#include "cli/project.h"
#include "policy/lint.h"

#include <stdio.h>

enum { LINE_BYTES = 64 << 10 };

struct output {
    bool json;
    unsigned errors, warnings;
};

static int write_json(const struct lint_finding *f, struct buf *line)
{
    struct json j = JSON_INIT(line);
    json_object(&j);
    json_kv_str(&j, "file", f->file);
    json_kv_int(&j, "line", f->line);
    json_kv_int(&j, "column", f->column);
    json_kv_str(&j, "level", lint_level_name(f->level));
    json_kv_str(&j, "id", f->id);
    json_kv_str(&j, "message", f->message);
    json_object_end(&j);
    return j.failed ? -1 : 0;
}

static int write_text(const struct lint_finding *f, struct buf *line)
{
    AUTO_BUF raw = BUF_INIT(LINE_BYTES / 2);
    size_t columns = 0;
    if (buf_printf(&raw, "%s", f->file) < 0 ||
        (f->line && buf_printf(&raw, ":%u:%u", f->line, f->column) < 0) ||
        buf_printf(&raw, ": %s: %s [%s]", lint_level_name(f->level), f->message, f->id) < 0)
        return -1;
    return printable_append(line, buf_slice(&raw), SIZE_MAX, &columns);
}

static void print_finding(void *arg, const struct lint_finding *f)
{
    struct output *o = arg;
    AUTO_BUF line = BUF_INIT(LINE_BYTES);
    if (f->level == LINT_ERROR)
        o->errors++;
    else
        o->warnings++;
    if ((o->json ? write_json(f, &line) : write_text(f, &line)) < 0)
        fprintf(stderr, "exeat policy: a finding is too long to print\n");
    else
        printf("%.*s\n", SLICE_FMT(buf_slice(&line)));
}

/* What keeps the policy from loading is a finding like the others. */
static void print_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    const struct lint_finding f = {.file = file, .line = line, .column = column, .level = LINT_ERROR,
                                   .id = "does-not-load", .message = message};
    print_finding(arg, &f);
}

/* The loader knows no agents: they are the jail's. */
static void check_agent(const struct policy *policy, struct output *o)
{
    struct err e;
    if (run_kept_check_agent(policy, &e) < 0)
        print_finding(o, &(struct lint_finding){.file = policy_file(policy), .level = LINT_ERROR,
                                                .id = "unknown-agent", .message = e.text});
}

static void sum_up(const struct output *o)
{
    fprintf(stderr, "exeat policy lint: %u error%s, %u warning%s\n", o->errors, o->errors == 1 ? "" : "s",
            o->warnings, o->warnings == 1 ? "" : "s");
}

int policy_action_lint(const struct policy_options *o)
{
    struct output output = {.json = o->json};
    struct project_policy files;
    struct err e;
    AUTO(policy) *policy = NULL;
    int found = project_policy_read(o->policy, NULL, &files, &e);
    if (found != 0) {
        if (found == 1) {
            err_set(&e, "there is no policy (%s)", files.project.policy);
            project_policy_clear(&files);
        }
        fprintf(stderr, "exeat policy lint: %s\n", e.text);
        return EXIT_ERROR;
    }
    if (project_policy_compile(&files, NULL, print_problem, &output, &policy) == 0) {
        policy_lint(policy, clock_wall_ms(), print_finding, &output);
        check_agent(policy, &output);
    } else if (output.errors == 0) {
        print_problem(&output, files.name, 0, 0, "it does not load");
    }
    project_policy_clear(&files);
    sum_up(&output);
    return output.errors || (o->strict && output.warnings) ? EXIT_FINDINGS : EXIT_OK;
}
