#include "policy/gist.h"

#include "policy/cond.h"
#include "policy/glob.h"

uint8_t gist_method(struct slice method)
{
    static const struct slice usual[] = {SLICE("GET"), SLICE("HEAD"),  SLICE("OPTIONS"), SLICE("POST"),
                                         SLICE("PUT"), SLICE("PATCH"), SLICE("DELETE")};
    _Static_assert(1 << ARRAY_LEN(usual) == GIST_METHOD_OTHER, "a bit each");
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (slice_eq(method, usual[i]))
            return (uint8_t)(1u << i);
    return GIST_METHOD_OTHER;
}

bool gist_set_path(struct rule_gist *gist, enum gist_path kind, struct slice text)
{
    if (text.len > GIST_TEXT_BYTES)
        return false;
    gist->path = kind;
    gist->len = (uint8_t)text.len;
    if (text.len)
        memcpy(gist->text, text.ptr, text.len);
    return true;
}

static bool matches_any(struct slice patterns, struct slice path)
{
    struct slice pattern;
    while (slice_next(&patterns, '\n', &pattern))
        if (glob_match(pattern, path, false))
            return true;
    return false;
}

bool gist_path_fits(const struct rule_gist *gist, struct slice path)
{
    struct slice text = slice_of(gist->text, gist->len);
    switch ((enum gist_path)gist->path) {
    case GIST_STARTS:
        return slice_starts(path, text);
    case GIST_EXACT:
        return slice_eq(path, text);
    case GIST_BELOW:
        return slice_starts(path, text) && (path.len > text.len ? path.ptr[text.len] == '/' : text.len > 0);
    case GIST_GLOBS:
        return matches_any(text, path);
    }
    return false;
}

void gist_make(const struct policy_rule *rule, struct rule_gist *ret)
{
    int64_t policy_ms = rule->policy->expires.ms;
    bool sooner = !rule->deny && policy_ms < rule->expires.ms;
    *ret = (struct rule_gist){
        .rule = rule,
        .expires_ms = sooner ? policy_ms : rule->expires.ms,
        .order = rule->order,
        .schemes = UINT8_MAX,
        .methods = UINT8_MAX,
        .deny = rule->deny,
        .passthrough = rule->passthrough,
        .encoded_slash = rule->deny || rule->encoded_slash,
    };
    for (enum policy_part p = 0; p < PART_COUNT; p++)
        if (rule->cond[p] && !(conds[p]->gist && conds[p]->gist(rule, rule->cond[p], ret)))
            ret->ask |= (uint16_t)(1u << p);
}
