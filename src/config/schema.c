#include "config/schema.h"

#include "base/caps.h"
#include "config/suggest.h"

#include <stdarg.h>
#include <stdio.h>

int schema_fail(struct schema_ctx *ctx, const struct node *value, const char *fmt, ...)
{
    char message[500];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return problems_add(ctx->problems, value->line, value->column, "%s", message);
}

int schema_mismatch(struct schema_ctx *ctx, const char *key, const struct node *value, const char *expected)
{
    return schema_fail(ctx, value, "`%s` must be %s, not %s", key, expected, node_kind_name(value));
}

static const struct schema_key *find_key(const struct schema *s, struct slice name)
{
    for (size_t i = 0; i < s->count; i++)
        if (slice_eq(slice_str(s->keys[i].name), name))
            return &s->keys[i];
    return NULL;
}

/* "a, b, c" of the keys that exist. */
static void list_keys(const struct schema *s, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < s->count; i++) {
        if (s->keys[i].read == schema_later)
            continue;
        int n = snprintf(ret + used, size - used, "%s%s", used ? ", " : "", s->keys[i].name);
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

static int unknown_key(struct schema_ctx *ctx, const struct schema *s, const struct node *key)
{
    struct suggestion best = SUGGESTION_INIT(key->text);
    for (size_t i = 0; i < s->count; i++)
        if (s->keys[i].read != schema_later)
            suggest_consider(&best, s->keys[i].name);
    struct slice shown = slice_first(key->text, 64);
    if (best.name)
        return schema_fail(ctx, key, "unknown key \"%.*s\"; did you mean \"%s\"?", SLICE_FMT(shown),
                           best.name);
    char names[300];
    list_keys(s, names, sizeof names);
    return schema_fail(ctx, key, "unknown key \"%.*s\"; the keys of %s are %s", SLICE_FMT(shown), s->what,
                       names);
}

static int read_keys(struct schema_ctx *ctx, const struct schema *s, const struct node *mapping, void *ret)
{
    int result = 0;
    NODE_FOREACH(value, mapping)
    {
        const struct schema_key *key = find_key(s, value->key->text);
        if (!key)
            result = unknown_key(ctx, s, value->key);
        else if (key->read == schema_later)
            result = schema_later(ctx, key, value->key, NULL); /* the key is at fault, not its value */
        else if (key->read(ctx, key, value, (char *)ret + key->offset) < 0)
            result = -1;
    }
    return result;
}

int schema_decode(struct schema_ctx *ctx, const struct schema *schema, const struct node *mapping, void *ret)
{
    if (mapping->kind != NODE_MAPPING)
        return schema_fail(ctx, mapping, "%s must be a mapping (`key: value`), not %s", schema->what,
                           node_kind_name(mapping));
    int result = read_keys(ctx, schema, mapping, ret);
    for (size_t i = 0; i < schema->count; i++)
        if (schema->keys[i].required && !node_get(mapping, slice_str(schema->keys[i].name)))
            result = schema_fail(ctx, mapping, "%s has no `%s`", schema->what, schema->keys[i].name);
    return result;
}

int schema_table(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    if (value->kind != NODE_MAPPING)
        return schema_mismatch(ctx, key->name, value, "a mapping (`key: value`)");
    return schema_decode(ctx, key->table, value, field);
}

static int check_count(struct schema_ctx *ctx, const struct schema_key *key, const struct node *list)
{
    uint64_t max = key->max ? key->max : CAP_RULES;
    return list->count > max
               ? schema_fail(ctx, list, "`%s` has more than %llu entries", key->name, (unsigned long long)max)
               : 0;
}

int schema_tables(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    if (value->kind != NODE_SEQUENCE)
        return schema_mismatch(ctx, key->name, value, "a list");
    if (check_count(ctx, key, value) < 0)
        return -1;
    const struct schema *table = key->table;
    char *at = arena_array(ctx->arena, value->count + 1, table->size), *to = at;
    if (!at)
        return schema_fail(ctx, value, "out of memory");
    int result = 0;
    NODE_FOREACH(item, value)
    {
        if (table->defaults)
            memcpy(to, table->defaults, table->size);
        if (schema_decode(ctx, table, item, to) < 0)
            result = -1;
        to += table->size;
    }
    if (result == 0)
        *(struct schema_list *)field = (struct schema_list){at, value->count};
    return result;
}
