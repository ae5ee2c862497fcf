#include "policy/summary.h"

#include "policy/hosts.h"
#include "policy/show.h"

#include <stdlib.h>

enum { NAMED_HOSTS = 5 };

static int compare_hosts(const void *a, const void *b)
{
    const struct host_pattern *x = ((const struct reach *)a)->host, *y = ((const struct reach *)b)->host;
    int order = strcmp(x->name.ptr, y->name.ptr);
    return order ? order : (x->kind > y->kind) - (x->kind < y->kind);
}

static bool writes(const struct policy_rule *r)
{
    return !cond_method_only_reads(r) || cond_body_max(r) > 0;
}

static size_t gather(const struct policy *p, struct reach *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct policy_rule *r = p->rules[i];
        const struct host_patterns *hosts = cond_host_of(r);
        for (size_t k = 0; !r->deny && k < hosts->count; k++, n++)
            if (ret)
                ret[n] = (struct reach){&hosts->at[k], writes(r), r->passthrough};
    }
    return n;
}

static void merge(struct summary *s)
{
    size_t kept = 0;
    qsort(s->at, s->count, sizeof *s->at, compare_hosts);
    for (size_t i = 0; i < s->count; i++) {
        if (kept > 0 && compare_hosts(&s->at[kept - 1], &s->at[i]) == 0) {
            s->at[kept - 1].writable |= s->at[i].writable;
            s->at[kept - 1].opaque |= s->at[i].opaque;
        } else
            s->at[kept++] = s->at[i];
    }
    s->count = kept;
    for (size_t i = 0; i < kept; i++) {
        s->writable += s->at[i].writable;
        s->opaque += s->at[i].opaque;
    }
}

/* What all uploads together may be: the policy's word, or that of all rules that write, added up. */
static void sum_uploads(const struct policy *p, struct policy_limit ret[LIMIT_WINDOWS])
{
    struct policy_limit sum[LIMIT_WINDOWS];
    bool any = false;
    for (enum limit_window w = 0; w < LIMIT_WINDOWS; w++) {
        any |= p->limits.upload[w].written;
        sum[w] = (struct policy_limit){.written = true};
        for (size_t i = 0; i < p->rule_count; i++) {
            const struct policy_rule *r = p->rules[i];
            const struct policy_limit *l = &r->limits.upload[w];
            if (r->deny || !writes(r))
                continue;
            sum[w].written &= l->written && l->amount <= INT64_MAX - sum[w].amount;
            sum[w].amount += sum[w].written ? l->amount : 0;
        }
    }
    memcpy(ret, any ? p->limits.upload : sum, sizeof sum);
}

int summary_make(const struct policy *p, struct summary *ret)
{
    struct summary s = {.count = gather(p, NULL)};
    s.at = calloc(s.count + 1, sizeof *s.at);
    if (!s.at)
        return -1;
    gather(p, s.at);
    merge(&s);
    sum_uploads(p, s.upload);
    for (size_t i = 0; i < p->rule_count; i++)
        if (!p->rules[i]->deny && cond_body_max(p->rules[i]) > s.body_max)
            s.body_max = cond_body_max(p->rules[i]);
    *ret = s;
    return 0;
}

void summary_clear(struct summary *s)
{
    free(s->at);
}

/* --- words --- */

/* "200 MiB": schema_print_size with a space, as people write it. */
static int add_size(uint64_t size, struct buf *out)
{
    char text[SCHEMA_SIZE_BYTES];
    schema_print_size(size, text);
    size_t digits = strspn(text, "0123456789");
    return buf_printf(out, "%.*s %s", (int)digits, text, text[digits] ? text + digits : "bytes");
}

static int add_uploads(const struct summary *s, struct buf *out)
{
    static const char *const spans[LIMIT_WINDOWS] = {"a run", "a day", "an hour", "a minute"};
    bool any = false;
    for (enum limit_window w = 0; w < LIMIT_WINDOWS; w++) {
        if (!s->upload[w].written)
            continue;
        if (buf_append(out, any ? SLICE(" and ") : SLICE("at most ")) < 0 ||
            add_size(s->upload[w].amount, out) < 0 || buf_printf(out, " %s", spans[w]) < 0)
            return -1;
        any = true;
    }
    if (any)
        return 0;
    if (s->body_max > INT64_MAX)
        return buf_append(out, SLICE("as much as is sent"));
    return buf_append(out, SLICE("at most ")) < 0 || add_size(s->body_max, out) < 0
               ? -1
               : buf_append(out, SLICE(" a request"));
}

static int add_writable(const struct summary *s, struct buf *out)
{
    size_t named = 0;
    if (buf_append(out, SLICE("; what the agent reads can reach ")) < 0)
        return -1;
    for (size_t i = 0; i < s->count && named < NAMED_HOSTS; i++) {
        if (!s->at[i].writable)
            continue;
        if ((named++ && buf_append(out, SLICE(", ")) < 0) || hosts_print(s->at[i].host, out) < 0)
            return -1;
    }
    return s->writable > named ? buf_printf(out, " and %zu more", s->writable - named) : 0;
}

static int add_reach(const struct summary *s, struct buf *out)
{
    if (s->count == 0)
        return buf_append(out, SLICE("nothing is allowed"));
    if (buf_printf(out, "%zu host%s, ", s->count, s->count == 1 ? "" : "s") < 0)
        return -1;
    if (s->writable == 0)
        return buf_append(out, SLICE("none may be written to"));
    if (buf_printf(out, "%zu may be written to, ", s->writable) < 0 || add_uploads(s, out) < 0)
        return -1;
    if (s->opaque && buf_printf(out, ", %zu not inspected", s->opaque) < 0)
        return -1;
    return add_writable(s, out);
}

int summary_words(const struct policy *p, const struct summary *s, struct buf *out)
{
    if (add_reach(s, out) < 0)
        return -1;
    return p->mode == POLICY_MONITOR
               ? buf_append(out,
                            SLICE("; mode monitor: what no rule allows is recorded and passes all the same"))
               : 0;
}

int show_summary(const struct policy *p, struct buf *out)
{
    struct summary s;
    if (summary_make(p, &s) < 0)
        return -1;
    int result = summary_words(p, &s, out);
    summary_clear(&s);
    return result;
}
