/* exeat policy test: the requests under `tests:` of a policy, judged as `check` judges them.
 *
 * Output is TAP (testanything.org); --json gives a line each. */
#include "base/clock.h"
#include "base/json.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/judging.h"
#include "cli/policy_actions.h"
#include "cli/project.h"
#include "policy/tests.h"

#include <stdio.h>

enum { LINE_BYTES = 256 << 10, TARGET_BYTES = 1 << 20 };

struct outcome {
    const char *file;
    const struct policy_test *test;
    struct judgement judged;
    bool good;
};

/* What is no request at all is a typing error in the test, and not a block. */
static bool is_good(const struct policy_test *t, const struct judgement *j)
{
    return j->verdict.reason != REASON_MALFORMED_REQUEST && verdict_passes(&j->verdict) == t->allow;
}

static const char *word(bool allow)
{
    return allow ? "allow" : "block";
}

static int write_json(const struct outcome *o, struct buf *line)
{
    struct json j = JSON_INIT(line);
    json_object(&j);
    json_kv_bool(&j, "ok", o->good);
    json_kv_str(&j, "file", o->file);
    json_kv_int(&j, "line", o->test->line);
    json_kv_str(&j, "expected", word(o->test->allow));
    json_kv_str(&j, "verdict", word(verdict_passes(&o->judged.verdict)));
    json_kv_str(&j, "reason", reason_id(o->judged.verdict.reason));
    json_kv_slice(&j, "method", o->test->method);
    json_kv_slice(&j, "url", o->test->url);
    json_object_end(&j);
    return j.failed ? -1 : buf_append(line, SLICE("\n"));
}

static int write_why(const struct outcome *o, struct buf *out)
{
    const struct verdict *v = &o->judged.verdict;
    const struct policy_rule *rule = v->rule ? v->rule : v->nearest;
    struct policy_rule_info info;
    if (buf_printf(out, "# %s:%u: it is %s", o->file, o->test->line,
                   o->judged.malformed ? "no request" : word(verdict_passes(v))) < 0 ||
        (v->reason != REASON_NONE && buf_printf(out, ": %s", reason_id(v->reason)) < 0) ||
        (o->judged.detail && buf_printf(out, ": %s", o->judged.detail) < 0))
        return -1;
    if (!rule)
        return 0;
    policy_rule_info(rule, &info);
    return buf_printf(out, "; %s: \"%s\" (%s:%u)", v->rule ? "rule" : "nearest rule", info.name, info.file, info.line);
}

static int write_tap(const struct outcome *o, size_t number, struct buf *line)
{
    AUTO_BUF raw = BUF_INIT(LINE_BYTES / 2);
    if (buf_printf(&raw, "%s %zu - %s %.*s %.*s\n", o->good ? "ok" : "not ok", number, word(o->test->allow),
                   SLICE_FMT(o->test->method), SLICE_FMT(o->test->url)) < 0 ||
        (!o->good && (write_why(o, &raw) < 0 || buf_append(&raw, SLICE("\n")) < 0)))
        return -1;
    return printable_lines(line, buf_slice(&raw));
}

static bool run_one(const struct policy_options *o, const struct judging *judging, size_t i)
{
    struct arena arena = ARENA_INIT(TARGET_BYTES);
    AUTO_BUF line = BUF_INIT(LINE_BYTES);
    struct outcome outcome = {.file = policy_file(judging->policy), .test = &policy_tests(judging->policy)->at[i]};
    judge_request(judging, &arena, outcome.test->method, outcome.test->url, &outcome.judged);
    outcome.good = is_good(outcome.test, &outcome.judged);
    if ((o->json ? write_json(&outcome, &line) : write_tap(&outcome, i + 1, &line)) < 0)
        fprintf(stderr, "exeat policy test: test %zu is too long to print\n", i + 1);
    fwrite(line.data ? line.data + line.start : "", 1, buf_len(&line), stdout);
    judgement_clear(&outcome.judged);
    arena_free(&arena);
    return outcome.good;
}

static int run_all(const struct policy_options *o, const struct policy *policy)
{
    static const struct http_headers none;
    const struct judging judging = {.policy = policy, .facts = {.now_ms = clock_wall_ms(), .headers = &none}};
    size_t count = policy_tests(policy)->count, failed = 0;
    if (count == 0)
        fprintf(stderr, "exeat policy test: %s has no tests: write `tests: [allow GET https://host/path]`\n",
                policy_file(policy));
    for (size_t i = 0; i < count; i++)
        failed += !run_one(o, &judging, i);
    if (!o->json)
        printf("1..%zu\n", count);
    if (count)
        fprintf(stderr, "exeat policy test: %zu passed, %zu failed\n", count - failed, failed);
    return failed ? EXIT_FINDINGS : EXIT_OK;
}

int policy_action_test(const struct policy_options *o)
{
    AUTO(policy) *policy = NULL;
    if (o->replay)
        return policy_replay(o);
    if (project_load_policy(o->policy, NULL, &policy) != 0)
        return EXIT_ERROR;
    return run_all(o, policy);
}
