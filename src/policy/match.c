/* Judging: deny rules, then allow rules, then the nearest rule for the explanation. */
#include "policy/cond.h"

/* `judged` holds a buffer of many KiB that most requests never touch: it must not be cleared. */
static void start(struct judged *q, const struct http_target *target, const struct request_facts *facts,
                  int64_t now_ms)
{
    q->target = target;
    q->facts = facts;
    q->now_ms = now_ms;
    q->method = facts ? gist_method(facts->method) : 0;
    q->moot = facts && !cond_body_is_there(facts) ? 1u << PART_BODY : 0;
    q->asked = facts && cond_headers_override(NULL, facts->headers) ? 1u << PART_HEADERS : 0;
    q->decoded_len = SIZE_MAX;
    q->terminated = false;
}

static enum reason judge_part(const struct policy_rule *r, enum policy_part part, struct judged *q)
{
    if (part == PART_HEADERS && q->asked && !r->deny && cond_headers_override(r, q->facts->headers))
        return REASON_HEADER_NOT_ALLOWED;
    return r->cond[part] ? conds[part]->judge(r, r->cond[part], q) : REASON_NONE;
}

/* Whether a rule asks for something that is not known at a CONNECT yet. */
static bool asks_from(const struct policy_rule *r, enum policy_part first)
{
    for (enum policy_part p = first; p < PART_COUNT; p++)
        if (r->cond[p])
            return true;
    return false;
}

static bool has_expired(const struct rule_gist *line, const struct judged *q)
{
    return q->now_ms >= line->expires_ms;
}

/* What a CONNECT shows of a request: host, port and scheme. */
static const enum policy_part CONNECT_END = PART_SCHEME + 1;

/* Whether a rule speaks of such requests at all: %2F, which a CONNECT does not show, is for allow rules that
 * say so; a passthrough rule does not speak of connections that another rule has opened. */
static bool takes_part(const struct rule_gist *line, bool expired, enum policy_part end,
                       const struct judged *q)
{
    if (has_expired(line, q) != expired || (line->passthrough && q->terminated))
        return false;
    return !q->target->encoded_slash || line->encoded_slash || end == CONNECT_END;
}

/* Whether the line has nothing against it; a CONNECT shows no method and no path. */
static bool line_fits(const struct rule_gist *line, enum policy_part end, const struct judged *q)
{
    const struct http_target *t = q->target;
    if ((line->port && line->port != t->authority.port) || !(line->schemes & 1u << t->scheme))
        return false;
    return end == CONNECT_END || ((line->methods & q->method) && gist_path_fits(line, t->path));
}

/* Whether the conditions before `end` fit that the line does not say. */
static bool rest_fits(const struct rule_gist *line, enum policy_part end, struct judged *q)
{
    unsigned ask = line->deny ? line->ask : (line->ask | q->asked) & ~q->moot;
    ask &= (1u << end) - 1;
    for (; ask; ask &= ask - 1)
        if (judge_part(line->rule, (enum policy_part)__builtin_ctz(ask), q) != REASON_NONE)
            return false;
    return true;
}

static bool fits(const struct rule_gist *line, enum policy_part end, struct judged *q)
{
    return line_fits(line, end, q) && rest_fits(line, end, q);
}

/* The first in the file of those, expired or not, that fit in all parts before `end`. */
static const struct policy_rule *first_fit(const struct host_hits *hits, bool expired, enum policy_part end,
                                           struct judged *q)
{
    const struct policy_rule *best = NULL;
    uint32_t order = UINT32_MAX; /* of `best` */
    for (size_t i = 0; i < hits->count; i++)
        RULE_LIST_FOREACH(line, &hits->lists[i])
        {
            if (line->order >= order)
                break;
            if (!line_fits(line, end, q) || !takes_part(line, expired, end, q) ||
                (line->deny && asks_from(line->rule, end)) || !rest_fits(line, end, q))
                continue;
            best = line->rule;
            order = line->order;
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

/* Every rule misses something, so that only an earlier one could be nearer. */
static bool is_final(const struct nearest *n)
{
    return n->rule && __builtin_popcount(n->mismatch) == 1;
}

static struct verdict missing_rule(const struct host_hits *hits, enum policy_part end, struct judged *q)
{
    struct nearest best = {.reason = REASON_HOST_NOT_ALLOWED, .mismatch = 1u << PART_HOST};
    for (size_t i = 0; i < hits->count; i++)
        RULE_LIST_FOREACH(line, &hits->lists[i])
        {
            if (is_final(&best) && line->order > best.rule->order)
                break;
            if (!takes_part(line, false, end, q))
                continue;
            struct nearest n = compare(line->rule, end, q);
            if (is_nearer(&n, &best))
                best = n;
        }
    return (struct verdict){
        .kind = VERDICT_BLOCK, .reason = best.reason, .nearest = best.rule, .mismatch = best.mismatch};
}

/* Only the lack of a rule is forgiven, and it stays on record; never by a policy that has expired. */
static bool relaxes(const struct policy *p, const struct judged *q)
{
    return p->mode == POLICY_MONITOR && q->now_ms < p->expires.ms;
}

static struct verdict relax(const struct policy *p, const struct judged *q, struct verdict v)
{
    if (relaxes(p, q) && reason_is_missing_rule(v.reason)) {
        v.kind = VERDICT_ALLOW;
        v.would_block = true;
    }
    return v;
}

/* At a CONNECT an expired rule decides only where no request inside could be relaxed. */
static const struct policy_rule *expired_fit(const struct policy *p, const struct host_hits *allow,
                                             enum policy_part end, struct judged *q)
{
    return end == CONNECT_END && relaxes(p, q) ? NULL : first_fit(allow, true, end, q);
}

/* Whether a deny rule needs to look at the requests of such a connection. */
static bool denied_inside(const struct host_hits *deny, struct judged *q)
{
    for (size_t i = 0; i < deny->count; i++)
        RULE_LIST_FOREACH(line, &deny->lists[i])
        {
            if (!has_expired(line, q) && asks_from(line->rule, CONNECT_END) && fits(line, CONNECT_END, q))
                return true;
        }
    return false;
}

/* The rule that opens an https connection to that host and port: the first in the file. */
static const struct policy_rule *opener(const struct policy *p, const struct host_hits *allow,
                                        struct judged *q)
{
    if (!p->has_passthrough)
        return NULL;
    const struct policy_rule *first = first_fit(allow, false, CONNECT_END, q);
    q->terminated = first && !first->passthrough;
    return first;
}

static struct verdict decide(const struct policy *p, enum policy_part end, struct judged *q)
{
    const struct http_authority *authority = &q->target->authority;
    struct host_hits allow, deny;
    host_index_find(&p->index, authority->host, authority->kind == HTTP_HOST_NAME, &allow, &deny);
    const struct policy_rule *rule = first_fit(&deny, false, end, q);
    if (rule)
        return (struct verdict){.kind = VERDICT_BLOCK, .reason = REASON_DENIED_BY_RULE, .rule = rule};
    rule = opener(p, &allow, q);
    if (rule && rule->passthrough)
        return (struct verdict){.kind = VERDICT_ALLOW, .rule = rule, .opaque = !denied_inside(&deny, q)};
    rule = first_fit(&allow, false, end, q);
    if (rule)
        return (struct verdict){.kind = VERDICT_ALLOW, .rule = rule};
    rule = expired_fit(p, &allow, end, q);
    if (rule)
        return (struct verdict){.kind = VERDICT_BLOCK, .reason = REASON_RULE_EXPIRED, .nearest = rule};
    struct verdict missing = missing_rule(&allow, end, q);
    if (q->target->encoded_slash && !missing.nearest)
        return (struct verdict){.kind = VERDICT_BLOCK, .reason = REASON_AMBIGUOUS_TARGET};
    return relax(p, q, missing);
}

void policy_match(const struct policy *p, const struct http_target *target, const struct request_facts *facts,
                  struct verdict *ret_verdict)
{
    struct judged q;
    start(&q, target, facts, facts->now_ms);
    *ret_verdict = decide(p, PART_COUNT, &q);
}

void policy_match_connect(const struct policy *p, const struct http_authority *authority, int64_t now_ms,
                          struct verdict *ret_verdict)
{
    const struct http_target target = {.scheme = HTTP_SCHEME_HTTPS, .authority = *authority};
    struct judged q;
    start(&q, &target, NULL, now_ms);
    *ret_verdict = decide(p, CONNECT_END, &q);
}
