#include "policy/explain.h"

#include "policy/cond.h"

enum { FIELDS_SHOWN = 20 };

static const char *sentence(const struct verdict *v)
{
    return v->reason == REASON_NONE ? "A rule allows it." : reason_sentence(v->reason);
}

static int add_monitor(const struct verdict *v, struct buf *out)
{
    return v->would_block ? buf_append(out, SLICE(" Mode monitor lets it pass; mode enforce would block it."))
                          : 0;
}

int explain_agent(const struct verdict *v, struct buf *out)
{
    if (buf_append(out, slice_str(sentence(v))) < 0 || add_monitor(v, out) < 0)
        return -1;
    if (v->rule && v->rule->message)
        return buf_printf(out, " %s", v->rule->message);
    if (v->nearest)
        return buf_printf(out, " Nearest rule: \"%s\".", v->nearest->name);
    return 0;
}

static int add_body(const struct request_facts *facts, struct buf *out)
{
    if (!facts->has_body)
        return buf_append(out, SLICE("none"));
    struct slice type = facts->content_type.len ? slice_first(facts->content_type, 100) : SLICE("no type");
    if (facts->body_size < 0)
        return buf_printf(out, "one of unknown size, %.*s", SLICE_FMT(type));
    return buf_printf(out, "%lld bytes, %.*s", (long long)facts->body_size, SLICE_FMT(type));
}

/* Names only: values may be credentials. */
static int add_fields(const struct http_headers *headers, struct buf *out)
{
    unsigned shown = 0;
    if (!headers)
        return buf_append(out, SLICE("fields that are not known any longer"));
    for (unsigned i = 0; i < headers->count && shown < FIELDS_SHOWN; i++) {
        if (headers->at[i].drop)
            continue;
        if ((shown++ && buf_append(out, SLICE(", ")) < 0) ||
            buf_append(out, slice_first(headers->at[i].name, 100)) < 0)
            return -1;
    }
    return shown ? 0 : buf_append(out, SLICE("none"));
}

/* What the request has where the rule asks for something else. */
static int add_actual(enum policy_part part, const struct http_target *target,
                      const struct request_facts *facts, struct buf *out)
{
    switch (part) {
    case PART_HOST:
        return buf_append(out, target->authority.host);
    case PART_PORT:
        return buf_printf(out, "%u", target->authority.port);
    case PART_SCHEME:
        return buf_append(out, slice_str(http_scheme_name(target->scheme)));
    case PART_METHOD:
        return buf_append(out, facts->method);
    case PART_PATH:
        return buf_append(out, slice_first(target->path, 200));
    case PART_QUERY:
        return buf_append(out, target->query.len ? slice_first(target->query, 200) : SLICE("none"));
    case PART_HEADERS:
        return add_fields(facts->headers, out);
    case PART_BODY:
        return add_body(facts, out);
    case PART_COUNT:
        break;
    }
    return 0;
}

static int add_part(enum policy_part part, const struct http_target *target,
                    const struct request_facts *facts, const struct verdict *v, struct buf *out)
{
    const void *what = v->nearest->cond[part];
    if (buf_printf(out, "\n  %s: allows ", policy_part_name(part)) < 0 ||
        (what ? conds[part]->show(what, out)
              : buf_append(out, SLICE("any but those that override the method or path"))) < 0 ||
        buf_append(out, SLICE("; the request has ")) < 0)
        return -1;
    return add_actual(part, target, facts, out);
}

static int add_rule(const char *label, const struct policy_rule *r, struct buf *out)
{
    return buf_printf(out, "\n%s: \"%s\" (%s:%u)", label, r->name, r->origin->file, r->line);
}

/* The rule's own, or else the policy's. */
static int add_expiry(const struct policy_rule *r, struct buf *out)
{
    bool own = r->expires.ms <= r->policy->expires.ms;
    struct slice text = own ? r->expires.text : r->policy->expires.text;
    return buf_printf(out, "\n  %s expired: %.*s", own ? "the rule" : "the policy", SLICE_FMT(text));
}

int explain_person(const struct http_target *target, const struct request_facts *facts,
                   const struct verdict *v, struct buf *out)
{
    if (buf_append(out, slice_str(sentence(v))) < 0 || add_monitor(v, out) < 0)
        return -1;
    if (v->rule && add_rule(v->rule->deny ? "deny rule" : "rule", v->rule, out) < 0)
        return -1;
    if (v->rule && v->rule->message && buf_printf(out, "\n  message: %s", v->rule->message) < 0)
        return -1;
    if (!v->nearest)
        return 0;
    if (add_rule("nearest rule", v->nearest, out) < 0)
        return -1;
    if (v->reason == REASON_RULE_EXPIRED && add_expiry(v->nearest, out) < 0)
        return -1;
    for (enum policy_part p = 0; p < PART_COUNT; p++)
        if (v->mismatch & 1u << p && add_part(p, target, facts, v, out) < 0)
            return -1;
    return 0;
}
