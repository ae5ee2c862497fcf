/* body: {max, types}.  Where an allow rule says nothing: none if it only reads, else any type up to 1 MiB. */
#include "policy/cond.h"

enum { DEFAULT_MAX = 1 << 20 };

struct body {
    uint64_t max;
    struct schema_texts types; /* in lower case; any where `typed` is false */
    bool typed;
};

static const struct body none = {.max = 0};
static const struct body up_to_default = {.max = DEFAULT_MAX};

uint64_t cond_body_max(const struct policy_rule *r)
{
    const struct body *b = r->cond[PART_BODY];
    return b ? b->max : UINT64_MAX;
}

static bool is_token(struct slice s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~"; /* RFC 9110 5.6.2 */
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (!c || !strchr(marks, c)))
            return false;
    }
    return s.len > 0;
}

/* type "/" subtype (RFC 9110 8.3.1), both tokens. */
static bool split_type(struct slice essence, struct slice *ret_type, struct slice *ret_subtype)
{
    ptrdiff_t slash = slice_find(essence, '/');
    if (slash < 0)
        return false;
    *ret_type = slice_first(essence, (size_t)slash);
    *ret_subtype = slice_skip(essence, (size_t)slash + 1);
    return is_token(*ret_type) && is_token(*ret_subtype);
}

static bool is_star(struct slice s)
{
    return slice_eq(s, SLICE("*"));
}

static int check_type(struct schema_ctx *ctx, const struct schema_item *item)
{
    struct slice type, subtype;
    bool good = split_type(item->text, &type, &subtype) && slice_find(type, '*') < 0 &&
                (is_star(subtype) || slice_find(subtype, '*') < 0);
    return good ? 0
                : problems_add(ctx->problems, item->line, item->column,
                               "\"%.*s\" is not a media type such as application/json or image/*",
                               SLICE_FMT(slice_first(item->text, 100)));
}

static int read_types(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                      void *field)
{
    struct body *b = field;
    struct schema_texts types;
    if (schema_texts(ctx, key, value, &types) < 0)
        return -1;
    int result = 0;
    for (size_t i = 0; i < types.count; i++)
        if (check_type(ctx, &types.at[i]) < 0)
            result = -1;
    b->types = types;
    b->typed = true;
    return result;
}

static const struct schema_key body_keys[] = {
    {"max", schema_size, offsetof(struct body, max)},
    {"types", read_types, 0},
};
static const struct schema body_schema = SCHEMA("`body`", struct body, body_keys);

int cond_body_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                   void *field)
{
    struct policy_rule *rule = field;
    if (value->kind != NODE_MAPPING)
        return schema_mismatch(ctx, key->name, value,
                               "a mapping such as {max: 64KiB, types: [application/json]}");
    struct body *b = arena_new(ctx->arena, struct body);
    if (!b)
        return schema_fail(ctx, value, "out of memory");
    b->max = rule->deny ? UINT64_MAX : DEFAULT_MAX;
    if (schema_decode(ctx, &body_schema, value, b) < 0)
        return -1;
    rule->cond[PART_BODY] = b;
    return 0;
}

static int finish(struct schema_ctx *ctx, const struct node *at, struct policy_rule *rule)
{
    (void)ctx;
    (void)at;
    if (!rule->deny && !rule->cond[PART_BODY])
        rule->cond[PART_BODY] = cond_method_only_reads(rule) ? &none : &up_to_default;
    return 0;
}

/* Without parameters: they say how to read the type, not what it is. */
static struct slice essence_of(struct slice content_type)
{
    ptrdiff_t semicolon = slice_find(content_type, ';');
    return slice_trim(semicolon < 0 ? content_type : slice_first(content_type, (size_t)semicolon));
}

static bool type_fits(const struct body *b, struct slice content_type)
{
    struct slice type, subtype, want, want_subtype;
    if (!b->typed)
        return true;
    if (!split_type(essence_of(content_type), &type, &subtype))
        return false;
    for (size_t i = 0; i < b->types.count; i++)
        if (split_type(b->types.at[i].text, &want, &want_subtype) && slice_eq_nocase(want, type) &&
            (is_star(want_subtype) || slice_eq_nocase(want_subtype, subtype)))
            return true;
    return false;
}

bool cond_body_is_there(const struct request_facts *f)
{
    return f->has_body && f->body_size != 0;
}

static enum reason judge(const struct policy_rule *rule, const void *what, struct judged *q)
{
    const struct body *b = what;
    const struct request_facts *f = q->facts;
    if (!cond_body_is_there(f))
        return rule->deny ? REASON_BODY_NOT_ALLOWED
                          : REASON_NONE; /* what a deny rule describes is not there */
    if (b->max == 0)
        return REASON_BODY_NOT_ALLOWED;
    if (!type_fits(b, f->content_type))
        return REASON_BODY_TYPE_NOT_ALLOWED;
    /* a size that is not known yet fits: the proxy counts against cond_body_max while it sends */
    if (f->body_size > 0 && (uint64_t)f->body_size > b->max)
        return REASON_BODY_TOO_LARGE;
    return REASON_NONE;
}

static int show(const void *what, struct buf *out)
{
    const struct body *b = what;
    char size[SCHEMA_SIZE_BYTES];
    if (b->max == 0)
        return buf_append(out, SLICE("none"));
    schema_print_size(b->max, size);
    if (b->max == UINT64_MAX ? buf_append(out, SLICE("any size")) < 0 : buf_printf(out, "up to %s", size) < 0)
        return -1;
    if (!b->typed)
        return 0;
    return buf_append(out, SLICE(" of ")) < 0 ? -1 : cond_show_texts(&b->types, out);
}

static void json(const void *what, struct json *j)
{
    const struct body *b = what;
    json_key(j, "body");
    json_object(j);
    if (b->max != UINT64_MAX)
        json_kv_int(j, "max", (int64_t)b->max);
    if (b->typed) {
        json_key(j, "types");
        cond_json_texts(&b->types, j);
    }
    json_object_end(j);
}

static bool has_type(const struct body *b, struct slice type)
{
    for (size_t i = 0; i < b->types.count; i++)
        if (slice_eq_nocase(b->types.at[i].text, type))
            return true;
    return false;
}

/* A type below a wildcard of the other counts as another: nothing is claimed that may be wrong. */
static bool covers(const void *wide, const void *narrow)
{
    const struct body *w = wide, *n = narrow;
    if (n->max == 0)
        return true;
    if (w->max < n->max || (w->typed && !n->typed))
        return false;
    for (size_t i = 0; w->typed && i < n->types.count; i++)
        if (!has_type(w, n->types.at[i].text))
            return false;
    return true;
}

const struct cond cond_body = {
    .finish = finish, .judge = judge, .show = show, .json = json, .covers = covers};
