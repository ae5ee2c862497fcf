/* scheme: https or http; https where an allow rule says nothing. */
#include "policy/cond.h"

static const enum http_scheme schemes[] = {HTTP_SCHEME_HTTP, HTTP_SCHEME_HTTPS};

enum http_scheme cond_scheme_of(const struct policy_rule *r)
{
    const enum http_scheme *s = r->cond[PART_SCHEME];
    return s ? *s : HTTP_SCHEME_HTTPS;
}

int cond_scheme_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    static const char *const words[] = {"http", "https", NULL};
    const struct schema_key word = {key->name, .words = words};
    struct policy_rule *rule = field;
    unsigned i;
    if (schema_word(ctx, &word, value, &i) < 0)
        return -1;
    rule->cond[PART_SCHEME] = &schemes[i];
    return 0;
}

static int finish(struct schema_ctx *ctx, const struct node *at, struct policy_rule *rule)
{
    (void)ctx;
    (void)at;
    if (!rule->deny && !rule->cond[PART_SCHEME])
        rule->cond[PART_SCHEME] = &schemes[HTTP_SCHEME_HTTPS];
    return 0;
}

static enum reason judge(const struct policy_rule *rule, const void *what, struct judged *q)
{
    (void)rule;
    const enum http_scheme *scheme = what;
    return q->target->scheme == *scheme ? REASON_NONE : REASON_SCHEME_NOT_ALLOWED;
}

static int show(const void *what, struct buf *out)
{
    const enum http_scheme *scheme = what;
    return buf_append(out, slice_str(http_scheme_name(*scheme)));
}

static void json(const void *what, struct json *j)
{
    const enum http_scheme *scheme = what;
    json_kv_str(j, "scheme", http_scheme_name(*scheme));
}

static bool gist(const struct policy_rule *rule, const void *what, struct rule_gist *line)
{
    (void)rule;
    const enum http_scheme *scheme = what;
    line->schemes = (uint8_t)(1u << *scheme);
    return true;
}

const struct cond cond_scheme = {.finish = finish, .judge = judge, .show = show, .json = json, .gist = gist};
