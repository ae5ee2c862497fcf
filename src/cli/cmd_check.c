/* exeat check: judge requests without sending anything.
 *
 * One line of JSON an input (interfaces.md 4): verdict, reason, status, method, url, canonical, rule,
 * nearest, mismatch, mode.  For an allowed request reason and status are null, in mode monitor the
 * reason is why it would be blocked; canonical is null where the URL has no canonical form. */
#include "app/load.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/daemon_config.h"
#include "cli/judging.h"
#include "cli/options.h"
#include "cli/project.h"
#include "config/schema.h"
#include "fetch/guard.h"
#include "http/fields.h"
#include "policy/explain.h"
#include "policy/nets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUTPUT_BYTES = 512 << 10, LINE_BYTES = CAP_TARGET_BYTES + CAP_METHOD_BYTES + 16 };

struct check_options {
    const char *policy, *config, *task, *body_size, *type;
    struct option_list headers;
    bool json;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct check_options, policy, "policy", "FILE",
                "judge by this policy (default: the project's .exeat.yaml)"),
    OPTION_TEXT(struct check_options, config, "config", "FILE",
                "judge by the policy of a task of this configuration"),
    OPTION_TEXT(struct check_options, task, "task", "NAME", "the task"),
    OPTION_LIST(struct check_options, headers, "header", "NAME: VALUE", "a header field; may be repeated"),
    OPTION_TEXT(struct check_options, body_size, "body-size", "SIZE",
                "the request has a body of 1000, 64KiB, 1MiB"),
    OPTION_TEXT(struct check_options, type, "type", "TYPE", "the body's media type"),
    OPTION_FLAG(struct check_options, json, "json", "one JSON object a line"),
};

static const struct option_usage usage = {
    .synopsis = "exeat check [OPTION]... METHOD URL\n       exeat check [OPTION]... -",
    .about = "Says whether the policy would let a request through, and why. Nothing is resolved or sent.\n"
             "With `-`, reads `METHOD URL` lines from standard input.\n"
             "Exit status: 0 all are allowed, 1 one is not, 2 an error or a malformed request.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

struct check {
    struct judging judging;
    struct http_headers headers;
    bool json;
    int exit;
};

/* ---- output ---- */

static const char *const verdict_names[] = {"allow", "block", "hold"};

static void json_rule(struct json *j, const char *key, const struct policy_rule *rule)
{
    json_key(j, key);
    if (!rule) {
        json_null(j);
        return;
    }
    struct policy_rule_info info;
    policy_rule_info(rule, &info);
    json_object(j);
    json_kv_str(j, "name", info.name);
    json_kv_str(j, "file", info.file);
    json_kv_int(j, "line", info.line);
    json_object_end(j);
}

static void json_mismatch(struct json *j, unsigned mismatch)
{
    json_key(j, "mismatch");
    json_array(j);
    for (enum policy_part p = 0; p < PART_COUNT; p++)
        if (mismatch & 1u << p)
            json_str(j, policy_part_name(p));
    json_array_end(j);
}

static int write_json(const struct check *c, const struct judgement *r, struct buf *out)
{
    struct json j = JSON_INIT(out);
    const struct verdict *v = &r->verdict;
    json_object(&j);
    json_kv_str(&j, "verdict", verdict_names[v->kind]);
    json_kv_str(&j, "reason", reason_id(v->reason));
    json_key(&j, "status");
    if (v->kind == VERDICT_ALLOW)
        json_null(&j);
    else
        json_int(&j, reason_status(v->reason));
    json_kv_slice(&j, "method", r->method);
    json_kv_slice(&j, "url", r->url);
    json_key(&j, "canonical");
    if (buf_len(&r->canonical))
        json_slice(&j, buf_slice(&r->canonical));
    else
        json_null(&j);
    json_rule(&j, "rule", v->rule);
    json_rule(&j, "nearest", v->nearest);
    json_mismatch(&j, v->mismatch);
    json_kv_str(&j, "mode", policy_mode_words[policy_mode(c->judging.policy)]);
    json_object_end(&j);
    return j.failed ? -1 : buf_append(out, SLICE("\n"));
}

/* Whether a rule in one line says all that is missing: it has no word for these. */
static bool one_line_mends(const struct judgement *r)
{
    switch (r->verdict.reason) {
    case REASON_QUERY_NOT_ALLOWED:
    case REASON_HEADER_NOT_ALLOWED:
    case REASON_BODY_NOT_ALLOWED:
    case REASON_BODY_TYPE_NOT_ALLOWED:
        return false;
    default:
        return reason_is_missing_rule(r->verdict.reason) && !r->target.encoded_slash;
    }
}

/* A rule that would allow it, for the reasons that a rule can mend. */
static int write_suggestion(const struct judgement *r, struct buf *out)
{
    const struct http_target *t = &r->target;
    if (!one_line_mends(r) || slice_find(t->path, '*') >= 0)
        return 0;
    if (buf_printf(out, "\nto allow it: - %.*s %s://", SLICE_FMT(r->method), http_scheme_name(t->scheme)) <
            0 ||
        http_authority_print(&t->authority, http_scheme_port(t->scheme), out) < 0)
        return -1;
    return buf_append(out, t->path);
}

/* Why a literal address is not dialled although a rule allows it; NULL: it is. */
static const char *forbidden_address(const struct judgement *r)
{
    const struct http_authority *a = &r->target.authority;
    size_t permitted = 0;
    if (r->verdict.kind != VERDICT_ALLOW || a->kind == HTTP_HOST_NAME)
        return NULL;
    struct fetch_address to = {.family = a->kind == HTTP_HOST_IPV6 ? AF_INET6 : AF_INET, .port = a->port};
    memcpy(to.bytes, a->address, sizeof to.bytes);
    const char *why = guard_forbids(&to, NULL);
    if (why && r->verdict.rule && !guard_is_final(why))
        policy_rule_addresses(r->verdict.rule, &permitted);
    return permitted ? NULL : why;
}

/* The verdict stops short of addresses, since names have theirs only once they are looked up. */
static int write_guarded(const struct judgement *r, struct buf *out)
{
    const struct http_authority *a = &r->target.authority;
    const char *why = forbidden_address(r);
    if (!why)
        return 0;
    if (guard_is_final(why))
        return buf_printf(out, "\nbut it is never connected to: %s", why);
    return buf_printf(
        out, "\nbut it is not connected to (%s: %s): that needs `addresses: [\"%.*s/%d\"]` in the rule",
        reason_id(REASON_ADDRESS_BLOCKED), why, SLICE_FMT(a->host), a->kind == HTTP_HOST_IPV6 ? 128 : 32);
}

static int explain(const struct check *c, const struct judgement *r, struct buf *out)
{
    struct request_facts facts = c->judging.facts;
    facts.method = r->method;
    if (r->malformed)
        return buf_printf(out, "%s\n%s", reason_sentence(r->verdict.reason), r->detail ? r->detail : "");
    if (explain_person(&r->target, &facts, &r->verdict, out) < 0)
        return -1;
    return r->verdict.reason == REASON_NONE ? write_guarded(r, out) : write_suggestion(r, out);
}

static int write_text(const struct check *c, const struct judgement *r, struct buf *out)
{
    const struct verdict *v = &r->verdict;
    AUTO_BUF why = BUF_INIT(OUTPUT_BYTES / 2);
    if (buf_printf(out, "%s ", verdict_names[v->kind]) < 0 || judgement_print(r, out) < 0)
        return -1;
    if (v->reason != REASON_NONE &&
        buf_printf(out, ": %s (%u)", reason_id(v->reason), reason_status(v->reason)) < 0)
        return -1;
    if (explain(c, r, &why) < 0 || buf_append(out, SLICE("\n")) < 0)
        return -1;
    struct slice rest = buf_slice(&why), line;
    while (slice_next(&rest, '\n', &line))
        if (line.len && buf_printf(out, "  %.*s\n", SLICE_FMT(line)) < 0)
            return -1;
    return 0;
}

/* The worst input decides: 2 before 1 before 0.  An ambiguous URL is a block like any other; what is no
 * request at all is an error of whoever wrote the line. */
static void note_exit(struct check *c, const struct verdict *v)
{
    int code = v->reason == REASON_MALFORMED_REQUEST ? EXIT_ERROR
               : v->kind == VERDICT_ALLOW            ? EXIT_OK
                                                     : EXIT_FINDINGS;
    if (code > c->exit)
        c->exit = code;
}

static void check_one(struct check *c, struct slice method, struct slice url)
{
    struct arena arena = ARENA_INIT(1 << 20);
    AUTO_BUF out = BUF_INIT(OUTPUT_BYTES);
    struct judgement r;
    judge_request(&c->judging, &arena, method, url, &r);
    note_exit(c, &r.verdict);
    if ((c->json ? write_json(c, &r, &out) : write_text(c, &r, &out)) < 0) {
        fprintf(stderr, "exeat check: the answer is too long to print\n");
        c->exit = EXIT_ERROR;
    } else {
        fwrite(out.data + out.start, 1, buf_len(&out), stdout);
    }
    judgement_clear(&r);
    arena_free(&arena);
}

/* ---- input ---- */

static void check_line(struct check *c, struct slice line)
{
    line = slice_trim(line);
    if (line.len == 0)
        return;
    size_t space = 0;
    while (space < line.len && line.ptr[space] != ' ' && line.ptr[space] != '\t')
        space++;
    check_one(c, slice_first(line, space), slice_trim(slice_skip(line, space)));
}

/* Lines are cut at LINE_BYTES: what is longer than any target may be is refused as such. */
static void check_stream(struct check *c, FILE *in)
{
    static char line[LINE_BYTES];
    size_t len = 0;
    for (int byte; (byte = getc(in)) != EOF;) {
        if (byte == '\n') {
            check_line(c, slice_of(line, len));
            fflush(stdout);
            len = 0;
        } else if (len < sizeof line) {
            line[len++] = (char)byte;
        }
    }
    check_line(c, slice_of(line, len));
}

/* ---- options ---- */

/* Read by the parser that reads heads, so that --header takes what a request could have. */
static int read_headers(const struct option_list *list, struct buf *text, struct http_headers *ret)
{
    struct http_problem problem;
    for (size_t i = 0; i < list->count; i++)
        if (buf_printf(text, "%s\r\n", list->at[i]) < 0)
            return options_wrong("check", "--header: too long");
    if (buf_append(text, SLICE("\r\n")) < 0)
        return options_wrong("check", "--header: too long");
    struct http_lines lines = {.rest = buf_slice(text)};
    if (http_fields_read(&lines, ret, &problem) != 1)
        return options_wrong("check", "--header: write it as `Name: value`");
    return 0;
}

static int read_facts(const struct check_options *o, struct check *c)
{
    uint64_t size = 0;
    const struct http_header *type = http_headers_find_name(&c->headers, SLICE("content-type"));
    if (o->body_size && schema_parse_size(slice_str(o->body_size), &size) < 0)
        return options_wrong("check", "--body-size: write bytes, or 64KiB, 1MiB");
    c->judging.facts = (struct request_facts){
        .has_body = o->body_size ? size > 0 : o->type != NULL,
        .body_size = o->body_size ? (int64_t)size
                     : o->type    ? -1
                                  : 0,
        .content_type = o->type ? slice_str(o->type)
                        : type  ? type->value
                                : slice_str(NULL),
        .now_ms = clock_wall_ms(),
        .headers = &c->headers,
    };
    return 0;
}

static const struct config_task *choose_task(const struct config *config, const char *task)
{
    if (!task && config->task_count == 1)
        return config->tasks;
    return task ? config_find_task(config, task) : NULL;
}

static int load_configured(const struct check_options *o, struct policy **ret)
{
    AUTO(config) *config = NULL;
    if (daemon_config_load("check", o->config, &config) < 0)
        return -1;
    const struct config_task *task = choose_task(config, o->task);
    if (!task)
        return -options_wrong(
            "check", o->task ? "the configuration has no task `%s`" : "name the task with --task", o->task);
    if (project_load_configured(task->policy, config->site, task->name, ret) < 0)
        return -1;
    load_set_mode(*ret, task->mode);
    return 0;
}

static int load(const struct check_options *o, struct policy **ret)
{
    if (o->config && o->policy)
        return -options_wrong("check", "--config and --policy exclude each other");
    return o->config ? load_configured(o, ret) : project_load_policy(o->policy, o->task, ret);
}

static int run(const struct check_options *o, char **words)
{
    AUTO(policy) *policy = NULL;
    AUTO_BUF text = BUF_INIT(CAP_HEAD_BYTES);
    int loaded = load(o, &policy);
    if (loaded < 0)
        return EXIT_ERROR;
    struct check c = {.judging = {.policy = policy, .absent = loaded == 1}, .json = o->json};
    if (read_headers(&o->headers, &text, &c.headers) != 0 || read_facts(o, &c) != 0)
        return EXIT_ERROR;
    if (words[1])
        check_one(&c, slice_str(words[0]), slice_str(words[1]));
    else
        check_stream(&c, stdin);
    return c.exit;
}

int cmd_check(int argc, char **argv)
{
    struct check_options o = {0};
    int first;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    bool stream = argc - first == 1 && strcmp(argv[first], "-") == 0;
    if (!stream && argc - first != 2)
        return options_wrong("check", "write METHOD and URL, or `-` to read them from standard input");
    return run(&o, argv + first);
}
