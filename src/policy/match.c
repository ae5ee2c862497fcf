/* Judging: deny rules, then allow rules, then the nearest rule for the explanation. */
#include "policy/cond.h"

/* `judged` holds a buffer of many KiB that most requests never touch: it must not be cleared. */
static void start(struct judged *q, const struct http_target *target, const struct request_facts *facts)
{
    q->target = target;
    q->facts = facts;
    q->decoded_len = SIZE_MAX;
}

static enum reason judge_part(const struct policy_rule *r, enum policy_part part, struct judged *q)
{
    return r->cond[part] ? conds[part]->judge(r, r->cond[part], q) : REASON_NONE;
}

static bool fits(const struct policy_rule *r, enum policy_part end, struct judged *q)
{
    for (enum policy_part p = 0; p < end; p++)
        if (judge_part(r, p, q) != REASON_NONE)
            return false;
    return true;
}

/* Whether a rule asks for something that is not known at a CONNECT yet. */
static bool asks_from(const struct policy_rule *r, enum policy_part first)
{
    for (enum policy_part p = first; p < PART_COUNT; p++)
        if (r->cond[p])
            return true;
    return false;
}

/* The first in the file of those that fit in all parts before `end`. */
static const struct policy_rule *first_fit(const struct host_hits *hits, enum policy_part end,
                                           struct judged *q)
{
    const struct policy_rule *best = NULL;
    for (size_t i = 0; i < hits->count; i++)
        for (const struct rule_ref *ref = hits->lists[i]; ref; ref = ref->next) {
            if (best && ref->rule->order >= best->order)
                break;
            if (ref->rule->deny && asks_from(ref->rule, end))
                continue;
            if (fits(ref->rule, end, q))
                best = ref->rule;
        }
    return best;
}

struct nearest {
    const struct policy_rule *rule;
    unsigned mismatch;  /* bits 1 << policy_part */
    enum reason reason; /* of the first part that does not fit */
};

static struct nearest compare(const struct policy_rule *r, enum policy_part end, struct judged *q)
{
    struct nearest n = {.rule = r};
    for (enum policy_part p = 0; p < end; p++) {
        enum reason reason = judge_part(r, p, q);
        if (reason == REASON_NONE)
            continue;
        if (n.reason == REASON_NONE)
            n.reason = reason;
        n.mismatch |= 1u << p;
    }
    return n;
}

/* The most parts that fit are the fewest that do not; ties go to the first in the file. */
static bool is_nearer(const struct nearest *a, const struct nearest *b)
{
    int more = __builtin_popcount(a->mismatch) - __builtin_popcount(b->mismatch);
    return !b->rule || more < 0 || (more == 0 && a->rule->order < b->rule->order);
}

static struct verdict missing_rule(const struct host_hits *hits, enum policy_part end, struct judged *q)
{
    struct nearest best = {.reason = REASON_HOST_NOT_ALLOWED, .mismatch = 1u << PART_HOST};
    for (size_t i = 0; i < hits->count; i++)
        for (const struct rule_ref *ref = hits->lists[i]; ref; ref = ref->next) {
            struct nearest n = compare(ref->rule, end, q);
            if (is_nearer(&n, &best))
                best = n;
        }
    return (struct verdict){
        .kind = VERDICT_BLOCK, .reason = best.reason, .nearest = best.rule, .mismatch = best.mismatch};
}

/* Only the lack of a rule is forgiven, and it stays on record. */
static struct verdict relax(const struct policy *p, struct verdict v)
{
    if (p->mode == POLICY_MONITOR && reason_is_missing_rule(v.reason)) {
        v.kind = VERDICT_ALLOW;
        v.would_block = true;
    }
    return v;
}

static struct verdict decide(const struct policy *p, enum policy_part end, struct judged *q)
{
    const struct http_authority *authority = &q->target->authority;
    struct host_hits allow, deny;
    host_index_find(&p->index, authority->host, authority->kind == HTTP_HOST_NAME, &allow, &deny);
    const struct policy_rule *rule = first_fit(&deny, end, q);
    if (rule)
        return (struct verdict){.kind = VERDICT_BLOCK, .reason = REASON_DENIED_BY_RULE, .rule = rule};
    /* no rule can say encoded_slash yet; then it becomes a condition */
    if (q->target->encoded_slash)
        return (struct verdict){.kind = VERDICT_BLOCK, .reason = REASON_AMBIGUOUS_TARGET};
    rule = first_fit(&allow, end, q);
    if (rule)
        return (struct verdict){.kind = VERDICT_ALLOW, .rule = rule};
    return relax(p, missing_rule(&allow, end, q));
}

void policy_match(const struct policy *p, const struct http_target *target, const struct request_facts *facts,
                  struct verdict *ret_verdict)
{
    struct judged q;
    start(&q, target, facts);
    *ret_verdict = decide(p, PART_COUNT, &q);
}

void policy_match_connect(const struct policy *p, const struct http_authority *authority,
                          struct verdict *ret_verdict)
{
    const struct http_target target = {.scheme = HTTP_SCHEME_HTTPS, .authority = *authority};
    struct judged q;
    start(&q, &target, NULL);
    *ret_verdict = decide(p, PART_SCHEME + 1, &q);
}
