/* From the text of a policy to a snapshot. */
#include "base/crypto.h"
#include "policy/rule.h"

#include <stdlib.h>

enum { ARENA_BYTES = 256 << 20, TASK_BYTES = 63 };

/* The keys of a policy as they are read, before rules are compiled. */
struct source {
    uint64_t version;
    struct slice task;
    unsigned mode;
    struct expiry expires;
    struct policy_limits limits;
    struct policy_jail jail;
    struct policy_tests tests;
    const struct node *allow, *deny;
};

static int read_mode(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    static const char *const words[] = {"enforce", "monitor", "ask", NULL}; /* as enum policy_mode */
    const struct schema_key word = {key->name, .words = words};
    unsigned mode;
    if (schema_word(ctx, &word, value, &mode) < 0)
        return -1;
    if (mode == POLICY_ASK)
        return schema_fail(ctx, value, "mode `ask` is not supported by this version yet");
    *(unsigned *)field = mode;
    return 0;
}

static int read_version(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                        void *field)
{
    const struct schema_key number = {key->name};
    uint64_t version;
    if (schema_number(ctx, &number, value, &version) < 0)
        return -1;
    if (version != 1)
        return schema_fail(ctx, value, "format %llu is not known; this version of exeat reads format 1",
                           (unsigned long long)version);
    *(uint64_t *)field = version;
    return 0;
}

/* It stands in credentials, records and file names. */
static int read_task(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    const struct schema_key text = {key->name, .max = TASK_BYTES};
    struct slice task;
    if (schema_text(ctx, &text, value, &task) < 0)
        return -1;
    for (size_t i = 0; i < task.len; i++) {
        char c = ascii_lower(task.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !strchr("._-", c))
            return schema_fail(ctx, value, "`task` has letters, digits, \".\", \"_\" and \"-\" only");
    }
    *(struct slice *)field = task;
    return 0;
}

static const struct schema_key policy_keys[] = {
    {"exeat", read_version, offsetof(struct source, version), .required = true},
    {"task", read_task, offsetof(struct source, task)},
    {"mode", read_mode, offsetof(struct source, mode)},
    {"expires", expires_read, offsetof(struct source, expires)},
    {"allow", schema_node, offsetof(struct source, allow)},
    {"deny", schema_node, offsetof(struct source, deny)},
    {"extends", schema_later, 0},
    {"limits", limits_read, offsetof(struct source, limits)},
    {"hold", schema_later, 0},
    {"files", jail_read_files, offsetof(struct source, jail)},
    {"environment", jail_read_environment, offsetof(struct source, jail)},
    {"services", jail_read_services, offsetof(struct source, jail)},
    {"publish", jail_read_publish, offsetof(struct source, jail)},
    {"cache", jail_read_cache, offsetof(struct source, jail)},
    {"network", jail_read_network, offsetof(struct source, jail)},
    {"jail", jail_read_jail, offsetof(struct source, jail)},
    {"tests", tests_read, offsetof(struct source, tests)},
};
static const struct schema policy_schema = SCHEMA("a policy", struct source, policy_keys);

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

static int read_rules(struct schema_ctx *ctx, struct policy *p, const struct node *list, bool deny)
{
    int result = 0;
    if (!rules_in(list))
        return 0;
    NODE_FOREACH(value, list)
    {
        struct policy_rule *rule = arena_new(&p->arena, struct policy_rule);
        if (!rule)
            return schema_fail(ctx, value, "out of memory");
        rule->policy = p;
        rule->deny = deny;
        rule->order = (unsigned)p->rule_count;
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
    size_t total = rules_in(s->allow) + rules_in(s->deny);
    if (check_list(ctx, "allow", s->allow) < 0 || check_list(ctx, "deny", s->deny) < 0)
        return -1;
    if (total > CAP_RULES)
        return problems_add(ctx->problems, 0, 0, "more than %d rules", CAP_RULES);
    p->rules = arena_array(&p->arena, total + 1, sizeof *p->rules);
    if (!p->rules)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    bool deny_first = stands_before(s->deny, s->allow);
    int first = read_rules(ctx, p, deny_first ? s->deny : s->allow, deny_first);
    int second = read_rules(ctx, p, deny_first ? s->allow : s->deny, !deny_first);
    return first < 0 || second < 0 ? -1 : 0;
}

static int compare_names(const void *a, const void *b)
{
    const struct policy_rule *x = *(struct policy_rule *const *)a, *y = *(struct policy_rule *const *)b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* Records and messages speak of a rule by its name alone. */
static int check_names(struct schema_ctx *ctx, struct policy *p)
{
    int result = 0;
    struct policy_rule **sorted = arena_array(&p->arena, p->rule_count + 1, sizeof *sorted);
    if (!sorted)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    memcpy(sorted, p->rules, p->rule_count * sizeof *sorted);
    qsort(sorted, p->rule_count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < p->rule_count; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            result = problems_add(ctx->problems, sorted[i]->line, sorted[i]->column,
                                  "the name \"%s\" is taken by the rule in line %u", sorted[i]->name,
                                  sorted[i - 1]->line);
    return result;
}

/* In a deny rule "*.example.com" covers the apex too: whoever forbids the names below means it. */
static int index_rule(struct policy *p, const struct policy_rule *rule)
{
    const struct host_patterns *hosts = cond_host_of(rule);
    for (size_t i = 0; i < hosts->count; i++) {
        const struct host_pattern *h = &hosts->at[i];
        bool at = h->kind != HOST_BELOW || rule->deny;
        bool below = h->kind != HOST_EXACT;
        if (host_index_add(&p->index, &p->arena, h->name, at, below, rule, rule->deny) < 0)
            return -1;
    }
    return 0;
}

static int build_index(struct schema_ctx *ctx, struct policy *p)
{
    size_t names = 0;
    for (size_t i = 0; i < p->rule_count; i++)
        names += cond_host_of(p->rules[i])->count;
    if (host_index_init(&p->index, &p->arena, names) < 0)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    for (size_t i = 0; i < p->rule_count; i++)
        if (index_rule(p, p->rules[i]) < 0)
            return problems_add(ctx->problems, 0, 0, "out of memory");
    return 0;
}

/* A file without anything in it is a policy that allows nothing. */
static int read_source(struct schema_ctx *ctx, const struct node *root, const char *default_task,
                       struct policy *p)
{
    struct source s = {.mode = POLICY_ENFORCE, .expires = EXPIRES_NEVER, .jail = JAIL_DEFAULT};
    int top = root ? schema_decode(ctx, &policy_schema, root, &s) : 0;
    if (root && root->kind != NODE_MAPPING)
        return -1;
    if (read_lists(ctx, p, &s) < 0 || top < 0)
        return -1;
    struct slice task = s.task.ptr ? s.task : arena_slice(&p->arena, slice_str(default_task));
    if (!task.ptr)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    p->task = task.ptr;
    p->mode = (enum policy_mode)s.mode;
    p->expires = s.expires;
    p->limits = s.limits;
    p->jail = s.jail;
    p->tests = s.tests;
    return check_names(ctx, p) < 0 || build_index(ctx, p) < 0 ? -1 : 0;
}

static int start(struct policy *p, const char *file, struct slice text, struct problems *problems)
{
    uint8_t digest[SHA256_BYTES];
    p->file = arena_slice(&p->arena, slice_str(file)).ptr;
    if (!p->file || crypto_sha256(text, digest) < 0)
        return problems_add(problems, 0, 0, "out of memory");
    crypto_hex(digest, sizeof digest, p->digest);
    return 0;
}

int policy_compile(const char *file, struct slice text, const char *default_task, policy_report *report,
                   void *report_arg, struct policy **ret_policy, struct err *e)
{
    struct problems problems = {.file = file, .report = report, .report_arg = report_arg, .first = e};
    AUTO(document) *doc = NULL;
    AUTO(policy) *p = calloc(1, sizeof *p);
    if (!p)
        return problems_add(&problems, 0, 0, "out of memory");
    atomic_init(&p->refs, 1);
    p->arena = ARENA_INIT(ARENA_BYTES);
    struct schema_ctx ctx = {&p->arena, &problems};
    if (start(p, file, text, &problems) < 0 || document_parse(text, &problems, &doc) < 0 ||
        read_source(&ctx, doc->root, default_task ? default_task : "", p) < 0)
        return -1;
    *ret_policy = TAKE(p);
    return 0;
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
