/* methods: a list in upper case, or `any`; GET, HEAD and OPTIONS where an allow rule says nothing. */
#include "policy/cond.h"

struct methods {
    bool any;
    bool only_reads;
    struct schema_texts list;
};

static const struct schema_item reading[] = {{SLICE("GET")}, {SLICE("HEAD")}, {SLICE("OPTIONS")}};
static const struct methods reads = {false, true, {(struct schema_item *)reading, ARRAY_LEN(reading)}};
static const struct methods anything = {.any = true};

static bool reads_only(struct slice method)
{
    for (size_t i = 0; i < ARRAY_LEN(reading); i++)
        if (slice_eq(method, reading[i].text))
            return true;
    return false;
}

bool cond_method_only_reads(const struct policy_rule *r)
{
    const struct methods *m = r->cond[PART_METHOD];
    return m && m->only_reads;
}

static bool lists(const struct methods *m, struct slice method)
{
    for (size_t i = 0; i < m->list.count; i++)
        if (slice_eq(m->list.at[i].text, method))
            return true;
    return false;
}

size_t cond_method_count(const struct policy_rule *r)
{
    const struct methods *m = r->cond[PART_METHOD];
    return !m || m->any ? SIZE_MAX : m->list.count;
}

bool cond_method_lists(const struct policy_rule *r, struct slice method)
{
    return r->cond[PART_METHOD] && lists(r->cond[PART_METHOD], method);
}

/* RFC 9110 9.1: a method is a token and case-sensitive; all that exist are in upper case. */
static int check(struct schema_ctx *ctx, const struct schema_item *item)
{
    struct problems *p = ctx->problems;
    char upper[CAP_METHOD_BYTES + 1];
    bool lower = false;
    if (item->text.len > CAP_METHOD_BYTES)
        return problems_add(p, item->line, item->column, "a method has at most %d characters",
                            CAP_METHOD_BYTES);
    for (size_t i = 0; i < item->text.len; i++) {
        char c = item->text.ptr[i];
        bool small = c >= 'a' && c <= 'z';
        if (!small && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return problems_add(p, item->line, item->column, "\"%.*s\" is not a method",
                                SLICE_FMT(item->text));
        lower |= small;
        upper[i] = small ? (char)(c - 'a' + 'A') : c;
    }
    if (slice_eq(item->text, SLICE("CONNECT")))
        return problems_add(
            p, item->line, item->column,
            "CONNECT is not written in rules: it only opens the tunnel for https requests, and they are judged");
    if (lower && slice_eq(item->text, SLICE("any")))
        return problems_add(p, item->line, item->column, "`any` stands alone: methods: any");
    if (lower)
        return problems_add(p, item->line, item->column, "methods are written in upper case: %.*s",
                            (int)item->text.len, upper);
    return 0;
}

int cond_method_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    struct policy_rule *rule = field;
    if (value->kind == NODE_SCALAR && slice_eq(value->text, SLICE("any"))) {
        rule->cond[PART_METHOD] = &anything;
        return 0;
    }
    struct methods m = {.only_reads = true};
    if (schema_texts(ctx, key, value, &m.list) < 0)
        return -1;
    int result = 0;
    for (size_t i = 0; i < m.list.count; i++) {
        if (check(ctx, &m.list.at[i]) < 0)
            result = -1;
        m.only_reads &= reads_only(m.list.at[i].text);
    }
    struct methods *kept = arena_new(ctx->arena, struct methods);
    if (result < 0 || !kept)
        return -1;
    *kept = m;
    rule->cond[PART_METHOD] = kept;
    return 0;
}

static int finish(struct schema_ctx *ctx, const struct node *at, struct policy_rule *rule)
{
    (void)ctx;
    (void)at;
    if (!rule->deny && !rule->cond[PART_METHOD])
        rule->cond[PART_METHOD] = &reads;
    return 0;
}

static enum reason judge(const struct policy_rule *rule, const void *what, struct judged *q)
{
    (void)rule;
    const struct methods *m = what;
    return m->any || lists(m, q->facts->method) ? REASON_NONE : REASON_METHOD_NOT_ALLOWED;
}

static int show(const void *what, struct buf *out)
{
    const struct methods *m = what;
    return m->any ? buf_append(out, SLICE("any")) : cond_show_texts(&m->list, out);
}

static void json(const void *what, struct json *j)
{
    const struct methods *m = what;
    json_key(j, "methods");
    if (m->any)
        json_str(j, "any");
    else
        cond_json_texts(&m->list, j);
}

static bool covers(const void *wide, const void *narrow)
{
    const struct methods *w = wide, *n = narrow;
    if (w->any || n->any)
        return w->any;
    for (size_t i = 0; i < n->list.count; i++)
        if (!lists(w, n->list.at[i].text))
            return false;
    return true;
}

static bool gist(const struct policy_rule *rule, const void *what, struct rule_gist *line)
{
    (void)rule;
    const struct methods *m = what;
    uint8_t bits = 0;
    for (size_t i = 0; i < m->list.count; i++)
        bits |= gist_method(m->list.at[i].text);
    if (!m->any)
        line->methods = bits;
    return m->any || !(bits & GIST_METHOD_OTHER);
}

const struct cond cond_method = {
    .finish = finish, .judge = judge, .show = show, .json = json, .covers = covers, .gist = gist};
