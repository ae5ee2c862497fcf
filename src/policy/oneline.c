#include "policy/oneline.h"

#include "base/caps.h"

struct oneline {
    struct schema_ctx *ctx;
    const struct node *text; /* where the line stands */
    struct node *mapping;
    struct node **tail;
};

static int fail(const struct oneline *o, const char *what)
{
    return schema_fail(o->ctx, o->text, "%s; a rule in one line is `METHOD[,METHOD] https://host/path`",
                       what);
}

/* Its place is that of its first character in the line, so that errors point at the part. */
static struct node *new_node(const struct oneline *o, enum node_kind kind, struct slice text)
{
    struct node *n = arena_new(schema_scratch(o->ctx), struct node);
    if (!n)
        return NULL;
    size_t offset = text.ptr >= o->text->text.ptr && text.ptr <= o->text->text.ptr + o->text->text.len
                        ? (size_t)(text.ptr - o->text->text.ptr)
                        : 0;
    *n = (struct node){.kind = kind,
                       .plain = true,
                       .line = o->text->line,
                       .column = o->text->column + (unsigned)offset + !o->text->plain,
                       .weight = 1};
    if (kind == NODE_SCALAR) {
        n->text = arena_slice(schema_scratch(o->ctx), text);
        return n->text.ptr ? n : NULL;
    }
    return n;
}

static int add(struct oneline *o, struct slice key, struct node *value)
{
    if (!value)
        return fail(o, "out of memory");
    if (!value->key)
        value->key = new_node(o, NODE_SCALAR, key);
    if (!value->key)
        return fail(o, "out of memory");
    *o->tail = value;
    o->tail = &value->next;
    o->mapping->count++;
    return 0;
}

static int add_text(struct oneline *o, struct slice key, struct slice text)
{
    return add(o, key, new_node(o, NODE_SCALAR, text));
}

static int add_methods(struct oneline *o, struct slice methods)
{
    if (slice_eq(methods, SLICE("any")))
        return add_text(o, SLICE("methods"), methods);
    struct node *list = new_node(o, NODE_SEQUENCE, methods);
    if (!list)
        return fail(o, "out of memory");
    struct node **tail = &list->first;
    struct slice method;
    while (slice_next(&methods, ',', &method)) {
        struct node *item = new_node(o, NODE_SCALAR, method);
        if (!item || method.len == 0 || list->count == CAP_RULE_VALUES)
            return fail(o, "a method is missing");
        *tail = item;
        tail = &item->next;
        list->count++;
    }
    return add(o, SLICE("methods"), list);
}

/* host[:port]; the colons of an address in brackets are its own. */
static int add_authority(struct oneline *o, struct slice authority)
{
    size_t colon = authority.len;
    while (colon > 0 && authority.ptr[colon - 1] >= '0' && authority.ptr[colon - 1] <= '9')
        colon--;
    bool port = colon > 0 && authority.ptr[colon - 1] == ':';
    if (!port)
        return add_text(o, SLICE("host"), authority);
    struct slice host = slice_first(authority, colon - 1);
    if (host.len && host.ptr[0] == '[' && host.ptr[host.len - 1] != ']')
        return fail(o, "the address has no \"]\"");
    if (add_text(o, SLICE("host"), host) < 0)
        return -1;
    return add_text(o, SLICE("ports"), slice_skip(authority, colon));
}

static int add_url(struct oneline *o, struct slice url)
{
    ptrdiff_t colon = slice_find(url, ':');
    struct slice scheme = slice_first(url, colon < 0 ? 0 : (size_t)colon);
    struct slice rest = slice_skip(url, scheme.len);
    if (scheme.len == 0 || !slice_starts(rest, SLICE("://")))
        return fail(o, "the URL is missing or has no scheme");
    rest = slice_skip(rest, 3);
    ptrdiff_t slash = slice_find(rest, '/');
    if (slash < 0)
        return fail(o, "the path is missing (a whole host is written https://host/**)");
    if (slice_find(rest, '?') >= 0)
        return fail(o, "the query goes under `query`, as in {page: \"*\"}");
    if (add_text(o, SLICE("scheme"), scheme) < 0 || add_authority(o, slice_first(rest, (size_t)slash)) < 0)
        return -1;
    return add_text(o, SLICE("paths"), slice_skip(rest, (size_t)slash));
}

static int add_line(struct oneline *o)
{
    struct slice line = slice_trim(o->text->text);
    ptrdiff_t space = slice_find(line, ' ');
    if (space < 0)
        return fail(o, "method or URL is missing");
    struct slice methods = slice_first(line, (size_t)space);
    struct slice url = slice_trim(slice_skip(line, (size_t)space));
    if (slice_find(url, ' ') >= 0)
        return fail(o, "something stands behind the URL");
    return add_methods(o, methods) < 0 || add_url(o, url) < 0 ? -1 : 0;
}

/* The keys beside `rule`: they may add to the line, never say the same thing again. */
static int add_others(struct oneline *o, const struct node *mapping)
{
    static const char *const said[] = {"host", "scheme", "ports", "methods", "paths", "path_regex"};
    int result = 0;
    NODE_FOREACH(value, mapping)
    {
        if (slice_eq(value->key->text, SLICE("rule")))
            continue;
        for (size_t i = 0; i < ARRAY_LEN(said); i++)
            if (slice_eq(value->key->text, slice_str(said[i])))
                result = schema_fail(o->ctx, value->key, "`rule` says already what `%s` would say", said[i]);
        struct node *copy = arena_new(schema_scratch(o->ctx), struct node);
        if (!copy)
            return fail(o, "out of memory");
        *copy = *value;
        copy->next = NULL;
        if (add(o, value->key->text, copy) < 0)
            return -1;
    }
    return result;
}

/* "- GET https://…:" with more keys below: YAML makes the line a key of its own. */
static int refuse_line_as_key(struct schema_ctx *ctx, const struct node *mapping)
{
    NODE_FOREACH(value, mapping)
    {
        struct slice key = value->key->text;
        if (slice_find(key, ' ') > 0 && slice_find(key, '/') > 0)
            return schema_fail(
                ctx, value->key,
                "a rule in one line with more keys is written {rule: \"METHOD https://host/path\", …}");
    }
    return 0;
}

const struct node *oneline_expand(struct schema_ctx *ctx, const struct node *value)
{
    const struct node *text = value->kind == NODE_MAPPING ? node_get(value, SLICE("rule")) : value;
    struct slice line;
    if (!text)
        return refuse_line_as_key(ctx, value) < 0 ? NULL : value;
    if (schema_scalar(ctx, "rule", text, &line) < 0)
        return NULL;
    struct node *mapping = arena_new(schema_scratch(ctx), struct node);
    if (!mapping)
        return NULL;
    *mapping = (struct node){.kind = NODE_MAPPING, .line = value->line, .column = value->column, .weight = 1};
    struct oneline o = {ctx, text, mapping, &mapping->first};
    if (add_line(&o) < 0)
        return NULL;
    if (value->kind == NODE_MAPPING && add_others(&o, value) < 0)
        return NULL;
    return mapping;
}
