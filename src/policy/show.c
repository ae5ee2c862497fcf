#include "policy/show.h"

#include "policy/cond.h"
#include "policy/hosts.h"

#include <stdlib.h>

enum { NAMED_HOSTS = 5 };

/* A host of the allow rules, once. */
struct reach {
    const struct host_pattern *host;
    bool writable; /* a rule lets it have a body, or a method that is not for reading */
};

struct summary {
    struct reach *at;
    size_t count, writable;
    uint64_t body_max;
};

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
                ret[n] = (struct reach){&hosts->at[k], writes(r)};
    }
    return n;
}

static void merge(struct summary *s)
{
    size_t kept = 0;
    qsort(s->at, s->count, sizeof *s->at, compare_hosts);
    for (size_t i = 0; i < s->count; i++) {
        if (kept > 0 && compare_hosts(&s->at[kept - 1], &s->at[i]) == 0)
            s->at[kept - 1].writable |= s->at[i].writable;
        else
            s->at[kept++] = s->at[i];
    }
    s->count = kept;
    for (size_t i = 0; i < kept; i++)
        s->writable += s->at[i].writable;
}

/* ret->at belongs to the caller. */
static int summarise(const struct policy *p, struct summary *ret)
{
    struct summary s = {.count = gather(p, NULL)};
    s.at = calloc(s.count + 1, sizeof *s.at);
    if (!s.at)
        return -1;
    gather(p, s.at);
    merge(&s);
    for (size_t i = 0; i < p->rule_count; i++)
        if (!p->rules[i]->deny && cond_body_max(p->rules[i]) > s.body_max)
            s.body_max = cond_body_max(p->rules[i]);
    *ret = s;
    return 0;
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

static int add_summary(const struct policy *p, const struct summary *s, struct buf *out)
{
    char size[SCHEMA_SIZE_BYTES];
    schema_print_size(s->body_max, size);
    if (s->count == 0)
        return buf_append(out, SLICE("nothing is allowed"));
    if (buf_printf(out, "%zu host%s, ", s->count, s->count == 1 ? "" : "s") < 0 ||
        (s->writable ? buf_printf(out, "%zu may be written to, at most %s a request", s->writable, size)
                     : buf_append(out, SLICE("none may be written to"))) < 0)
        return -1;
    if (s->writable && add_writable(s, out) < 0)
        return -1;
    return p->mode == POLICY_MONITOR
               ? buf_append(out,
                            SLICE("; mode monitor: what no rule allows is recorded and passes all the same"))
               : 0;
}

int show_summary(const struct policy *p, struct buf *out)
{
    struct summary s;
    if (summarise(p, &s) < 0)
        return -1;
    int result = add_summary(p, &s, out);
    free(s.at);
    return result;
}

static const char *mode_name(const struct policy *p)
{
    static const char *const names[] = {"enforce", "monitor", "ask"};
    return names[p->mode];
}

static bool has_limits(const struct policy_limits *l)
{
    static const struct policy_limits none;
    return memcmp(l, &none, sizeof none) != 0;
}

static int show_limits(const char *label, const struct policy_limits *l, struct buf *out)
{
    if (!has_limits(l))
        return 0;
    return buf_append(out, slice_str(label)) < 0 || limits_show(l, out) < 0 ? -1
                                                                            : buf_append(out, SLICE("\n"));
}

static int show_reach(const struct policy_rule *r, struct buf *out)
{
    if (r->passthrough && buf_append(out, SLICE("  tls     passthrough\n  warning not inspected: nobody sees "
                                                "what is asked for and sent\n")) < 0)
        return -1;
    if (r->addresses.count && (buf_append(out, SLICE("  addresses ")) < 0 ||
                               nets_show(&r->addresses, out) < 0 || buf_append(out, SLICE("\n")) < 0))
        return -1;
    return show_limits("  limits  ", &r->limits, out);
}

/* What is no condition, where it is written. */
static int show_others(const struct policy_rule *r, struct buf *out)
{
    if (show_reach(r, out) < 0)
        return -1;
    if (r->expires.text.ptr && buf_printf(out, "  expires %.*s\n", SLICE_FMT(r->expires.text)) < 0)
        return -1;
    if (r->encoded_slash && !r->passthrough && buf_append(out, SLICE("  encoded_slash true\n")) < 0)
        return -1;
    return r->broad ? buf_append(out, SLICE("  broad   true\n  warning names below a public suffix belong to "
                                            "anybody\n"))
                    : 0;
}

static void json_others(const struct policy_rule *r, struct json *j)
{
    if (r->expires.text.ptr)
        json_kv_slice(j, "expires", r->expires.text);
    if (r->encoded_slash && !r->passthrough)
        json_kv_bool(j, "encoded_slash", true);
    if (r->broad)
        json_kv_bool(j, "broad", true);
    if (r->passthrough)
        json_kv_str(j, "tls", "passthrough");
    if (r->addresses.count) {
        json_key(j, "addresses");
        nets_json(&r->addresses, j);
    }
    if (has_limits(&r->limits)) {
        json_key(j, "limits");
        limits_json(&r->limits, j);
    }
}

static int show_rule(const struct policy_rule *r, struct buf *out)
{
    if (buf_printf(out, "\n%s \"%s\" (%s:%u)\n", r->deny ? "deny" : "allow", r->name, r->origin->file,
                   r->line) < 0)
        return -1;
    for (enum policy_part p = 0; p < PART_COUNT; p++) {
        if (buf_printf(out, "  %-7s ", policy_part_name(p)) < 0 ||
            (r->cond[p] ? conds[p]->show(r->cond[p], out) : buf_append(out, SLICE("any"))) < 0 ||
            buf_append(out, SLICE("\n")) < 0)
            return -1;
    }
    return show_others(r, out) < 0 ? -1 : r->message ? buf_printf(out, "  message %s\n", r->message) : 0;
}

int show_text(const struct policy *p, struct buf *out)
{
    if (buf_printf(out, "task %s, mode %s: ", p->task, mode_name(p)) < 0 || show_summary(p, out) < 0 ||
        buf_append(out, SLICE("\n")) < 0)
        return -1;
    if (p->expires.text.ptr && buf_printf(out, "expires %.*s\n", SLICE_FMT(p->expires.text)) < 0)
        return -1;
    for (size_t i = 0; i < p->rule_count; i++)
        if (show_rule(p->rules[i], out) < 0)
            return -1;
    return 0;
}

static void json_rule(const struct policy_rule *r, struct json *j)
{
    json_object(j);
    json_kv_str(j, "name", r->name);
    json_kv_str(j, "file", r->origin->file);
    json_kv_int(j, "line", r->line);
    json_kv_str(j, "action", r->deny ? "deny" : "allow");
    for (enum policy_part p = 0; p < PART_COUNT; p++)
        if (r->cond[p])
            conds[p]->json(r->cond[p], j);
    json_others(r, j);
    if (r->deny)
        json_kv_str(j, "message", r->message);
    json_object_end(j);
}

static int json_policy(const struct policy *p, const struct summary *s, struct buf *out)
{
    AUTO_BUF text = BUF_INIT(CAP_SCALAR_BYTES);
    if (add_summary(p, s, &text) < 0)
        return -1;
    struct json j = JSON_INIT(out);
    json_object(&j);
    json_kv_str(&j, "file", p->file);
    json_kv_str(&j, "task", p->task);
    json_kv_str(&j, "mode", mode_name(p));
    json_kv_str(&j, "digest", p->digest);
    if (p->expires.text.ptr)
        json_kv_slice(&j, "expires", p->expires.text);
    json_kv_slice(&j, "summary", buf_slice(&text));
    json_kv_int(&j, "hosts", (int64_t)s->count);
    json_kv_int(&j, "writable", (int64_t)s->writable);
    json_key(&j, "rules");
    json_array(&j);
    for (size_t i = 0; i < p->rule_count; i++)
        json_rule(p->rules[i], &j);
    json_array_end(&j);
    json_object_end(&j);
    return j.failed ? -1 : 0;
}

int show_json(const struct policy *p, struct buf *out)
{
    struct summary s;
    if (summarise(p, &s) < 0)
        return -1;
    int result = json_policy(p, &s, out);
    free(s.at);
    return result < 0 ? -1 : buf_append(out, SLICE("\n"));
}
