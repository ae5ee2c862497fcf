#include "policy/preset.h"

#include "config/suggest.h"

#include <stdio.h>

bool preset_name_fits(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && ((c != '-' && c != '_') || i == 0))
            return false;
    }
    return name.len > 0 && name.len <= PRESET_NAME_BYTES;
}

static struct preset_parameter *find(const struct preset *preset, struct slice name)
{
    for (size_t i = 0; i < preset->count; i++)
        if (slice_eq(preset->at[i].name, name))
            return &preset->at[i];
    return NULL;
}

/* --- declarations --- */

struct declaration {
    unsigned kind;
    const struct node *default_value;
    struct slice from, cut, about;
};

static const char *const kinds[] = {"url", "text", "bool", NULL}; /* as enum preset_kind */
static const struct schema_key declaration_keys[] = {
    {"kind", schema_word, offsetof(struct declaration, kind), .required = true, .words = kinds},
    {"default", schema_node, offsetof(struct declaration, default_value)},
    {"from", schema_text, offsetof(struct declaration, from), .max = PRESET_NAME_BYTES},
    {"cut", schema_text, offsetof(struct declaration, cut), .max = PRESET_NAME_BYTES},
    {"about", schema_text, offsetof(struct declaration, about)},
};
static const struct schema declaration_schema = SCHEMA("a parameter", struct declaration, declaration_keys);

static int declare(struct schema_ctx *ctx, const struct node *value, struct preset_parameter *ret)
{
    struct declaration d = {.kind = 0};
    struct slice name = arena_slice(ctx->arena, value->key->text);
    if (!name.ptr)
        return schema_fail(ctx, value, "out of memory");
    if (!preset_name_fits(name) || slice_eq(name, SLICE("addresses")))
        return schema_fail(ctx, value->key,
                           "a parameter's name has lower-case letters, digits, \"-\" and \"_\" only");
    if (schema_decode(ctx, &declaration_schema, value, &d) < 0)
        return -1;
    if (d.kind == PRESET_BOOL && d.from.ptr)
        return schema_fail(ctx, value, "a bool comes from no tool");
    *ret = (struct preset_parameter){.name = name,
                                     .kind = (enum preset_kind)d.kind,
                                     .from = d.from,
                                     .cut = d.cut,
                                     .default_value = d.default_value};
    return 0;
}

static int declare_main(struct schema_ctx *ctx, const struct node *main, struct preset *preset)
{
    struct slice name;
    if (!main)
        return 0;
    if (schema_scalar(ctx, "main", main, &name) < 0)
        return -1;
    preset->main = find(preset, name);
    return preset->main ? 0 : schema_fail(ctx, main, "`main` names one of the parameters");
}

int preset_declare(struct schema_ctx *ctx, const char *name, const struct node *parameters,
                   const struct node *main, struct preset *ret)
{
    struct preset p = {.name = name};
    if (parameters && parameters->kind != NODE_MAPPING)
        return schema_mismatch(ctx, "parameters", parameters, "a mapping of names to {kind: …}");
    if (parameters && parameters->count > PRESET_PARAMETERS)
        return schema_fail(ctx, parameters, "more than %d parameters", PRESET_PARAMETERS);
    p.at = arena_array(ctx->arena, PRESET_PARAMETERS, sizeof *p.at);
    if (!p.at)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    int result = 0;
    if (parameters)
        NODE_FOREACH(value, parameters)
        {
            if (declare(ctx, value, &p.at[p.count++]) < 0)
                result = -1;
        }
    if (declare_main(ctx, main, &p) < 0)
        result = -1;
    if (result == 0)
        *ret = p;
    return result;
}

/* --- values --- */

static int set_bool(struct schema_ctx *ctx, struct preset_parameter *p, const struct node *value)
{
    const struct schema_key key = {p->name.ptr};
    if (schema_bool(ctx, &key, value, &p->yes) < 0)
        return -1;
    p->bound = true;
    return 0;
}

static int make_room(struct schema_ctx *ctx, struct preset_parameter *p, const struct node *at)
{
    p->values = arena_array(ctx->arena, PRESET_VALUES, sizeof *p->values);
    return p->values ? 0 : schema_fail(ctx, at, "out of memory");
}

/* `where` is NULL for what the file itself says. */
static int add_value(struct schema_ctx *ctx, struct preset_parameter *p, struct slice text,
                     struct slice where, const struct node *at)
{
    struct err e;
    struct preset_value v;
    struct slice shown = slice_first(text, 100);
    if (p->count == PRESET_VALUES)
        return schema_fail(ctx, at, "`%s` has more than %d values", p->name.ptr, PRESET_VALUES);
    if (preset_parse_value(ctx->arena, p, text, &v, &e) < 0)
        return schema_fail(ctx, at, "`%s` cannot be \"%.*s\"%s%.*s: %s", p->name.ptr, SLICE_FMT(shown),
                           where.ptr ? ", which stands in " : "", SLICE_FMT(where), e.text);
    for (size_t i = 0; i < p->count; i++)
        if (slice_eq(p->values[i].text, v.text))
            return 0;
    p->values[p->count++] = v;
    p->bound = true;
    return 0;
}

static int set_values(struct schema_ctx *ctx, struct preset_parameter *p, const struct node *value)
{
    const struct schema_key key = {p->name.ptr};
    const struct slice here = {NULL, 0};
    struct schema_texts list;
    if (p->kind == PRESET_BOOL)
        return set_bool(ctx, p, value);
    if (schema_texts(ctx, &key, value, &list) < 0 || make_room(ctx, p, value) < 0)
        return -1;
    if (list.count == 0)
        return schema_fail(ctx, value, "`%s` has no value", p->name.ptr);
    int result = 0;
    for (size_t i = 0; i < list.count; i++) {
        const struct node at = {.line = list.at[i].line, .column = list.at[i].column};
        if (add_value(ctx, p, list.at[i].text, here, &at) < 0)
            result = -1;
    }
    return result;
}

/* What the tool's own configuration says; nothing there is no error yet. */
static int ask_tool(struct schema_ctx *ctx, struct preset_parameter *p, const struct node *entry,
                    preset_from *from, void *from_arg)
{
    struct err e;
    struct slice lines, line;
    if (from(from_arg, p->from.ptr, &lines, &e) < 0)
        return schema_fail(ctx, entry, "%s", e.text);
    if (make_room(ctx, p, entry) < 0)
        return -1;
    while (slice_next(&lines, '\n', &line)) {
        struct slice url = line, where = SLICE("its configuration");
        ptrdiff_t tab = slice_find(line, '\t');
        if (tab >= 0) {
            url = slice_first(line, (size_t)tab);
            where = slice_skip(line, url.len + 1);
        }
        if (url.len && add_value(ctx, p, url, where, entry) < 0)
            return -1;
    }
    return 0;
}

static int fail_unbound(struct schema_ctx *ctx, const struct preset *preset, const struct preset_parameter *p,
                        const struct node *entry)
{
    char found[100] = "";
    const char *value = p->kind == PRESET_TEXT ? "VALUE" : "HOST";
    if (p->from.ptr)
        snprintf(found, sizeof found, ", and the configuration of %s on this machine names none",
                 p->from.ptr);
    if (p == preset->main)
        return schema_fail(ctx, entry, "preset %s: no `%s` is given%s: name one, as in extends: [{%s: %s}]",
                           preset->name, p->name.ptr, found, preset->name, value);
    return schema_fail(ctx, entry,
                       "preset %s: no `%s` is given%s: name one, as in extends: [{%s: …, %s: %s}]",
                       preset->name, p->name.ptr, found, preset->name, p->name.ptr, value);
}

static int complete(struct schema_ctx *ctx, const struct preset *preset, struct preset_parameter *p,
                    const struct node *entry, preset_from *from, void *from_arg)
{
    if (!p->bound && p->from.ptr && ask_tool(ctx, p, entry, from, from_arg) < 0)
        return -1;
    if (!p->bound && p->default_value && set_values(ctx, p, p->default_value) < 0)
        return -1;
    if (!p->bound && p->kind == PRESET_BOOL)
        p->bound = true; /* a bool without a default is false */
    return p->bound ? 0 : fail_unbound(ctx, preset, p, entry);
}

static int fail_unknown(struct schema_ctx *ctx, const struct preset *preset, const struct node *key)
{
    struct suggestion best = SUGGESTION_INIT(key->text);
    for (size_t i = 0; i < preset->count; i++)
        suggest_consider(&best, preset->at[i].name.ptr);
    return schema_fail(ctx, key, "preset %s has no parameter \"%.*s\"%s%s%s", preset->name,
                       SLICE_FMT(slice_first(key->text, 64)), best.name ? "; did you mean \"" : "",
                       best.name ? best.name : "", best.name ? "\"?" : "");
}

/* `{git: github.com/acme/shop, push: false}`: the first key is the preset. */
static int set_arguments(struct schema_ctx *ctx, struct preset *preset, const struct node *entry)
{
    int result = 0;
    NODE_FOREACH(value, entry)
    {
        bool is_first = value == entry->first;
        if (slice_eq(value->key->text, SLICE("addresses")))
            continue; /* of whoever extends (sources.c) */
        if (is_first && node_is_empty(value))
            continue;
        if (is_first && !preset->main)
            return schema_fail(ctx, value, "preset %s takes no value", preset->name);
        struct preset_parameter *p =
            is_first ? find(preset, preset->main->name) : find(preset, value->key->text);
        if (!p)
            result = fail_unknown(ctx, preset, value->key);
        else if (p->bound)
            result = schema_fail(ctx, value->key, "`%s` is given already", p->name.ptr);
        else if (set_values(ctx, p, value) < 0)
            result = -1;
    }
    return result;
}

int preset_bind(struct schema_ctx *ctx, struct preset *preset, const struct node *entry, preset_from *from,
                void *from_arg)
{
    if (entry->kind == NODE_MAPPING && set_arguments(ctx, preset, entry) < 0)
        return -1;
    int result = 0;
    for (size_t i = 0; i < preset->count; i++)
        if (complete(ctx, preset, &preset->at[i], entry, from, from_arg) < 0)
            result = -1;
    return result;
}

/* --- showing --- */

enum { DESCRIPTION_BYTES = 16 << 10 };

static int describe_one(const struct preset_parameter *p, struct buf *out)
{
    if (buf_printf(out, "%s%s", buf_len(out) ? ", " : "", p->name.ptr) < 0)
        return -1;
    if (p->kind == PRESET_BOOL)
        return buf_append(out, p->yes ? SLICE(" true") : SLICE(" false"));
    for (size_t i = 0; i < p->count; i++)
        if (buf_printf(out, " %.*s", SLICE_FMT(p->values[i].text)) < 0)
            return -1;
    return 0;
}

const char *preset_describe(struct arena *arena, const struct preset *preset)
{
    AUTO_BUF text = BUF_INIT(DESCRIPTION_BYTES);
    for (size_t i = 0; i < preset->count; i++)
        if (describe_one(&preset->at[i], &text) < 0)
            break; /* what does not fit is not shown */
    return buf_len(&text) ? arena_slice(arena, buf_slice(&text)).ptr : NULL;
}
