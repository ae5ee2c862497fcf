#include "policy/passthrough.h"

#include "policy/model.h"

bool policy_rule_passthrough(const struct policy_rule *r)
{
    return r && r->passthrough;
}

int passthrough_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    static const char *const words[] = {"terminate", "passthrough", NULL};
    const struct schema_key word = {key->name, .words = words};
    struct policy_rule *rule = field;
    unsigned i;
    if (schema_word(ctx, &word, value, &i) < 0)
        return -1;
    rule->passthrough = i == 1;
    return 0;
}

static bool is_text(const struct node *value, struct slice text)
{
    return value->kind == NODE_SCALAR && slice_eq(value->text, text);
}

/* What a rule in one line cannot leave away, and others may write because it says nothing more. */
static bool says_everything(const struct node *value)
{
    if (slice_eq(value->key->text, SLICE("methods")))
        return is_text(value, SLICE("any"));
    if (slice_eq(value->key->text, SLICE("paths")))
        return is_text(value->kind == NODE_SEQUENCE && value->count == 1 ? value->first : value,
                       SLICE("/**"));
    return slice_eq(value->key->text, SLICE("scheme")) && is_text(value, SLICE("https"));
}

int passthrough_check(struct schema_ctx *ctx, const struct node *mapping)
{
    static const char *const inside[] = {"scheme",  "methods", "paths",         "path_regex", "query",
                                         "headers", "body",    "encoded_slash", "websocket"};
    int result = 0;
    for (size_t i = 0; i < ARRAY_LEN(inside); i++) {
        const struct node *value = node_get(mapping, slice_str(inside[i]));
        if (value && !says_everything(value))
            result = schema_fail(ctx, value->key,
                                 "`tls: passthrough` is about a whole https host, since nobody sees the "
                                 "requests inside: `%s` cannot be judged there",
                                 inside[i]);
    }
    return result;
}
