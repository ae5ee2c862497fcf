#include "proxy/charge.h"

#include "base/clock.h"
#include "base/lru.h"
#include "proxy/exchange.h"

enum { SECOND_MS = 1000 };

/* Limits of one thing and who counts it; counter NULL: nothing is limited. */
struct pot {
    struct budget_limits limits;
    struct budget_counter *counter;
};

struct rule_charges {
    const struct policy_rule *rule;
    struct pot requests, upload;
    int64_t idle_ns;
    struct rule_charges *next;
};

struct task_charges {
    struct budgets *budgets;
    struct pot requests, upload, heads, owner_requests, owner_upload;
    int64_t idle_ns;
    size_t mask;
    struct rule_charges **rules; /* by address, of those that limit anything */
};

/* --- of a snapshot --- */

static struct budget_limits limits_of(const struct policy_limit *from)
{
    static const enum budget_span spans[LIMIT_WINDOWS] = {[LIMIT_RUN] = BUDGET_LIFE,
                                                          [LIMIT_DAY] = BUDGET_DAY,
                                                          [LIMIT_HOUR] = BUDGET_HOUR,
                                                          [LIMIT_MINUTE] = BUDGET_MINUTE};
    struct budget_limits l = BUDGET_NO_LIMITS;
    for (unsigned w = 0; w < LIMIT_WINDOWS; w++)
        if (from[w].written)
            l.most[spans[w]] = from[w].amount;
    return l;
}

static int make_pot(struct budgets *b, const char *task, const char *what, const char *file, const char *rule,
                    struct budget_limits limits, struct pot *ret, struct err *e)
{
    struct budget_key key;
    *ret = (struct pot){.limits = limits};
    if (!budget_limits_any(&limits))
        return 0;
    if (budget_key(task, what, file, rule, &key) < 0)
        return err_set(e, "SHA-256 failed");
    ret->counter = budgets_get(b, &key);
    return ret->counter ? 0
                        : err_set(e, "task `%s`: more rules with `limits` than there are counters for", task);
}

static struct rule_charges **bucket_of(const struct task_charges *t, const struct policy_rule *rule)
{
    return &t->rules[hash_bytes(slice_of((const char *)&rule, sizeof rule)) & t->mask];
}

static bool any_limit(const struct policy_limits *l)
{
    for (unsigned w = 0; w < LIMIT_WINDOWS; w++)
        if (l->upload[w].written || l->requests[w].written)
            return true;
    return l->idle_ns != 0;
}

static int add_rule(struct arena *arena, struct task_charges *t, const char *task,
                    const struct policy_rule *rule, struct err *e)
{
    const struct policy_limits *l = policy_rule_limits(rule);
    struct policy_rule_info info;
    if (!any_limit(l))
        return 0;
    struct rule_charges *r = arena_new(arena, struct rule_charges);
    if (!r)
        return err_set(e, "task `%s`: too many rules with `limits`", task);
    policy_rule_info(rule, &info);
    if (make_pot(t->budgets, task, "requests", info.file, info.name, limits_of(l->requests), &r->requests,
                 e) < 0 ||
        make_pot(t->budgets, task, "upload", info.file, info.name, limits_of(l->upload), &r->upload, e) < 0)
        return -1;
    struct rule_charges **bucket = bucket_of(t, rule);
    r->rule = rule;
    r->idle_ns = l->idle_ns;
    r->next = *bucket;
    *bucket = r;
    return 0;
}

static int add_rules(struct arena *arena, struct task_charges *t, const char *task, const struct policy *p,
                     struct err *e)
{
    size_t count = policy_rule_count(p), limited = 0, buckets = 1;
    for (size_t i = 0; i < count; i++)
        limited += any_limit(policy_rule_limits(policy_rule_at(p, i)));
    while (buckets < limited)
        buckets *= 2;
    t->mask = buckets - 1;
    t->rules = arena_array(arena, buckets, sizeof(void *));
    if (!t->rules)
        return err_set(e, "task `%s`: too many rules", task);
    for (size_t i = 0; i < count; i++)
        if (add_rule(arena, t, task, policy_rule_at(p, i), e) < 0)
            return -1;
    return 0;
}

/* What a new name for the next task would otherwise refill. */
static int add_owner(struct task_charges *t, const struct charge_options *o, struct err *e)
{
    const struct policy_limits *l = o->owner_ceiling;
    if (!o->owner)
        return 0;
    if (make_pot(o->owner_budgets, o->owner, "requests", "", "", limits_of(l->requests), &t->owner_requests,
                 e) < 0)
        return -1;
    return make_pot(o->owner_budgets, o->owner, "upload", "", "", limits_of(l->upload), &t->owner_upload, e);
}

int charges_new(struct arena *arena, const struct charge_options *o, struct task_charges **ret, struct err *e)
{
    struct task_charges *t = arena_new(arena, struct task_charges);
    const char *task = o->task;
    if (!t)
        return err_set(e, "task `%s`: no memory for its limits", task);
    /* The configuration is a ceiling: the smaller of both counts. */
    struct policy_limits both = *policy_limits(o->policy);
    struct budget_limits heads = BUDGET_NO_LIMITS;
    const char *file = policy_file(o->policy);
    limits_narrow(&both, o->ceiling);
    if (o->heads)
        heads.most[BUDGET_LIFE] = o->heads;
    t->budgets = o->budgets;
    t->idle_ns = both.idle_ns;
    if (make_pot(t->budgets, task, "requests", file, "", limits_of(both.requests), &t->requests, e) < 0 ||
        make_pot(t->budgets, task, "upload", file, "", limits_of(both.upload), &t->upload, e) < 0 ||
        make_pot(t->budgets, task, "heads", file, "", heads, &t->heads, e) < 0 ||
        add_rules(arena, t, task, o->policy, e) < 0 || add_owner(t, o, e) < 0)
        return -1;
    *ret = t;
    return 0;
}

/* --- of an exchange --- */

static const struct rule_charges *charges_of_rule(const struct task_charges *t,
                                                  const struct policy_rule *rule)
{
    const struct rule_charges *r = rule ? *bucket_of(t, rule) : NULL;
    while (r && r->rule != rule)
        r = r->next;
    return r;
}

static int64_t shorter(int64_t a, int64_t b)
{
    return a && (!b || a < b) ? a : b;
}

static int refuse(struct exchange *x, enum reason reason, const struct pot *pot, uint64_t n,
                  const char *detail)
{
    int64_t now = budgets_now(x->charge.budgets, clock_mono_ns());
    int64_t wait = budget_wait_ms(pot->counter, &pot->limits, now, n);
    x->retry_after = wait == INT64_MAX ? 0 : wait / SECOND_MS + 1;
    exchange_refuse(x, reason, detail);
    return -1;
}

static const char *const upload_details[CHARGE_KINDS] = {
    [CHARGE_RULE] = "`limits.upload` of the rule is spent",
    [CHARGE_TASK] = "`limits.upload` of the task is spent",
    [CHARGE_OWNER] = "what the operator lets this user's tasks upload is spent",
    [CHARGE_HEADS] = "what a task may send in heads, where nothing limits uploads, is spent",
};

static int take_request(struct exchange *x, const struct pot pots[CHARGE_HEADS], int64_t now)
{
    static const char *const details[] = {
        [CHARGE_RULE] = "`limits.requests` of the rule are spent",
        [CHARGE_TASK] = "`limits.requests` of the task are spent",
        [CHARGE_OWNER] = "the requests that the operator lets this user's tasks make are spent",
    };
    struct charge *c = &x->charge;
    for (int i = 0; i < CHARGE_HEADS; i++) {
        c->requests[i].counter = pots[i].counter;
        if (!budget_take(&c->requests[i], &pots[i].limits, now, 1))
            return refuse(x, REASON_REQUEST_RATE, &pots[i], 1, details[i]);
    }
    return 0;
}

static int take_upload(struct exchange *x, enum charge_kind kind, int64_t now, uint64_t n)
{
    struct charge *c = &x->charge;
    if (budget_take(&c->uploads[kind], &c->limits[kind], now, n))
        return 0;
    const struct pot pot = {c->limits[kind], c->uploads[kind].counter};
    return refuse(x, REASON_UPLOAD_BUDGET, &pot, n, upload_details[kind]);
}

static bool counts_uploads(const struct charge *c)
{
    return c->uploads[CHARGE_RULE].counter || c->uploads[CHARGE_TASK].counter ||
           c->uploads[CHARGE_OWNER].counter;
}

static void use_pot(struct charge *c, enum charge_kind kind, const struct pot *pot)
{
    c->uploads[kind].counter = pot->counter;
    c->limits[kind] = pot->limits;
}

/* The rule's own first: when it is spent, no other rule is tried. */
static int take_all(struct exchange *x, const struct task_charges *t, const struct rule_charges *r)
{
    static const struct pot none;
    struct charge *c = &x->charge;
    int64_t now = budgets_now(c->budgets, clock_mono_ns());
    const struct pot requests[CHARGE_HEADS] = {r ? r->requests : none, t->requests, t->owner_requests};
    uint64_t known = x->facts.body_size > 0 ? (uint64_t)x->facts.body_size : 0;
    use_pot(c, CHARGE_RULE, r ? &r->upload : &none);
    use_pot(c, CHARGE_TASK, &t->upload);
    use_pot(c, CHARGE_OWNER, &t->owner_upload);
    use_pot(c, CHARGE_HEADS, counts_uploads(c) ? &none : &t->heads);
    c->head = buf_len(&x->up_out);
    c->covered = c->head + known;
    return take_request(x, requests, now) < 0 || take_upload(x, CHARGE_RULE, now, c->covered) < 0 ||
                   take_upload(x, CHARGE_TASK, now, c->covered) < 0 ||
                   take_upload(x, CHARGE_OWNER, now, c->covered) < 0 ||
                   take_upload(x, CHARGE_HEADS, now, c->head) < 0
               ? -1
               : 0;
}

int charge_begin(struct exchange *x)
{
    const struct snapshot_task *task = snapshot_task_named(x->snapshot, conn_task_name(x->conn));
    const struct task_charges *t = task ? task->charges : NULL;
    if (!t)
        return 0;
    const struct rule_charges *r = charges_of_rule(t, x->verdict.rule);
    x->charge.budgets = t->budgets;
    x->charge.idle_ns = shorter(r ? r->idle_ns : 0, t->idle_ns);
    return take_all(x, t, r);
}

int charge_cover(struct exchange *x, uint64_t upcoming)
{
    struct charge *c = &x->charge;
    if (!counts_uploads(c) || x->sent + upcoming <= c->covered)
        return 0;
    int64_t now = budgets_now(c->budgets, clock_mono_ns());
    uint64_t more = x->sent + upcoming - c->covered;
    for (enum charge_kind kind = CHARGE_RULE; kind < CHARGE_HEADS; kind++)
        if (take_upload(x, kind, now, more) < 0)
            return -1;
    c->covered += more;
    return 0;
}

void charge_end(struct exchange *x)
{
    struct charge *c = &x->charge;
    for (int i = 0; i < CHARGE_KINDS; i++) {
        uint64_t sent = i == CHARGE_HEADS && x->sent > c->head ? c->head : x->sent;
        if (c->uploads[i].amount > sent)
            budget_return(&c->uploads[i], c->uploads[i].amount - sent);
    }
    if (x->sent == 0)
        for (int i = 0; i < CHARGE_HEADS; i++)
            budget_return(&c->requests[i], 1);
}

/* What it has taken so far counts where it was; another counter than before gets all of the request, as if it
 * came now. */
static bool switch_pot(struct exchange *x, enum charge_kind kind, const struct pot *pot)
{
    struct charge *c = &x->charge;
    if (!pot->counter)
        return true;
    c->limits[kind] = pot->limits;
    if (c->uploads[kind].counter != pot->counter) {
        c->uploads[kind] = (struct budget_hold){.counter = pot->counter};
        return budget_take(&c->uploads[kind], &c->limits[kind], budgets_now(c->budgets, clock_mono_ns()),
                           c->covered);
    }
    for (enum budget_span s = 0; s < BUDGET_SPANS; s++)
        if (budget_used(pot->counter, s) > pot->limits.most[s])
            return false;
    return true;
}

bool charge_again(struct exchange *x, const struct task_charges *t, const struct policy_rule *rule)
{
    static const struct pot none;
    struct charge *c = &x->charge;
    uint64_t so_far = x->sent + buf_len(&x->up_out);
    if (!t)
        return true;
    const struct rule_charges *r = charges_of_rule(t, rule);
    if (!counts_uploads(c) && c->covered < so_far)
        c->covered = so_far; /* nobody has counted it */
    c->budgets = t->budgets;
    c->idle_ns = shorter(r ? r->idle_ns : 0, t->idle_ns);
    return switch_pot(x, CHARGE_RULE, r ? &r->upload : &none) && switch_pot(x, CHARGE_TASK, &t->upload) &&
           switch_pot(x, CHARGE_OWNER, &t->owner_upload);
}
