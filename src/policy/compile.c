/* From the texts of a policy to a snapshot. */
#include "base/crypto.h"
#include "policy/rule.h"
#include "policy/sources.h"

#include <stdlib.h>

enum { ARENA_BYTES = 256 << 20 };

int policy_on_free(struct policy *p, void (*drop)(void *what), void *what)
{
    struct policy_cleanup *c = arena_new(&p->arena, struct policy_cleanup);
    if (!c) {
        drop(what);
        return -1;
    }
    *c = (struct policy_cleanup){drop, what, p->cleanups};
    p->cleanups = c;
    return 0;
}

static size_t rules_in(const struct node *list)
{
    return list && list->kind == NODE_SEQUENCE ? list->count : 0;
}

/* `key:` with nothing behind it is an empty list: it allows nothing. */
static int check_list(struct schema_ctx *ctx, const char *key, const struct node *list)
{
    if (!list || list->kind == NODE_SEQUENCE || node_is_empty(list))
        return 0;
    return schema_mismatch(ctx, key, list, "a list of rules");
}

static int read_rules(struct schema_ctx *ctx, struct policy *p, const struct source *s, bool deny)
{
    const struct node *list = deny ? s->keys.deny : s->keys.allow;
    int result = 0;
    if (!rules_in(list))
        return 0;
    NODE_FOREACH(value, list)
    {
        struct policy_rule *rule = arena_new(&p->arena, struct policy_rule);
        if (!rule)
            return schema_fail(ctx, value, "out of memory");
        rule->policy = p;
        rule->origin = s->origin;
        rule->deny = deny;
        rule->order = (unsigned)p->rule_count;
        rule->number = ++s->origin->rules;
        if (rule_read(ctx, value, rule) < 0)
            result = -1;
        p->rules[p->rule_count++] = rule;
    }
    return result;
}

static bool stands_before(const struct node *a, const struct node *b)
{
    return a && (!b || a->line < b->line || (a->line == b->line && a->column < b->column));
}

/* In the order of the file, whichever list comes first there. */
static int read_lists(struct schema_ctx *ctx, struct policy *p, const struct source *s)
{
    const struct source_keys *k = &s->keys;
    if (check_list(ctx, "allow", k->allow) < 0 || check_list(ctx, "deny", k->deny) < 0)
        return -1;
    bool deny_first = stands_before(k->deny, k->allow);
    int first = read_rules(ctx, p, s, deny_first);
    int second = read_rules(ctx, p, s, !deny_first);
    return first < 0 || second < 0 ? -1 : 0;
}

static int compare_names(const void *a, const void *b)
{
    const struct policy_rule *x = *(struct policy_rule *const *)a, *y = *(struct policy_rule *const *)b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* Records and messages speak of a rule by its name and file. */
static int check_names(struct schema_ctx *ctx, struct policy *p, size_t from)
{
    int result = 0;
    size_t count = p->rule_count - from;
    struct policy_rule **sorted = arena_array(&p->arena, count + 1, sizeof *sorted);
    if (!sorted)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    memcpy(sorted, p->rules + from, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < count; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            result = problems_add(ctx->problems, sorted[i]->line, sorted[i]->column,
                                  "the name \"%s\" is taken by the rule in line %u", sorted[i]->name,
                                  sorted[i - 1]->line);
    return result;
}

/* In a deny rule "*.example.com" covers the apex too: whoever forbids the names below means it. */
static unsigned applies_at(const struct host_pattern *h, bool deny)
{
    return (h->kind != HOST_BELOW || deny ? HOST_AT : 0u) | (h->kind != HOST_EXACT ? HOST_BELOW_IT : 0u);
}

static int count_rule(struct policy *p, const struct policy_rule *rule)
{
    const struct host_patterns *hosts = cond_host_of(rule);
    for (size_t i = 0; i < hosts->count; i++) {
        const struct host_pattern *h = &hosts->at[i];
        if (host_index_count(&p->index, h->name, applies_at(h, rule->deny), rule->deny) < 0)
            return -1;
    }
    return 0;
}

static void index_rule(struct policy *p, const struct policy_rule *rule)
{
    const struct host_patterns *hosts = cond_host_of(rule);
    struct rule_gist line;
    gist_make(rule, &line);
    for (size_t i = 0; i < hosts->count; i++) {
        const struct host_pattern *h = &hosts->at[i];
        host_index_put(&p->index, h->name, applies_at(h, rule->deny), rule->deny, &line);
    }
}

static int build_index(struct schema_ctx *ctx, struct policy *p)
{
    size_t names = 0, bytes = 0;
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct host_patterns *hosts = cond_host_of(p->rules[i]);
        names += hosts->count;
        for (size_t k = 0; k < hosts->count; k++)
            bytes += hosts->at[k].name.len;
    }
    int result = host_index_init(&p->index, &p->arena, names, bytes);
    for (size_t i = 0; result == 0 && i < p->rule_count; i++)
        result = count_rule(p, p->rules[i]);
    if (result < 0 || host_index_lay_out(&p->index, &p->arena) < 0)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    for (size_t i = 0; i < p->rule_count; i++)
        index_rule(p, p->rules[i]);
    return 0;
}

/* Every rule of every file; names are unique in each. */
static int read_sources(struct schema_ctx *ctx, struct policy *p, const struct sources *all)
{
    size_t total = 0;
    for (const struct source *s = all->first; s; s = s->next)
        total += rules_in(s->keys.allow) + rules_in(s->keys.deny);
    if (total > CAP_RULES)
        return problems_add(ctx->problems, 0, 0, "more than %d rules", CAP_RULES);
    p->rules = arena_array(&p->arena, total + 1, sizeof *p->rules);
    if (!p->rules)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    int result = 0;
    for (const struct source *s = all->first; s; s = s->next) {
        size_t from = p->rule_count;
        ctx->problems->file = s->origin->file;
        if (read_lists(ctx, p, s) < 0 || check_names(ctx, p, from) < 0)
            result = -1;
        limits_narrow(&p->limits, &s->keys.limits);
    }
    ctx->problems->file = p->file;
    return result;
}

/* What speaks of the whole comes from the policy itself. */
static int take_keys(struct schema_ctx *ctx, struct policy *p, const struct source_keys *k,
                     const char *default_task)
{
    struct slice task = k->task.ptr ? k->task : arena_slice(&p->arena, slice_str(default_task));
    if (!task.ptr)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    p->task = task.ptr;
    p->mode = (enum policy_mode)k->mode;
    p->expires = k->expires;
    p->jail = k->jail;
    p->tests = k->tests;
    return 0;
}

static int list_origins(struct policy *p, const struct sources *all)
{
    p->origins = arena_array(&p->arena, all->count + 1, sizeof *p->origins);
    for (const struct source *s = all->first; p->origins && s; s = s->next)
        p->origins[p->origin_count++] = s->origin;
    return p->origins ? 0 : -1;
}

/* SHA-256 of the text alone, or with a line for every other text that went in. */
static int make_digest(struct policy *p, struct slice text, const struct sources *all)
{
    uint8_t digest[SHA256_BYTES];
    AUTO_BUF both = BUF_INIT(CAP_DOCUMENT_BYTES + all->seen.max);
    struct slice seen = buf_slice(&all->seen);
    if (seen.len && (buf_append(&both, text) < 0 || buf_append(&both, seen) < 0))
        return -1;
    if (crypto_sha256(seen.len ? buf_slice(&both) : text, digest) < 0)
        return -1;
    crypto_hex(digest, sizeof digest, p->digest);
    return 0;
}

static int compile(struct schema_ctx *ctx, const struct policy_source *from, struct sources *all,
                   struct policy *p)
{
    p->file = arena_slice(&p->arena, slice_str(from->file)).ptr;
    if (!p->file)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    int read = sources_read(ctx, from, all);
    if (read_sources(ctx, p, all) < 0 || read < 0)
        return -1;
    if (list_origins(p, all) < 0 || make_digest(p, from->text, all) < 0)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    const char *task = from->default_task ? from->default_task : "";
    return take_keys(ctx, p, &all->first->keys, task) < 0 ? -1 : build_index(ctx, p);
}

int policy_compile_source(const struct policy_source *from, policy_report *report, void *report_arg,
                          struct policy **ret_policy, struct err *e)
{
    struct problems problems = {.file = from->file, .report = report, .report_arg = report_arg, .first = e};
    AUTO(policy) *p = calloc(1, sizeof *p);
    if (!p)
        return problems_add(&problems, 0, 0, "out of memory");
    atomic_init(&p->refs, 1);
    p->arena = ARENA_INIT(ARENA_BYTES);
    struct arena scratch = ARENA_INIT(ARENA_BYTES);
    struct schema_ctx ctx = {&p->arena, &problems, &scratch};
    struct sources all = {0};
    int result = compile(&ctx, from, &all, p);
    sources_clear(&all);
    arena_free(&scratch);
    if (result == 0)
        *ret_policy = TAKE(p);
    return result;
}

int policy_compile(const char *file, struct slice text, const char *default_task, policy_report *report,
                   void *report_arg, struct policy **ret_policy, struct err *e)
{
    const struct policy_source from = {.file = file, .text = text, .default_task = default_task};
    return policy_compile_source(&from, report, report_arg, ret_policy, e);
}

void policy_gather(const struct policy_source *from)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct problems unheard = {.file = from->file};
    struct schema_ctx ctx = {&arena, &unheard, NULL};
    struct sources all;
    if (sources_read(&ctx, from, &all) < 0)
        unheard.count++; /* whoever compiles the same texts is told */
    sources_clear(&all);
    arena_free(&arena);
}

struct policy *policy_ref(struct policy *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void policy_free(struct policy *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (struct policy_cleanup *c = p->cleanups; c; c = c->next)
        c->drop(c->what);
    arena_free(&p->arena);
    free(p);
}
