/* headers: fields that a request must have (an allow rule) or that are forbidden (a deny rule).
 *
 * Only what is sent on counts: hop-by-hop fields and those that Connection names are not there.
 * In an allow rule a listed field must be present, unless its name ends in `?`, and each of its lines must
 * match; fields that are not listed do not matter, but for those that override method or path
 * (http/overrides.def): they must be listed, in a rule without `headers` too.  A deny rule matches where each listed field has a line,
 * or a part of one between commas (RFC 9110 5.3: they mean the same), that matches, ASCII case ignored. Where
 * the fields are not known (any longer), an allow rule does not fit and a deny rule does.
 */
#include "http/chars.h"
#include "policy/patterns.h"

enum { NAME_BYTES = 100 };

static bool has_upper(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != ascii_lower(s.ptr[i]))
            return true;
    return false;
}

static int check_name(struct schema_ctx *ctx, const struct policy_rule *rule, const struct node *key,
                      struct named_patterns *named)
{
    struct slice *name = &named->name;
    named->optional = slice_ends(*name, SLICE("?"));
    if (named->optional)
        name->len--;
    if (named->optional && rule->deny)
        return schema_fail(ctx, key, "\"?\" belongs to allow rules: a deny rule names what it forbids");
    if (has_upper(*name))
        return schema_fail(ctx, key, "names of header fields are written in lower case");
    if (name->len == 0 || name->len > NAME_BYTES || !http_all(*name, CH_TOKEN))
        return schema_fail(ctx, key, "\"%.*s\" is not the name of a header field",
                           SLICE_FMT(slice_first(*name, NAME_BYTES)));
    if (http_header_flags(http_header_id_of(*name)) & HTTP_HF_HOP)
        return schema_fail(ctx, key, "`%.*s` speaks of one connection only and is never sent on",
                           SLICE_FMT(*name));
    return 0;
}

int cond_headers_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                      void *field)
{
    struct policy_rule *rule = field;
    if (patterns_read(ctx, key, value, rule, PART_HEADERS, "fields", check_name) < 0)
        return -1;
    rule->policy->needs_headers = true;
    return 0;
}

static bool is_sent(const struct http_header *h, struct slice name)
{
    return !h->drop && slice_eq_nocase(h->name, name);
}

static bool allows(const struct named_patterns *n, const struct http_headers *headers)
{
    bool present = false;
    for (unsigned i = 0; i < headers->count; i++) {
        if (!is_sent(&headers->at[i], n->name))
            continue;
        if (!patterns_match(n, headers->at[i].value, false))
            return false;
        present = true;
    }
    return present || n->optional;
}

static bool allowed(const struct pattern_map *map, const struct http_headers *headers)
{
    for (size_t i = 0; i < map->count; i++)
        if (!headers || !allows(&map->at[i], headers))
            return false;
    return true;
}

static bool forbids_line(const struct named_patterns *n, struct slice line)
{
    struct slice rest = line, part;
    if (patterns_match(n, line, true))
        return true;
    while (slice_next(&rest, ',', &part))
        if (patterns_match(n, slice_trim(part), true))
            return true;
    return false;
}

static bool forbids(const struct named_patterns *n, const struct http_headers *headers)
{
    for (unsigned i = 0; i < headers->count; i++)
        if (is_sent(&headers->at[i], n->name) && forbids_line(n, headers->at[i].value))
            return true;
    return false;
}

static bool denied(const struct pattern_map *map, const struct http_headers *headers)
{
    for (size_t i = 0; i < map->count; i++)
        if (headers && !forbids(&map->at[i], headers))
            return false;
    return true;
}

static enum reason judge(const struct policy_rule *rule, const void *what, struct judged *q)
{
    const struct http_headers *headers = q->facts->headers;
    bool fits = rule->deny ? denied(what, headers) : allowed(what, headers);
    return fits ? REASON_NONE : REASON_HEADER_NOT_ALLOWED;
}

static int show(const void *what, struct buf *out)
{
    const struct pattern_map *map = what;
    return map->count ? patterns_show(map, out) : buf_append(out, SLICE("any"));
}

static void json(const void *what, struct json *j)
{
    json_key(j, "headers");
    patterns_json(what, j);
}

bool cond_headers_lists(const struct policy_rule *r, struct slice name)
{
    const struct pattern_map *map = r->cond[PART_HEADERS];
    for (size_t i = 0; map && i < map->count; i++)
        if (slice_eq_nocase(map->at[i].name, name))
            return true;
    return false;
}

bool cond_headers_override(const struct policy_rule *r, const struct http_headers *headers)
{
    for (unsigned i = 0; headers && i < headers->count; i++) {
        const struct http_header *h = &headers->at[i];
        if (!h->drop && http_header_overrides(h->name) && !(r && cond_headers_lists(r, h->name)))
            return true;
    }
    return false;
}

const struct cond cond_headers = {.judge = judge, .show = show, .json = json};
