/* query: the parameters that a request may have (an allow rule) or that are forbidden (a deny rule).
 *
 * A query is read as application/x-www-form-urlencoded (WHATWG URL 5.1): `&` separates parameters, the first
 * `=` name and value, escapes are decoded once, empty pieces are no parameters.  Servers differ about `+`:
 * for an allow rule the request must fit whether it is a space or a plus.
 * A deny rule matches where each name that it lists has a value that matches, in any reading: `+` as either,
 * `;` as a separator too, escapes decoded once or fully, ASCII case ignored.
 */
#include "policy/escapes.h"
#include "policy/patterns.h"

enum { NAME_BYTES = 200 };

struct reading {
    bool plus;       /* `+` is a space */
    bool semicolons; /* `;` separates parameters */
    bool fully;      /* decoded until nothing is left to decode, in lower case */
};

struct parameter {
    struct slice name, value;
};

static int check_name(struct schema_ctx *ctx, const struct policy_rule *rule, const struct node *key,
                      struct named_patterns *named)
{
    if (named->name.len > NAME_BYTES)
        return schema_fail(ctx, key, "the name of a parameter has at most %d bytes here", NAME_BYTES);
    if (slice_eq(named->name, SLICE("*")))
        return schema_fail(ctx, key, "names are no patterns; without `query` every parameter fits");
    char *name = arena_alloc(ctx->arena, named->name.len + 1);
    if (!name)
        return schema_fail(ctx, key, "out of memory");
    for (size_t i = 0; i < named->name.len; i++)
        name[i] = rule->deny ? ascii_lower(named->name.ptr[i]) : named->name.ptr[i];
    named->name.ptr = name;
    return 0;
}

int cond_query_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                    void *field)
{
    return patterns_read(ctx, key, value, field, PART_QUERY, "parameters", check_name);
}

static bool next_piece(struct slice *rest, bool semicolons, struct slice *ret)
{
    size_t n = 0;
    if (rest->len == 0)
        return false;
    while (n < rest->len && rest->ptr[n] != '&' && !(semicolons && rest->ptr[n] == ';'))
        n++;
    *ret = slice_first(*rest, n);
    *rest = slice_skip(*rest, n + 1);
    return true;
}

static struct slice decode(struct slice raw, struct reading how, char *to)
{
    size_t len = escapes_once(raw, how.plus, to);
    return slice_of(to, how.fully ? escapes_fully(slice_of(to, len), to) : len);
}

/* Decoded into `scratch`, which has room for the whole query. */
static bool next_parameter(struct slice *rest, struct reading how, char *scratch, struct parameter *ret)
{
    struct slice piece = {NULL, 0};
    while (piece.len == 0)
        if (!next_piece(rest, how.semicolons, &piece))
            return false;
    ptrdiff_t equals = slice_find(piece, '=');
    size_t len = equals < 0 ? piece.len : (size_t)equals;
    ret->name = decode(slice_first(piece, len), how, scratch);
    ret->value = decode(slice_skip(piece, len + 1), how, scratch + len);
    return true;
}

static bool fits(const struct pattern_map *map, const struct parameter *p)
{
    for (const struct named_patterns *n = map->at; n < map->at + map->count; n++)
        if (slice_eq(n->name, p->name))
            return patterns_match(n, p->value, false);
    return false;
}

static bool fits_read(const struct pattern_map *map, struct slice query, struct reading how)
{
    char scratch[CAP_TARGET_BYTES];
    struct parameter p;
    while (next_parameter(&query, how, scratch, &p))
        if (!fits(map, &p))
            return false;
    return true;
}

static bool allowed(const struct pattern_map *map, struct slice query)
{
    if (query.len > CAP_TARGET_BYTES || !fits_read(map, query, (struct reading){.plus = false}))
        return false;
    return slice_find(query, '+') < 0 || fits_read(map, query, (struct reading){.plus = true});
}

/* A bit for each name of the map that has a forbidden value. */
static uint64_t forbidden_read(const struct pattern_map *map, struct slice query, struct reading how)
{
    char scratch[CAP_TARGET_BYTES];
    uint64_t found = 0;
    struct parameter p;
    while (next_parameter(&query, how, scratch, &p))
        for (size_t i = 0; i < map->count; i++)
            if (!(found >> i & 1) && slice_eq_nocase(map->at[i].name, p.name) &&
                patterns_match(&map->at[i], p.value, true))
                found |= UINT64_C(1) << i;
    return found;
}

/* What cannot be read counts as a match. */
static bool denied(const struct pattern_map *map, struct slice query)
{
    bool plus = slice_find(query, '+') >= 0, semicolons = slice_find(query, ';') >= 0;
    bool escapes = slice_find(query, '%') >= 0;
    uint64_t all = UINT64_MAX >> (CAP_NAMED_PATTERNS - map->count), found = 0;
    if (query.len > CAP_TARGET_BYTES)
        return true;
    for (unsigned i = 0; i < 8; i++) {
        struct reading how = {.plus = i & 1, .semicolons = i & 2, .fully = i & 4};
        if ((!how.plus || plus) && (!how.semicolons || semicolons) && (!how.fully || escapes))
            found |= forbidden_read(map, query, how);
    }
    return found == all;
}

static enum reason judge(const struct policy_rule *rule, const void *what, struct judged *q)
{
    struct slice query = q->target->has_query ? q->target->query : slice_of(NULL, 0);
    bool fits = rule->deny ? denied(what, query) : allowed(what, query);
    return fits ? REASON_NONE : REASON_QUERY_NOT_ALLOWED;
}

static int show(const void *what, struct buf *out)
{
    return patterns_show(what, out);
}

static void json(const void *what, struct json *j)
{
    json_key(j, "query");
    patterns_json(what, j);
}

const struct cond cond_query = {.judge = judge, .show = show, .json = json};
