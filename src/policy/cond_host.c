/* host: the names of a rule.  The index (policy/index.h) finds rules by them, so there is nothing to judge.
 */
#include "policy/cond.h"
#include "policy/hosts.h"

const struct host_patterns *cond_host_of(const struct policy_rule *r)
{
    return r->cond[PART_HOST];
}

int cond_host_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                   void *field)
{
    struct policy_rule *rule = field;
    struct schema_texts list;
    if (schema_texts(ctx, key, value, &list) < 0)
        return -1;
    struct host_patterns *hosts = arena_new(ctx->arena, struct host_patterns);
    struct host_pattern *at = arena_array(ctx->arena, list.count + 1, sizeof *at);
    if (!hosts || !at)
        return schema_fail(ctx, value, "out of memory");
    int result = 0;
    for (size_t i = 0; i < list.count; i++)
        if (hosts_parse(ctx, &list.at[i], rule->broad, &at[i]) < 0)
            result = -1;
    *hosts = (struct host_patterns){at, list.count};
    rule->cond[PART_HOST] = hosts;
    return result;
}

static int finish(struct schema_ctx *ctx, const struct node *at, struct policy_rule *rule)
{
    return rule->cond[PART_HOST] ? 0 : schema_fail(ctx, at, "the rule has no `host`");
}

static enum reason judge(const struct policy_rule *rule, const void *what, struct judged *q)
{
    (void)rule;
    (void)what;
    (void)q;
    return REASON_NONE;
}

static int show(const void *what, struct buf *out)
{
    const struct host_patterns *hosts = what;
    if (hosts->count == 0)
        return buf_append(out, SLICE("none"));
    for (size_t i = 0; i < hosts->count; i++)
        if ((i && buf_append(out, SLICE(", ")) < 0) || hosts_print(&hosts->at[i], out) < 0)
            return -1;
    return 0;
}

static void json(const void *what, struct json *j)
{
    const struct host_patterns *hosts = what;
    json_key(j, "host");
    json_array(j);
    for (size_t i = 0; i < hosts->count; i++) {
        AUTO_BUF text = BUF_INIT(CAP_HOST_BYTES + 8);
        j->failed |= hosts_print(&hosts->at[i], &text) < 0;
        json_slice(j, buf_slice(&text));
    }
    json_array_end(j);
}

static bool gist(const struct policy_rule *rule, const void *what, struct rule_gist *line)
{
    (void)rule;
    (void)what;
    (void)line;
    return true; /* the index has it */
}

const struct cond cond_host = {.finish = finish, .judge = judge, .show = show, .json = json, .gist = gist};
