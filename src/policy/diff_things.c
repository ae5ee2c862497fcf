#include "policy/diff_things.h"

#include "policy/cond.h"
#include "policy/covers.h"

static int show_expires(const struct policy_rule *r, struct buf *out)
{
    return buf_append(out, r->expires.text.ptr ? r->expires.text : SLICE("never"));
}

/* What forbids has to hold as long. */
static bool opens_expires(const struct policy_rule *before, const struct policy_rule *after)
{
    return after->deny ? after->expires.ms < before->expires.ms : after->expires.ms > before->expires.ms;
}

static int show_flag(bool flag, struct buf *out)
{
    return buf_append(out, flag ? SLICE("true") : SLICE("false"));
}

static int show_broad(const struct policy_rule *r, struct buf *out)
{
    return show_flag(r->broad, out);
}

static bool opens_broad(const struct policy_rule *before UNUSED, const struct policy_rule *after)
{
    return after->broad && !after->deny;
}

static int show_encoded_slash(const struct policy_rule *r, struct buf *out)
{
    return show_flag(r->encoded_slash, out);
}

static bool opens_encoded_slash(const struct policy_rule *before UNUSED, const struct policy_rule *after)
{
    return after->encoded_slash && !after->deny;
}

static int show_tls(const struct policy_rule *r, struct buf *out)
{
    return buf_append(out, r->passthrough ? SLICE("passthrough") : SLICE("terminate"));
}

static bool opens_tls(const struct policy_rule *before UNUSED, const struct policy_rule *after)
{
    return after->passthrough;
}

static int show_addresses(const struct policy_rule *r, struct buf *out)
{
    return r->addresses.count ? nets_show(&r->addresses, out) : buf_append(out, SLICE("none"));
}

static bool opens_addresses(const struct policy_rule *before, const struct policy_rule *after)
{
    return !nets_within(&after->addresses, &before->addresses);
}

int diff_show_limits(const struct policy_limits *l, struct buf *out)
{
    size_t before = buf_len(out);
    if (limits_show(l, out) < 0)
        return -1;
    return buf_len(out) > before ? 0 : buf_append(out, SLICE("none"));
}

static int show_limits(const struct policy_rule *r, struct buf *out)
{
    return diff_show_limits(&r->limits, out);
}

static bool opens_limits(const struct policy_rule *before, const struct policy_rule *after)
{
    return limits_raised(&before->limits, &after->limits);
}

/* What a rule says beside its conditions.  To add one: two functions above, a row here, and the number in the
 * header; a row in tests/unit/test_policy_opens.c. */
static const struct {
    const char *name;
    enum diff_scope scope;
    int (*show)(const struct policy_rule *r, struct buf *out);
    bool (*opens)(const struct policy_rule *before,
                  const struct policy_rule *after); /* asked where they differ */
} others[] = {
    {"expires", DIFF_CONNECTIONS, show_expires, opens_expires},
    {"broad", DIFF_TERMS, show_broad, opens_broad},
    {"encoded_slash", DIFF_REQUESTS, show_encoded_slash, opens_encoded_slash},
    {"tls", DIFF_TERMS, show_tls, opens_tls},
    {"addresses", DIFF_TERMS, show_addresses, opens_addresses},
    {"limits", DIFF_TERMS, show_limits, opens_limits},
};
_Static_assert(DIFF_THINGS == PART_COUNT + ARRAY_LEN(others), "one number for both files");

const char *diff_thing_name(size_t i)
{
    return i < PART_COUNT ? policy_part_name((enum policy_part)i) : others[i - PART_COUNT].name;
}

enum diff_scope diff_thing_scope(size_t i)
{
    if (i >= PART_COUNT)
        return others[i - PART_COUNT].scope;
    return i <= PART_SCHEME ? DIFF_CONNECTIONS : DIFF_REQUESTS;
}

int diff_thing_show(const struct policy_rule *r, size_t i, struct buf *out)
{
    if (i >= PART_COUNT)
        return others[i - PART_COUNT].show(r, out);
    return r->cond[i] ? conds[i]->show(r->cond[i], out) : buf_append(out, SLICE("any"));
}

bool diff_thing_opens(const struct policy_rule *before, const struct policy_rule *after, size_t i)
{
    if (i >= PART_COUNT)
        return others[i - PART_COUNT].opens(before, after);
    return after->deny ? !policy_rule_covers_part(after, before, (enum policy_part)i)
                       : !policy_rule_covers_part(before, after, (enum policy_part)i);
}
