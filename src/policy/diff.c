#include "policy/diff.h"

#include "policy/cond.h"

#include <stdlib.h>

enum { ARENA_BYTES = 256 << 20, TEXT_BYTES = 8 << 20 };

/* --- what a rule, or a policy, says about a thing --- */

typedef int show_rule_thing(const struct policy_rule *r, struct buf *out);

static int show_expires(const struct policy_rule *r, struct buf *out)
{
    return r->expires.text.ptr ? buf_append(out, r->expires.text) : buf_append(out, SLICE("never"));
}

static int show_flag(bool flag, struct buf *out)
{
    return buf_append(out, flag ? SLICE("true") : SLICE("false"));
}

static int show_broad(const struct policy_rule *r, struct buf *out)
{
    return show_flag(r->broad, out);
}

static int show_encoded_slash(const struct policy_rule *r, struct buf *out)
{
    return show_flag(r->encoded_slash, out);
}

static int show_tls(const struct policy_rule *r, struct buf *out)
{
    return buf_append(out, r->passthrough ? SLICE("passthrough") : SLICE("terminate"));
}

static int show_addresses(const struct policy_rule *r, struct buf *out)
{
    return r->addresses.count ? nets_show(&r->addresses, out) : buf_append(out, SLICE("none"));
}

static int show_limits(const struct policy_limits *l, struct buf *out)
{
    size_t before = buf_len(out);
    if (limits_show(l, out) < 0)
        return -1;
    return buf_len(out) > before ? 0 : buf_append(out, SLICE("none"));
}

static int show_rule_limits(const struct policy_rule *r, struct buf *out)
{
    return show_limits(&r->limits, out);
}

/* What a rule says beside its conditions.  To add one: a function above, a row here. */
static const struct {
    const char *name;
    show_rule_thing *show;
} others[] = {
    {"expires", show_expires}, {"broad", show_broad},         {"encoded_slash", show_encoded_slash},
    {"tls", show_tls},         {"addresses", show_addresses}, {"limits", show_rule_limits},
};
enum { THINGS = PART_COUNT + ARRAY_LEN(others) };

static const char *thing_name(size_t i)
{
    return i < PART_COUNT ? policy_part_name((enum policy_part)i) : others[i - PART_COUNT].name;
}

static int show_thing(const struct policy_rule *r, size_t i, struct buf *out)
{
    if (i >= PART_COUNT)
        return others[i - PART_COUNT].show(r, out);
    return r->cond[i] ? conds[i]->show(r->cond[i], out) : buf_append(out, SLICE("any"));
}

/* --- rules side by side --- */

struct side_rule {
    const struct policy_rule *rule;
    const char *things[THINGS];
    bool paired;
};

struct side {
    const struct policy *policy;
    struct side_rule *at;     /* in the order of the files */
    struct side_rule **order; /* sorted */
    size_t count;
};

static int read_side(struct arena *arena, const struct policy *p, struct buf *text, struct side *ret)
{
    struct side s = {.policy = p, .count = p->rule_count};
    s.at = arena_array(arena, s.count + 1, sizeof *s.at);
    s.order = arena_array(arena, s.count + 1, sizeof *s.order);
    if (!s.at || !s.order)
        return -1;
    for (size_t i = 0; i < s.count; i++) {
        s.at[i].rule = p->rules[i];
        s.order[i] = &s.at[i];
        for (size_t k = 0; k < THINGS; k++) {
            buf_clear(text);
            if (show_thing(p->rules[i], k, text) < 0)
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

/* A deny rule's message is no condition, but what it asks for is. */
static int by_meaning(const struct side_rule *a, const struct side_rule *b)
{
    int order = (a->rule->deny > b->rule->deny) - (a->rule->deny < b->rule->deny);
    for (size_t i = 0; order == 0 && i < THINGS; i++)
        order = strcmp(a->things[i], b->things[i]);
    return order;
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

static int sort_by_meaning(const void *a, const void *b)
{
    return by_meaning(*(struct side_rule *const *)a, *(struct side_rule *const *)b);
}

static int sort_by_name(const void *a, const void *b)
{
    return by_name(*(struct side_rule *const *)a, *(struct side_rule *const *)b);
}

struct walk {
    diff_report *report;
    void *arg;
};

/* Walks both sides in order; each pair of equals goes to `pair`. */
static int merge(struct side *before, struct side *after, compare_rules *compare,
                 int (*pair)(const struct walk *w, struct side_rule *a, struct side_rule *b), const struct walk *w)
{
    size_t i = 0, j = 0;
    while (i < before->count && j < after->count) {
        struct side_rule *a = before->order[i], *b = after->order[j];
        int order = a->paired ? -1 : b->paired ? 1 : compare(a, b);
        if (order == 0 && pair(w, a, b) < 0)
            return -1;
        if (order == 0)
            a->paired = b->paired = true;
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

/* A deny rule in other words may forbid less: whoever reads decides. */
static bool drops(const struct policy_rule *before, const char *from, const char *to)
{
    return before->deny || (strcmp(to, "any") == 0 && strcmp(from, "any") != 0);
}

static int pair_changed(const struct walk *w, struct side_rule *a, struct side_rule *b)
{
    for (size_t i = 0; i < THINGS; i++) {
        const char *from = a->things[i], *to = b->things[i];
        const struct diff_change c = {DIFF_CHANGED, a->rule, b->rule, thing_name(i), from, to,
                                      drops(a->rule, from, to)};
        if (strcmp(from, to) != 0 && w->report(w->arg, &c) < 0)
            return -1;
    }
    return 0;
}

static int report_rest(const struct walk *w, const struct side *s, enum diff_kind kind)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct policy_rule *r = s->at[i].rule;
        bool gone = kind == DIFF_GONE;
        const struct diff_change c = {
            .kind = kind, .before = gone ? r : NULL, .after = gone ? NULL : r, .drops = gone && r->deny};
        if (!s->at[i].paired && w->report(w->arg, &c) < 0)
            return -1;
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
    return report_rest(w, before, DIFF_GONE) < 0 ? -1 : report_rest(w, after, DIFF_NEW);
}

/* --- the policy as a whole --- */

static int show_mode(const struct policy *p, struct buf *out)
{
    static const char *const names[] = {"enforce", "monitor", "ask"};
    return buf_append(out, slice_str(names[p->mode]));
}

static int show_policy_expires(const struct policy *p, struct buf *out)
{
    return p->expires.text.ptr ? buf_append(out, p->expires.text) : buf_append(out, SLICE("never"));
}

static int show_policy_limits(const struct policy *p, struct buf *out)
{
    return show_limits(&p->limits, out);
}

static int show_task(const struct policy *p, struct buf *out)
{
    return buf_append(out, slice_str(p->task));
}

static const struct {
    const char *name;
    int (*show)(const struct policy *p, struct buf *out);
} heads[] = {
    {"task", show_task},
    {"mode", show_mode},
    {"expires", show_policy_expires},
    {"limits", show_policy_limits},
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
        const struct diff_change c = {
            .kind = DIFF_CHANGED, .what = heads[i].name, .from = buf_cstr(&from), .to = buf_cstr(&to)};
        if (!c.from || !c.to || (strcmp(c.from, c.to) != 0 && w->report(w->arg, &c) < 0))
            return -1;
    }
    return 0;
}

/* A key of the jail is a change of the policy as a whole. */
static int report_jail(void *arg, const char *key, const char *from, const char *to)
{
    const struct walk *w = arg;
    const struct diff_change c = {.kind = DIFF_CHANGED, .what = key, .from = from, .to = to, .jail = true};
    return w->report(w->arg, &c);
}

int policy_diff(const struct policy *before, const struct policy *after, diff_report *report, void *arg)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    struct walk w = {report, arg};
    struct side a, b;
    int result = diff_heads(&w, before, after) < 0 ? -1 : jail_diff(&before->jail, &after->jail, report_jail, &w);
    if (result == 0 &&
        (read_side(&arena, before, &text, &a) < 0 || read_side(&arena, after, &text, &b) < 0 || diff_rules(&w, &a, &b) < 0))
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
    if (buf_printf(out, "%s: %s \"%s\" (%s:%u)", words[c->kind], info.deny ? "deny" : "allow", info.name, info.file,
                   info.line) < 0)
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
    for (size_t i = 0; i < THINGS; i++) {
        buf_clear(&text);
        const char *shown = show_thing(r, i, &text) < 0 ? NULL : buf_cstr(&text);
        if (!shown || (!is_plain(shown) && buf_printf(out, "    %-13s %s\n", thing_name(i), shown) < 0))
            return -1;
    }
    return 0;
}
