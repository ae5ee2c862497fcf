#include "policy/show.h"

#include "policy/cond.h"
#include "policy/summary.h"

enum { OUTPUT_BYTES = 4 << 20 };

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

/* The numbers in force, also those that nobody wrote. */
static int show_all_limits(const struct policy *p, struct buf *out)
{
    bool upload = limits_any(p->limits.upload);
    if (buf_append(out, SLICE("limits: ")) < 0 || limits_show(&p->limits, out) < 0)
        return -1;
    if (!upload && buf_printf(out, "%s%u MiB a run for heads where a rule limits no upload (default)",
                              has_limits(&p->limits) ? ", " : "", LIMIT_HEADS_BYTES >> 20) < 0)
        return -1;
    return buf_append(out, SLICE("\n"));
}

static int show_origins(const struct policy *p, struct buf *out)
{
    for (size_t i = 1; i < p->origin_count; i++) {
        const struct policy_origin *o = p->origins[i];
        if (buf_printf(out, "extends %s%s%s%s\n", o->file, o->values ? " (" : "", o->values ? o->values : "",
                       o->values ? ")" : "") < 0)
            return -1;
    }
    return 0;
}

static int show_jail(const struct policy *p, struct buf *out)
{
    AUTO_BUF text = BUF_INIT(OUTPUT_BYTES);
    if (jail_show(&p->jail, &text) < 0)
        return -1;
    return buf_len(&text) == 0 ||
                   (buf_append(out, SLICE("jail\n")) == 0 && buf_append(out, buf_slice(&text)) == 0)
               ? 0
               : -1;
}

int show_text(const struct policy *p, struct buf *out)
{
    if (buf_printf(out, "task %s, mode %s: ", p->task, policy_mode_words[p->mode]) < 0 || show_summary(p, out) < 0 ||
        buf_append(out, SLICE("\n")) < 0)
        return -1;
    if (p->expires.text.ptr && buf_printf(out, "expires %.*s\n", SLICE_FMT(p->expires.text)) < 0)
        return -1;
    if (show_all_limits(p, out) < 0 || show_origins(p, out) < 0 || show_jail(p, out) < 0)
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

static void json_head(const struct policy *p, struct json *j)
{
    json_kv_str(j, "file", p->file);
    json_kv_str(j, "task", p->task);
    json_kv_str(j, "mode", policy_mode_words[p->mode]);
    json_kv_str(j, "digest", p->digest);
    if (p->expires.text.ptr)
        json_kv_slice(j, "expires", p->expires.text);
}

static void json_limits(const struct policy *p, struct json *j)
{
    json_key(j, "limits");
    limits_json(&p->limits, j);
    json_key(j, "heads_default");
    if (limits_any(p->limits.upload))
        json_null(j);
    else
        json_int(j, LIMIT_HEADS_BYTES);
}

static void json_origins(const struct policy *p, struct json *j)
{
    json_key(j, "extends");
    json_array(j);
    for (size_t i = 1; i < p->origin_count; i++) {
        json_object(j);
        json_kv_str(j, "file", p->origins[i]->file);
        json_kv_str(j, "values", p->origins[i]->values);
        json_object_end(j);
    }
    json_array_end(j);
}

static int json_policy(const struct policy *p, const struct summary *s, struct buf *out)
{
    AUTO_BUF text = BUF_INIT(CAP_SCALAR_BYTES);
    if (summary_words(p, s, &text) < 0)
        return -1;
    struct json j = JSON_INIT(out);
    json_object(&j);
    json_head(p, &j);
    json_kv_slice(&j, "summary", buf_slice(&text));
    json_kv_int(&j, "hosts", (int64_t)s->count);
    json_kv_int(&j, "writable", (int64_t)s->writable);
    json_kv_int(&j, "opaque", (int64_t)s->opaque);
    json_limits(p, &j);
    json_origins(p, &j);
    json_key(&j, "jail");
    jail_json(&p->jail, &j);
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
    if (summary_make(p, &s) < 0)
        return -1;
    int result = json_policy(p, &s, out);
    summary_clear(&s);
    return result < 0 ? -1 : buf_append(out, SLICE("\n"));
}
