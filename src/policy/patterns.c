#include "policy/patterns.h"

#include "policy/glob.h"

enum { PATTERN_BYTES = 1024 };

static void drop_regex(void *regex)
{
    regex_free(regex);
}

int patterns_compile(struct schema_ctx *ctx, const struct schema_item *item, const struct policy_rule *rule,
                     struct regex **ret)
{
    struct err e;
    struct regex *regex;
    size_t offset;
    if (regex_compile(item->text, rule->deny ? REGEX_NOCASE : 0, &regex, &offset, &e) < 0)
        return problems_add(ctx->problems, item->line, item->column,
                            "not a regular expression that can be used: %s (at character %zu)", e.text,
                            offset + 1);
    if (policy_on_free(rule->policy, drop_regex, regex) < 0)
        return problems_add(ctx->problems, item->line, item->column, "out of memory");
    rule->policy->regex_bytes += regex_size(regex);
    if (rule->policy->regex_bytes > CAP_REGEX_BYTES)
        return problems_add(ctx->problems, item->line, item->column,
                            "the regular expressions of this policy take more than %u MiB, compiled: write globs, "
                            "or simpler expressions",
                            CAP_REGEX_BYTES >> 20);
    *ret = regex;
    return 0;
}

/* --- reading --- */

static int read_regex(struct schema_ctx *ctx, const struct node *value, const struct policy_rule *rule,
                      struct pattern *ret)
{
    static const struct schema_key keys[] = {{"regex", schema_node, 0, .required = true}};
    static const struct schema schema = SCHEMA("a pattern", const struct node *, keys);
    const struct schema_key text = {"regex"};
    const struct node *regex;
    struct schema_item item;
    if (schema_decode(ctx, &schema, value, &regex) < 0 || schema_text(ctx, &text, regex, &item.text) < 0)
        return -1;
    item.line = regex->line;
    item.column = regex->column;
    ret->text = item.text;
    return patterns_compile(ctx, &item, rule, &ret->regex);
}

/* The empty text in quotes is a pattern, too: the empty value. */
static int read_text(struct schema_ctx *ctx, const struct node *value, const struct policy_rule *rule,
                     struct pattern *ret)
{
    if (value->text.len > PATTERN_BYTES)
        return schema_fail(ctx, value, "a pattern has at most %d bytes", PATTERN_BYTES);
    struct slice text;
    if (value->text.len && schema_scalar(ctx, "pattern", value, &text) < 0)
        return -1;
    text = arena_slice(ctx->arena, value->text);
    char *folded = arena_alloc(ctx->arena, text.len + 1);
    if (!text.ptr || !folded)
        return schema_fail(ctx, value, "out of memory");
    for (size_t i = 0; i < text.len; i++)
        folded[i] = rule->deny ? ascii_lower(text.ptr[i]) : text.ptr[i];
    ret->text = text;
    ret->folded = slice_of(folded, text.len);
    return 0;
}

static int read_pattern(struct schema_ctx *ctx, const struct node *value, const struct policy_rule *rule,
                        struct pattern *ret)
{
    if (node_is_empty(value))
        return schema_fail(ctx, value, "a pattern is missing; \"*\" is any value, \"\" the empty one");
    if (value->kind == NODE_SEQUENCE)
        return schema_fail(ctx, value, "a pattern must be text or {regex: …}, not a list");
    return value->kind == NODE_MAPPING ? read_regex(ctx, value, rule, ret) : read_text(ctx, value, rule, ret);
}

static int read_values(struct schema_ctx *ctx, const struct node *value, const struct policy_rule *rule,
                       struct named_patterns *ret)
{
    size_t count = value->kind == NODE_SEQUENCE ? value->count : 1;
    if (count > CAP_RULE_VALUES)
        return schema_fail(ctx, value, "more than %d patterns", CAP_RULE_VALUES);
    ret->at = arena_array(ctx->arena, count + 1, sizeof *ret->at);
    if (!ret->at)
        return schema_fail(ctx, value, "out of memory");
    if (value->kind != NODE_SEQUENCE) {
        ret->count = 1;
        return read_pattern(ctx, value, rule, &ret->at[0]);
    }
    int result = 0;
    NODE_FOREACH(item, value)
    {
        if (read_pattern(ctx, item, rule, &ret->at[ret->count++]) < 0)
            result = -1;
    }
    return result;
}

/* Keys that differ in the file may be one name: `x-a` and `x-a?`. */
static int check_twice(struct schema_ctx *ctx, const struct pattern_map *map, const struct node *key)
{
    const struct named_patterns *last = &map->at[map->count - 1];
    for (const struct named_patterns *n = map->at; n < last; n++)
        if (slice_eq(n->name, last->name))
            return schema_fail(ctx, key, "\"%.*s\" stands in line %u already", SLICE_FMT(last->name),
                               n->line);
    return 0;
}

static int read_named(struct schema_ctx *ctx, const struct node *value, const struct policy_rule *rule,
                      pattern_name *name, struct pattern_map *map)
{
    struct named_patterns *n = &map->at[map->count++];
    struct slice text;
    *n = (struct named_patterns){.line = value->key->line, .column = value->key->column};
    if (schema_scalar(ctx, "name", value->key, &text) < 0)
        return -1;
    n->name = arena_slice(ctx->arena, text);
    if (!n->name.ptr)
        return schema_fail(ctx, value, "out of memory");
    if (name(ctx, rule, value->key, n) < 0 || check_twice(ctx, map, value->key) < 0)
        return -1;
    return read_values(ctx, value, rule, n);
}

static int read_map(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                    const struct policy_rule *rule, pattern_name *name, struct pattern_map *ret)
{
    if (value->kind != NODE_MAPPING)
        return schema_mismatch(ctx, key->name, value, "a mapping of names to patterns");
    if (value->count > CAP_NAMED_PATTERNS)
        return schema_fail(ctx, value, "`%s` has more than %d names", key->name, CAP_NAMED_PATTERNS);
    ret->at = arena_array(ctx->arena, value->count + 1, sizeof *ret->at);
    if (!ret->at)
        return schema_fail(ctx, value, "out of memory");
    int result = 0;
    NODE_FOREACH(entry, value)
    {
        if (read_named(ctx, entry, rule, name, ret) < 0)
            result = -1;
    }
    return result;
}

int patterns_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                  struct policy_rule *rule, enum policy_part part, const char *what, pattern_name *name)
{
    struct pattern_map *map = arena_new(ctx->arena, struct pattern_map);
    if (!map)
        return schema_fail(ctx, value, "out of memory");
    if (read_map(ctx, key, value, rule, name, map) < 0)
        return -1;
    if (rule->deny && map->count == 0)
        return schema_fail(ctx, value, "a deny rule names the %s that it forbids", what);
    rule->cond[part] = map;
    return 0;
}

/* --- judging --- */

bool patterns_match(const struct named_patterns *named, struct slice text, bool deny)
{
    for (const struct pattern *p = named->at; p < named->at + named->count; p++) {
        if (!p->regex && glob_match_segment(p->folded, text, deny))
            return true;
        if (!p->regex)
            continue;
        enum regex_result r = regex_match(p->regex, text);
        if (r == REGEX_MATCH || (deny && r == REGEX_LIMIT))
            return true;
    }
    return false;
}

/* --- showing --- */

static int show_named(const struct named_patterns *n, struct buf *out)
{
    if (buf_printf(out, "%.*s%s=", SLICE_FMT(n->name), n->optional ? "?" : "") < 0)
        return -1;
    for (size_t i = 0; i < n->count; i++)
        if ((i && buf_append(out, SLICE("|")) < 0) ||
            buf_printf(out, "%s%.*s", n->at[i].regex ? "regex " : "", SLICE_FMT(n->at[i].text)) < 0)
            return -1;
    return n->count ? 0 : buf_append(out, SLICE("nothing"));
}

int patterns_show(const struct pattern_map *map, struct buf *out)
{
    if (map->count == 0)
        return buf_append(out, SLICE("none"));
    for (size_t i = 0; i < map->count; i++)
        if ((i && buf_append(out, SLICE(", ")) < 0) || show_named(&map->at[i], out) < 0)
            return -1;
    return 0;
}

static void json_pattern(const struct pattern *p, struct json *j)
{
    if (!p->regex) {
        json_slice(j, p->text);
        return;
    }
    json_object(j);
    json_kv_slice(j, "regex", p->text);
    json_object_end(j);
}

/* A name is the author's text; json_key takes it escaped. */
static void json_name(const struct named_patterns *n, struct json *j)
{
    AUTO_BUF text = BUF_INIT(CAP_SCALAR_BYTES), quoted = BUF_INIT(CAP_SCALAR_BYTES);
    struct json k = JSON_INIT(&quoted);
    const char *key = NULL;
    if (buf_printf(&text, "%.*s%s", SLICE_FMT(n->name), n->optional ? "?" : "") == 0) {
        json_slice(&k, buf_slice(&text));
        if (!k.failed) {
            buf_truncate(&quoted, buf_len(&quoted) - 1);
            buf_consume(&quoted, 1);
            key = buf_cstr(&quoted);
        }
    }
    j->failed |= !key;
    json_key(j, key ? key : "");
}

void patterns_json(const struct pattern_map *map, struct json *j)
{
    json_object(j);
    for (const struct named_patterns *n = map->at; n < map->at + map->count; n++) {
        json_name(n, j);
        json_array(j);
        for (size_t i = 0; i < n->count; i++)
            json_pattern(&n->at[i], j);
        json_array_end(j);
    }
    json_object_end(j);
}
