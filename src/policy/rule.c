#include "policy/rule.h"

#include "policy/oneline.h"
#include "policy/passthrough.h"

enum { NAME_BYTES = 200, MESSAGE_BYTES = 500 };

static int read_line(struct schema_ctx *ctx, const struct schema_key *key, size_t max,
                     const struct node *value, const char **ret)
{
    const struct schema_key text = {key->name, .max = max};
    struct slice s;
    if (schema_text(ctx, &text, value, &s) < 0)
        return -1;
    *ret = s.ptr;
    return 0;
}

static int read_name(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    struct policy_rule *rule = field;
    return read_line(ctx, key, NAME_BYTES, value, &rule->name);
}

static int read_message(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                        void *field)
{
    struct policy_rule *rule = field;
    if (!rule->deny)
        return schema_fail(ctx, value->key, "`message` belongs to deny rules; an allow rule has none");
    return read_line(ctx, key, MESSAGE_BYTES, value, &rule->message);
}

/* What only an allow rule can mean. */
static int only_allows(struct schema_ctx *ctx, const struct policy_rule *rule, const struct node *value)
{
    return rule->deny ? schema_fail(ctx, value->key, "`%.*s` belongs to allow rules; a deny rule has none",
                                    SLICE_FMT(value->key->text))
                      : 0;
}

static int read_limits(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                       void *field)
{
    struct policy_rule *rule = field;
    return only_allows(ctx, rule, value) < 0 ? -1 : limits_read(ctx, key, value, &rule->limits);
}

static int read_addresses(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                          void *field)
{
    struct policy_rule *rule = field;
    return only_allows(ctx, rule, value) < 0 ? -1 : nets_read(ctx, key, value, &rule->addresses);
}

static int read_tls(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                    void *field)
{
    return only_allows(ctx, field, value) < 0 ? -1 : passthrough_read(ctx, key, value, field);
}

static const struct schema_key rule_keys[] = {
    {"name", read_name, 0},
    {"message", read_message, 0},
#define COND_KEY(key, reader) {key, reader, 0},
#include "policy/conds.def"
    {"expires", expires_read, offsetof(struct policy_rule, expires)},
    {"broad", schema_bool, offsetof(struct policy_rule, broad)},
    {"encoded_slash", schema_bool, offsetof(struct policy_rule, encoded_slash)},
    {"limits", read_limits, 0},
    {"tls", read_tls, 0},
    {"addresses", read_addresses, 0},
    {"websocket", schema_later, 0},
    {"watch", schema_later, 0},
};
static const struct schema rule_schema = SCHEMA("a rule", struct policy_rule, rule_keys);

const struct cond *const conds[PART_COUNT] = {
#define COND(constant, name) [PART_##constant] = &cond_##name,
#include "policy/conds.def"
};

const char *policy_part_name(enum policy_part p)
{
    static const char *const names[PART_COUNT] = {
#define COND(constant, name) [PART_##constant] = #name,
#include "policy/conds.def"
    };
    return names[p];
}

int cond_show_texts(const struct schema_texts *texts, struct buf *out)
{
    if (texts->count == 0)
        return buf_append(out, SLICE("none"));
    for (size_t i = 0; i < texts->count; i++)
        if ((i && buf_append(out, SLICE(", ")) < 0) || buf_append(out, texts->at[i].text) < 0)
            return -1;
    return 0;
}

void cond_json_texts(const struct schema_texts *texts, struct json *j)
{
    json_array(j);
    for (size_t i = 0; i < texts->count; i++)
        json_slice(j, texts->at[i].text);
    json_array_end(j);
}

/* A passthrough rule asks for a host, a port and https; the parts behind them are not seen. */
static int finish(struct schema_ctx *ctx, const struct node *at, struct policy_rule *rule)
{
    enum policy_part end = rule->passthrough ? PART_SCHEME + 1 : PART_COUNT;
    int result = 0;
    for (enum policy_part p = 0; p < end; p++)
        if (conds[p]->finish && conds[p]->finish(ctx, at, rule) < 0)
            result = -1;
    for (enum policy_part p = end; p < PART_COUNT; p++)
        rule->cond[p] = NULL;
    rule->encoded_slash |= rule->passthrough;
    rule->policy->has_passthrough |= rule->passthrough;
    if (!rule->name)
        rule->name = arena_printf(ctx->arena, "rule %u", rule->number);
    return rule->name ? result : schema_fail(ctx, at, "out of memory");
}

/* Hosts are read before or behind `broad`, as the file has them; they must know it in either case. */
static bool is_broad(const struct node *mapping)
{
    const struct node *value = mapping->kind == NODE_MAPPING ? node_get(mapping, SLICE("broad")) : NULL;
    return value && value->kind == NODE_SCALAR && slice_eq(value->text, SLICE("true"));
}

static int own_word(struct schema_ctx *ctx, const struct node *mapping, const char *key)
{
    const struct node *value = node_get(mapping, slice_str(key));
    return schema_fail(ctx, value ? value->key : mapping, "`%s` counts only in the policy itself", key);
}

/* What widens is the policy's own word (interfaces.md 1, Trust).  Presets come with exeat: their `broad`
 * counts. */
static int check_origin(struct schema_ctx *ctx, const struct policy_rule *rule, const struct node *mapping)
{
    int result = 0;
    if (rule->origin->kind == ORIGIN_TOP)
        return 0;
    if (rule->addresses.count)
        result = own_word(ctx, mapping, "addresses");
    if (rule->passthrough)
        result = own_word(ctx, mapping, "tls");
    if (rule->broad && rule->origin->kind == ORIGIN_FILE)
        result = own_word(ctx, mapping, "broad");
    return result;
}

int rule_read(struct schema_ctx *ctx, const struct node *value, struct policy_rule *rule)
{
    if (value->kind == NODE_SEQUENCE)
        return schema_fail(ctx, value, "a rule must be a mapping or `METHOD https://host/path`, not a list");
    rule->line = value->line;
    rule->column = value->column;
    rule->expires = EXPIRES_NEVER;
    const struct node *mapping = oneline_expand(ctx, value);
    if (!mapping)
        return -1;
    rule->broad = is_broad(mapping);
    if (schema_decode(ctx, &rule_schema, mapping, rule) < 0 ||
        (rule->passthrough && passthrough_check(ctx, mapping) < 0) || check_origin(ctx, rule, mapping) < 0)
        return -1;
    if (!rule->deny && rule->origin->kind == ORIGIN_PRESET)
        rule->addresses = rule->origin->addresses;
    return finish(ctx, value, rule);
}
