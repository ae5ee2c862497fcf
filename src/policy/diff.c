#include "policy/diff.h"

#include "policy/covers.h"
#include "policy/diff_things.h"

#include <stdlib.h>

enum { ARENA_BYTES = 256 << 20, TEXT_BYTES = 8 << 20 };

/* --- rules side by side --- */

struct side_rule {
    const struct policy_rule *rule;
    const char *things[DIFF_THINGS];
    const struct side_rule *partner; /* of the other side; NULL: none so far */
};

struct side {
    struct side_rule *at;     /* in the order of the files */
    struct side_rule **order; /* sorted */
    size_t count;
};

static int read_side(struct arena *arena, const struct policy *p, struct buf *text, struct side *ret)
{
    struct side s = {.count = p->rule_count};
    s.at = arena_array(arena, s.count + 1, sizeof *s.at);
    s.order = arena_array(arena, s.count + 1, sizeof *s.order);
    if (!s.at || !s.order)
        return -1;
    for (size_t i = 0; i < s.count; i++) {
        s.at[i].rule = p->rules[i];
        s.order[i] = &s.at[i];
        for (size_t k = 0; k < DIFF_THINGS; k++) {
            buf_clear(text);
            if (diff_thing_show(p->rules[i], k, text) < 0)
                return -1;
            s.at[i].things[k] = arena_slice(arena, buf_slice(text)).ptr;
            if (!s.at[i].things[k])
                return -1;
        }
    }
    *ret = s;
    return 0;
}

typedef int compare_rules(const struct side_rule *a, const struct side_rule *b);

static bool has_limits(const struct policy_rule *r)
{
    return limits_any(r->limits.upload) || limits_any(r->limits.requests);
}

static int by_name(const struct side_rule *a, const struct side_rule *b)
{
    struct policy_rule_info x, y;
    policy_rule_info(a->rule, &x);
    policy_rule_info(b->rule, &y);
    int order = (x.deny > y.deny) - (x.deny < y.deny);
    order = order ? order : strcmp(x.file, y.file);
    return order ? order : strcmp(x.name, y.name);
}

/* A deny rule's message is no condition, but what it asks for is.  Counters go by names: a rule with limits
 * that has another name starts with full ones. */
static int by_meaning(const struct side_rule *a, const struct side_rule *b)
{
    int order = (a->rule->deny > b->rule->deny) - (a->rule->deny < b->rule->deny);
    for (size_t i = 0; order == 0 && i < DIFF_THINGS; i++)
        order = strcmp(a->things[i], b->things[i]);
    return order == 0 && has_limits(a->rule) ? by_name(a, b) : order;
}

/* Equals in their order, so that each finds its own partner. */
static int in_order(int order, const struct side_rule *a, const struct side_rule *b)
{
    return order ? order : (a > b) - (a < b);
}

static int sort_by_meaning(const void *a, const void *b)
{
    const struct side_rule *x = *(struct side_rule *const *)a, *y = *(struct side_rule *const *)b;
    return in_order(by_meaning(x, y), x, y);
}

static int sort_by_name(const void *a, const void *b)
{
    const struct side_rule *x = *(struct side_rule *const *)a, *y = *(struct side_rule *const *)b;
    return in_order(by_name(x, y), x, y);
}

struct walk {
    diff_report *report;
    void *arg;
    const struct side *before;
};

/* Walks both sides in order; each pair of equals goes to `pair`. */
static int merge(struct side *before, struct side *after, compare_rules *compare,
                 int (*pair)(const struct walk *w, struct side_rule *a, struct side_rule *b),
                 const struct walk *w)
{
    size_t i = 0, j = 0;
    while (i < before->count && j < after->count) {
        struct side_rule *a = before->order[i], *b = after->order[j];
        int order = a->partner ? -1 : b->partner ? 1 : compare(a, b);
        if (order == 0 && pair(w, a, b) < 0)
            return -1;
        if (order == 0) {
            a->partner = b;
            b->partner = a;
        }
        i += order <= 0;
        j += order >= 0;
    }
    return 0;
}

static int pair_same(const struct walk *w, struct side_rule *a, struct side_rule *b)
{
    (void)w;
    (void)a;
    (void)b;
    return 0;
}

/* Less is forbidden, or asked for, than before. */
static bool drops(const struct policy_rule *before, const char *to)
{
    return before->deny || strcmp(to, "any") == 0;
}

/* Of the allow rules that fit, the first is charged, and says whether a connection is inspected at all: what
 * it no longer speaks of falls to one behind it. */
static bool uncovers(const struct side *before, const struct side_rule *r, enum diff_scope scope)
{
    if (r->rule->deny || scope == DIFF_TERMS)
        return false;
    for (const struct side_rule *next = r + 1; next < before->at + before->count; next++) {
        bool counts = has_limits(r->rule) || (next->rule->passthrough && scope == DIFF_CONNECTIONS);
        if (counts && !next->rule->deny && policy_rules_meet(r->rule, next->rule))
            return true;
    }
    return false;
}

/* A passthrough rule behind one that is not allows nothing on its own; inspected, it would. */
static bool wakes(const struct side *before, const struct side_rule *was, const struct side_rule *is)
{
    if (!was->rule->passthrough || is->rule->passthrough)
        return false;
    for (const struct side_rule *ahead = before->at; ahead < was; ahead++)
        if (!ahead->rule->deny && !ahead->rule->passthrough && policy_rules_meet(ahead->rule, was->rule))
            return true;
    return false;
}

static int pair_changed(const struct walk *w, struct side_rule *a, struct side_rule *b)
{
    for (size_t i = 0; i < DIFF_THINGS; i++) {
        const char *from = a->things[i], *to = b->things[i];
        if (strcmp(from, to) == 0)
            continue;
        bool opens = diff_thing_opens(a->rule, b->rule, i) || uncovers(w->before, a, diff_thing_scope(i)) ||
                     wakes(w->before, a, b);
        const struct diff_change c = {.kind = DIFF_CHANGED,
                                      .before = a->rule,
                                      .after = b->rule,
                                      .what = diff_thing_name(i),
                                      .from = from,
                                      .to = to,
                                      .opens = opens,
                                      .drops = opens && drops(a->rule, to)};
        if (w->report(w->arg, &c) < 0)
            return -1;
    }
    return 0;
}

static int report_rest(const struct walk *w, const struct side *s, enum diff_kind kind)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct policy_rule *r = s->at[i].rule;
        bool gone = kind == DIFF_GONE;
        const struct diff_change c = {.kind = kind,
                                      .before = gone ? r : NULL,
                                      .after = gone ? NULL : r,
                                      .opens = gone == r->deny ||
                                               (gone && uncovers(s, &s->at[i], DIFF_CONNECTIONS)),
                                      .drops = gone && r->deny};
        if (!s->at[i].partner && w->report(w->arg, &c) < 0)
            return -1;
    }
    return 0;
}

/* --- their order --- */

static bool order_counts(const struct policy_rule *r)
{
    return r->passthrough || has_limits(r);
}

static int report_moved(const struct walk *w, const struct side_rule *moved, const struct side_rule *past)
{
    struct policy_rule_info info;
    AUTO_BUF from = BUF_INIT(TEXT_BYTES);
    AUTO_BUF to = BUF_INIT(TEXT_BYTES);
    policy_rule_info(past->rule, &info);
    if (buf_printf(&from, "before \"%s\"", info.name) < 0 || buf_printf(&to, "after \"%s\"", info.name) < 0)
        return -1;
    const struct diff_change c = {.kind = DIFF_CHANGED,
                                  .before = moved->partner->rule,
                                  .after = moved->rule,
                                  .what = "order",
                                  .from = buf_cstr(&from),
                                  .to = buf_cstr(&to),
                                  .opens = true};
    return c.from && c.to ? w->report(w->arg, &c) : -1;
}

static const struct side_rule *further(const struct side_rule *a, const struct side_rule *b)
{
    return a && a->partner > b->partner ? a : b;
}

/* `last`, `last_counting`: of the rules so far, the one that stood furthest back before. */
static int diff_order(const struct walk *w, const struct side *after)
{
    const struct side_rule *last = NULL, *last_counting = NULL;
    for (const struct side_rule *r = after->at; r < after->at + after->count; r++) {
        if (!r->partner || r->rule->deny)
            continue;
        const struct side_rule *past = order_counts(r->rule) ? last : last_counting;
        if (past && past->partner > r->partner && report_moved(w, r, past) < 0)
            return -1;
        last = further(last, r);
        if (order_counts(r->rule))
            last_counting = further(last_counting, r);
    }
    return 0;
}

static int diff_rules(const struct walk *w, struct side *before, struct side *after)
{
    qsort(before->order, before->count, sizeof(struct side_rule *), sort_by_meaning);
    qsort(after->order, after->count, sizeof(struct side_rule *), sort_by_meaning);
    if (merge(before, after, by_meaning, pair_same, w) < 0)
        return -1;
    qsort(before->order, before->count, sizeof(struct side_rule *), sort_by_name);
    qsort(after->order, after->count, sizeof(struct side_rule *), sort_by_name);
    if (merge(before, after, by_name, pair_changed, w) < 0)
        return -1;
    if (report_rest(w, before, DIFF_GONE) < 0 || report_rest(w, after, DIFF_NEW) < 0)
        return -1;
    return diff_order(w, after);
}

/* --- the policy as a whole --- */

static int show_mode(const struct policy *p, struct buf *out)
{
    return buf_append(out, slice_str(policy_mode_words[p->mode]));
}

static int show_policy_expires(const struct policy *p, struct buf *out)
{
    return p->expires.text.ptr ? buf_append(out, p->expires.text) : buf_append(out, SLICE("never"));
}

static int show_policy_limits(const struct policy *p, struct buf *out)
{
    return diff_show_limits(&p->limits, out);
}

static int show_task(const struct policy *p, struct buf *out)
{
    return buf_append(out, slice_str(p->task));
}

/* Budgets, caches and approvals are the task's: another one starts anew. */
static bool opens_task(const struct policy *before UNUSED, const struct policy *after UNUSED)
{
    return true;
}

static bool opens_mode(const struct policy *before, const struct policy *after)
{
    return after->mode == POLICY_MONITOR || before->mode == POLICY_ENFORCE;
}

static bool opens_policy_expires(const struct policy *before, const struct policy *after)
{
    return after->expires.ms > before->expires.ms;
}

static bool opens_policy_limits(const struct policy *before, const struct policy *after)
{
    return limits_raised(&before->limits, &after->limits);
}

static const struct {
    const char *name;
    int (*show)(const struct policy *p, struct buf *out);
    bool (*opens)(const struct policy *before, const struct policy *after); /* asked where they differ */
} heads[] = {
    {"task", show_task, opens_task},
    {"mode", show_mode, opens_mode},
    {"expires", show_policy_expires, opens_policy_expires},
    {"limits", show_policy_limits, opens_policy_limits},
};

static int diff_heads(const struct walk *w, const struct policy *before, const struct policy *after)
{
    AUTO_BUF from = BUF_INIT(TEXT_BYTES);
    AUTO_BUF to = BUF_INIT(TEXT_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        buf_clear(&from);
        buf_clear(&to);
        if (heads[i].show(before, &from) < 0 || heads[i].show(after, &to) < 0)
            return -1;
        const struct diff_change c = {.kind = DIFF_CHANGED,
                                      .what = heads[i].name,
                                      .from = buf_cstr(&from),
                                      .to = buf_cstr(&to),
                                      .opens = heads[i].opens(before, after)};
        if (!c.from || !c.to || (strcmp(c.from, c.to) != 0 && w->report(w->arg, &c) < 0))
            return -1;
    }
    return 0;
}

/* A key of the jail is a change of the policy as a whole. */
static int report_jail(void *arg, const char *key, const char *from, const char *to, bool opens)
{
    const struct walk *w = arg;
    const struct diff_change c = {
        .kind = DIFF_CHANGED, .what = key, .from = from, .to = to, .opens = opens, .jail = true};
    return w->report(w->arg, &c);
}

int policy_diff(const struct policy *before, const struct policy *after, diff_report *report, void *arg)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    struct side a, b;
    struct walk w = {report, arg, &a};
    int result =
        diff_heads(&w, before, after) < 0 ? -1 : jail_diff(&before->jail, &after->jail, report_jail, &w);
    if (result == 0 && (read_side(&arena, before, &text, &a) < 0 || read_side(&arena, after, &text, &b) < 0 ||
                        diff_rules(&w, &a, &b) < 0))
        result = -1;
    arena_free(&arena);
    return result;
}

int diff_line(const struct diff_change *c, struct buf *out)
{
    static const char *const words[] = {"new", "gone", "changed"};
    const struct policy_rule *r = c->after ? c->after : c->before;
    struct policy_rule_info info;
    if (!r)
        return buf_printf(out, "%s: %s of the policy: %s -> %s", words[c->kind], c->what, c->from, c->to);
    policy_rule_info(r, &info);
    if (buf_printf(out, "%s: %s \"%s\" (%s:%u)", words[c->kind], info.deny ? "deny" : "allow", info.name,
                   info.file, info.line) < 0)
        return -1;
    return c->kind == DIFF_CHANGED ? buf_printf(out, ": %s: %s -> %s", c->what, c->from, c->to) : 0;
}

/* What says nothing is left out. */
static bool is_plain(const char *text)
{
    static const char *const plain[] = {"any", "none", "never", "false", "terminate"};
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (strcmp(text, plain[i]) == 0)
            return true;
    return false;
}

int diff_rule(const struct policy_rule *r, struct buf *out)
{
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    for (size_t i = 0; i < DIFF_THINGS; i++) {
        buf_clear(&text);
        const char *shown = diff_thing_show(r, i, &text) < 0 ? NULL : buf_cstr(&text);
        if (!shown || (!is_plain(shown) && buf_printf(out, "    %-13s %s\n", diff_thing_name(i), shown) < 0))
            return -1;
    }
    return 0;
}
