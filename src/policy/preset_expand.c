/* Rules of a preset with the values of its parameters. */
#include "base/caps.h"
#include "policy/preset.h"

/* One value of one parameter: what `${…}` of it stands for in this copy. */
struct copy {
    struct schema_ctx *ctx;
    const struct preset *preset;
    const struct preset_parameter *many; /* the one with several values that the rule names; NULL: none */
    size_t which;                        /* its value */
    bool failed;
};

static int fail(struct copy *c, const struct node *at, const char *what, struct slice name)
{
    c->failed = true;
    return schema_fail(c->ctx, at, "%s: ${%.*s}", what, SLICE_FMT(slice_first(name, 64)));
}

/* Cuts the next "${name}" off: what stands before it, and the name.  False where there is none. */
static bool next_reference(struct slice *rest, struct slice *ret_before, struct slice *ret_name)
{
    const char *open = rest->len ? memmem(rest->ptr, rest->len, "${", 2) : NULL;
    if (!open)
        return false;
    *ret_before = slice_first(*rest, (size_t)(open - rest->ptr));
    struct slice behind = slice_skip(*rest, ret_before->len + 2);
    ptrdiff_t close = slice_find(behind, '}');
    *ret_name = slice_first(behind, close < 0 ? behind.len : (size_t)close);
    *rest = slice_skip(behind, ret_name->len + 1);
    return true;
}

static const struct preset_parameter *find(const struct preset *preset, struct slice name)
{
    for (size_t i = 0; i < preset->count; i++)
        if (slice_eq(preset->at[i].name, name))
            return &preset->at[i];
    return NULL;
}

/* "registry.host" to the parameter and "host". */
static const struct preset_parameter *referred(const struct preset *preset, struct slice name,
                                               struct slice *ret_piece)
{
    ptrdiff_t dot = slice_find(name, '.');
    *ret_piece = dot < 0 ? SLICE("") : slice_skip(name, (size_t)dot + 1);
    return find(preset, dot < 0 ? name : slice_first(name, (size_t)dot));
}

/* ptr NULL where there is no such piece. */
static struct slice piece_of(const struct preset_value *v, struct slice piece)
{
    if (piece.len == 0)
        return v->text;
    if (slice_eq(piece, SLICE("scheme")))
        return v->scheme;
    if (slice_eq(piece, SLICE("host")))
        return v->host;
    if (slice_eq(piece, SLICE("port")))
        return v->port;
    return slice_eq(piece, SLICE("path")) ? v->path : (struct slice){NULL, 0};
}

/* --- which parameter of a rule has several values --- */

static void note_parameters(struct copy *c, const struct node *n)
{
    struct slice rest = n->text, before, name, piece;
    while (n->kind == NODE_SCALAR && next_reference(&rest, &before, &name)) {
        const struct preset_parameter *p = referred(c->preset, name, &piece);
        if (!p || p->count < 2 || p == c->many)
            continue;
        if (c->many)
            fail(c, n, "a rule names one parameter with several values at most", name);
        c->many = p;
    }
    if (n->kind != NODE_SCALAR)
        NODE_FOREACH(child, n)
    note_parameters(c, child);
}

/* --- copying --- */

/* https://example.com with ".git" behind it is another host, which nobody named. */
static bool ends_in_host(const struct preset_parameter *p, const struct preset_value *v, struct slice piece)
{
    return p->kind == PRESET_URL && piece.len == 0 && v->path.len == 0;
}

/* `behind`: what the text goes on with. */
static int append_reference(struct copy *c, const struct node *n, struct slice name, struct slice behind,
                            struct buf *out)
{
    struct slice piece;
    const struct preset_parameter *p = referred(c->preset, name, &piece);
    if (!p)
        return fail(c, n, "there is no such parameter", name);
    if (p->kind == PRESET_BOOL)
        return fail(c, n, "a bool decides with `when` and `unless` only", name);
    const struct preset_value *v = &p->values[p == c->many ? c->which : 0];
    struct slice text = piece_of(v, piece);
    if (!text.ptr)
        return fail(c, n, "there is no such piece of it", name);
    if (ends_in_host(p, v, piece) && behind.len && behind.ptr[0] != '/')
        return fail(c, n, "it needs a path: what stands behind it would make it another host", name);
    return buf_append(out, text) < 0 ? fail(c, n, "it is too long", name) : 0;
}

static struct slice replace(struct copy *c, const struct node *n)
{
    AUTO_BUF out = BUF_INIT(CAP_SCALAR_BYTES);
    struct slice rest = n->text, before, name;
    if (!memmem(n->text.ptr ? n->text.ptr : "", n->text.len, "${", 2))
        return n->text;
    while (next_reference(&rest, &before, &name))
        if (buf_append(&out, before) < 0 || append_reference(c, n, name, rest, &out) < 0)
            return n->text; /* told */
    struct slice text = buf_append(&out, rest) < 0 ? slice_str(NULL)
                                                   : arena_slice(schema_scratch(c->ctx), buf_slice(&out));
    c->failed |= !text.ptr;
    return text;
}

static bool decides(const struct node *value)
{
    return slice_eq(value->key->text, SLICE("when")) || slice_eq(value->key->text, SLICE("unless"));
}

static struct node *copy_node(struct copy *c, const struct node *n, bool rule)
{
    struct node *to = arena_new(schema_scratch(c->ctx), struct node);
    if (!to) {
        c->failed = true;
        return NULL;
    }
    *to = *n;
    to->next = NULL;
    if (n->kind == NODE_SCALAR) {
        to->text = replace(c, n);
        return to;
    }
    struct node **tail = &to->first;
    *tail = NULL;
    NODE_FOREACH(child, n)
    {
        if (rule && n->kind == NODE_MAPPING && decides(child)) {
            to->count--;
            continue;
        }
        *tail = copy_node(c, child, false);
        if (!*tail)
            return NULL;
        tail = &(*tail)->next;
    }
    return to;
}

/* Names are unique in a file: the copies of a rule are counted where its name does not tell them apart. */
static void number_name(struct copy *c, struct node *rule, const struct node *from)
{
    struct node *name = rule->kind == NODE_MAPPING ? rule->first : NULL;
    while (name && !slice_eq(name->key->text, SLICE("name")))
        name = name->next;
    const struct node *written = name ? node_get(from, SLICE("name")) : NULL;
    if (c->which == 0 || !written || written->kind != NODE_SCALAR || !slice_eq(written->text, name->text))
        return;
    name->text =
        slice_str(arena_printf(schema_scratch(c->ctx), "%.*s (%zu)", SLICE_FMT(name->text), c->which + 1));
}

/* Whether `when` and `unless` let the rule be there. */
static bool is_wanted(struct copy *c, const struct node *rule)
{
    bool wanted = true;
    if (rule->kind != NODE_MAPPING)
        return true;
    NODE_FOREACH(value, rule)
    {
        if (!decides(value))
            continue;
        const struct preset_parameter *p = value->kind == NODE_SCALAR ? find(c->preset, value->text) : NULL;
        if (!p || p->kind != PRESET_BOOL) {
            c->failed = true;
            schema_fail(c->ctx, value, "`%.*s` names a bool parameter", SLICE_FMT(value->key->text));
            return false;
        }
        wanted &= p->yes == slice_eq(value->key->text, SLICE("when"));
    }
    return wanted;
}

/* Appends the copies of one rule behind *tail. */
static int expand_rule(struct copy *c, const struct node *rule, struct node *list, struct node ***tail)
{
    c->many = NULL;
    if (!is_wanted(c, rule))
        return c->failed ? -1 : 0;
    note_parameters(c, rule);
    size_t count = c->many ? c->many->count : 1;
    for (c->which = 0; c->which < count && !c->failed; c->which++) {
        struct node *to = copy_node(c, rule, true);
        if (!to || c->failed || list->count == CAP_RULES)
            return -1;
        number_name(c, to, rule);
        **tail = to;
        *tail = &to->next;
        list->count++;
    }
    return c->failed ? -1 : 0;
}

int preset_expand(struct schema_ctx *ctx, const struct preset *preset, const struct node *list,
                  const struct node **ret)
{
    struct copy c = {.ctx = ctx, .preset = preset};
    if (!list || list->kind != NODE_SEQUENCE) {
        *ret = list;
        return 0;
    }
    struct node *to = arena_new(schema_scratch(ctx), struct node);
    if (!to)
        return schema_fail(ctx, list, "out of memory");
    *to = *list;
    to->first = NULL;
    to->count = 0;
    struct node **tail = &to->first;
    int result = 0;
    NODE_FOREACH(rule, list)
    {
        c.failed = false;
        if (expand_rule(&c, rule, to, &tail) < 0)
            result = -1;
    }
    if (result == 0)
        *ret = to;
    return result < 0 && ctx->problems->count == 0 ? schema_fail(ctx, list, "out of memory") : result;
}
