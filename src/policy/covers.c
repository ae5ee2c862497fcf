#include "policy/covers.h"

#include "policy/cond.h"

enum { LOOKS = 4000, SHOWN_BYTES = 1 << 20 };

static bool is_below(struct slice name, struct slice apex)
{
    return name.len > apex.len && slice_ends(name, apex) && name.ptr[name.len - apex.len - 1] == '.';
}

/* In a deny rule "*.example.com" covers the apex too (design: Hosts). */
static bool covers_host(const struct host_pattern *wide, bool deny, const struct host_pattern *narrow)
{
    bool apex = wide->kind == HOST_APEX_AND_BELOW || (deny && wide->kind == HOST_BELOW);
    if (wide->kind == HOST_EXACT)
        return narrow->kind == HOST_EXACT && slice_eq(wide->name, narrow->name);
    if (slice_eq(wide->name, narrow->name))
        return narrow->kind == HOST_BELOW || apex;
    return narrow->literal == HTTP_HOST_NAME && is_below(narrow->name, wide->name);
}

static bool covers_hosts(const struct policy_rule *wide, const struct policy_rule *narrow)
{
    const struct host_patterns *w = cond_host_of(wide), *n = cond_host_of(narrow);
    for (size_t i = 0; i < n->count; i++) {
        bool found = false;
        for (size_t k = 0; k < w->count && !found; k++)
            found = covers_host(&w->at[k], wide->deny, &n->at[i]);
        if (!found)
            return false;
    }
    return n->count > 0;
}

bool policy_rules_meet(const struct policy_rule *a, const struct policy_rule *b)
{
    const struct host_patterns *x = cond_host_of(a), *y = cond_host_of(b);
    for (size_t i = 0; i < x->count; i++)
        for (size_t k = 0; k < y->count; k++)
            if (covers_host(&x->at[i], true, &y->at[k]) || covers_host(&y->at[k], true, &x->at[i]))
                return true;
    return false;
}

static bool shown_alike(enum policy_part p, const void *a, const void *b)
{
    AUTO_BUF x = BUF_INIT(SHOWN_BYTES);
    AUTO_BUF y = BUF_INIT(SHOWN_BYTES);
    return conds[p]->show(a, &x) == 0 && conds[p]->show(b, &y) == 0 && slice_eq(buf_slice(&x), buf_slice(&y));
}

/* A deny rule about query, fields or body needs them to be there, and an allow rule does not. */
static bool covers_part(const struct policy_rule *wide, const struct policy_rule *narrow, enum policy_part p)
{
    const void *w = wide->cond[p], *n = narrow->cond[p];
    if (!w)
        return true;
    if (!n || (wide->deny && p >= PART_QUERY))
        return false;
    return conds[p]->covers ? conds[p]->covers(w, n) : shown_alike(p, w, n);
}

bool policy_rule_covers_part(const struct policy_rule *wide, const struct policy_rule *narrow,
                             enum policy_part p)
{
    if (p == PART_HOST)
        return cond_host_of(narrow)->count == 0 || covers_hosts(wide, narrow);
    if (wide->cond[p] && narrow->cond[p] && shown_alike(p, wide->cond[p], narrow->cond[p]))
        return true;
    return covers_part(wide, narrow, p);
}

/* Whether every request that fits `narrow` fits `wide` too.  Of an opaque tunnel only host and port count. */
static bool covers_rule(const struct policy_rule *wide, const struct policy_rule *narrow)
{
    bool opaque = wide->passthrough || narrow->passthrough;
    enum policy_part end = opaque ? PART_SCHEME + 1 : PART_COUNT;
    if (wide->expires.ms < narrow->expires.ms || !covers_hosts(wide, narrow) ||
        (narrow->encoded_slash && !wide->encoded_slash && !wide->deny))
        return false;
    /* a deny rule about requests has the connection opened (policy/passthrough.h) and does not forbid it */
    for (enum policy_part p = end; wide->deny && p < PART_COUNT; p++)
        if (wide->cond[p])
            return false;
    for (enum policy_part p = PART_PORT; p < end; p++)
        if (!covers_part(wide, narrow, p))
            return false;
    return true;
}

/* Under which name the index lists what may cover the first host; a wildcard's are those of a name below it.
 */
static struct slice probe(const struct host_pattern *host, char ret[CAP_HOST_BYTES + 3])
{
    if (host->kind == HOST_EXACT || host->name.len > CAP_HOST_BYTES)
        return host->name;
    memcpy(ret, "_.", 2);
    memcpy(ret + 2, host->name.ptr, host->name.len);
    return slice_of(ret, host->name.len + 2);
}

const struct policy_rule *policy_rule_covered_by(const struct policy_rule *r, bool deny, int64_t now_ms)
{
    const struct host_patterns *hosts = cond_host_of(r);
    char name[CAP_HOST_BYTES + 3];
    struct host_hits allow_hits, deny_hits;
    const struct policy_rule *best = NULL;
    unsigned looks = 0;
    if (hosts->count == 0)
        return NULL;
    host_index_find(&r->policy->index, probe(&hosts->at[0], name), hosts->at[0].literal == HTTP_HOST_NAME,
                    &allow_hits, &deny_hits);
    const struct host_hits *hits = deny ? &deny_hits : &allow_hits;
    for (size_t i = 0; i < hits->count; i++)
        for (size_t k = 0; k < hits->lists[i].count && looks < LOOKS; k++, looks++) {
            const struct policy_rule *w = hits->lists[i].at[k].rule;
            if ((deny == r->deny && w->order >= r->order) || (best && w->order >= best->order))
                break;
            if (now_ms < w->expires.ms && covers_rule(w, r))
                best = w;
        }
    return best;
}
