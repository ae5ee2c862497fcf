/* paths (globs) and path_regex: either may match.  An allow rule must write one of them. */
#include "policy/escapes.h"
#include "policy/glob.h"
#include "policy/patterns.h"

struct glob {
    struct slice shown;   /* canonical */
    struct slice pattern; /* the same; in a deny rule in lower case */
    struct slice decoded; /* in a deny rule: without any escape, as judged.decoded */
};

struct expression {
    struct slice pattern;
    struct regex *regex;
};

struct paths {
    struct glob *globs;
    size_t glob_count;
    struct expression *regexes;
    size_t regex_count;
};

/* Both keys write into one condition. */
static struct paths *get_paths(struct schema_ctx *ctx, const struct node *at, struct policy_rule *rule)
{
    if (rule->cond[PART_PATH])
        return (struct paths *)rule->cond[PART_PATH];
    struct paths *p = arena_new(ctx->arena, struct paths);
    if (!p)
        schema_fail(ctx, at, "out of memory");
    rule->cond[PART_PATH] = p;
    return p;
}

static int fold_glob(struct schema_ctx *ctx, struct glob *g)
{
    char *lower = arena_alloc(ctx->arena, g->pattern.len + 1);
    char *decoded = arena_alloc(ctx->arena, g->pattern.len + 1);
    if (!lower || !decoded)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    for (size_t i = 0; i < g->pattern.len; i++)
        lower[i] = ascii_lower(g->pattern.ptr[i]);
    g->decoded = slice_of(decoded, escapes_fully(g->pattern, decoded));
    g->pattern = slice_of(lower, g->pattern.len);
    return 0;
}

static int read_glob(struct schema_ctx *ctx, const struct schema_item *item, bool deny, struct glob *ret)
{
    struct problems *p = ctx->problems;
    struct http_problem problem;
    struct glob g;
    if (slice_find(item->text, '?') >= 0)
        return problems_add(p, item->line, item->column,
                            "a path has no \"?\": it is compared without the query");
    if (item->text.ptr[0] != '/')
        return problems_add(p, item->line, item->column, "a path starts with \"/\"");
    if (http_pattern_canonical(ctx->arena, item->text, &g.pattern, &problem) < 0)
        return problems_add(p, item->line, item->column, "no request can have this path: %s", problem.detail);
    const char *wrong = glob_check(g.pattern);
    if (wrong)
        return problems_add(p, item->line, item->column, "%s", wrong);
    g.shown = g.pattern;
    if (deny && fold_glob(ctx, &g) < 0)
        return -1;
    *ret = g;
    return 0;
}

/* Room for the texts of a key, in the condition that both keys write into. */
static struct paths *read_list(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                               struct policy_rule *rule, size_t size, struct schema_texts *ret, void **ret_at)
{
    struct paths *paths = get_paths(ctx, value, rule);
    if (!paths || schema_texts(ctx, key, value, ret) < 0)
        return NULL;
    *ret_at = arena_array(ctx->arena, ret->count + 1, size);
    if (!*ret_at)
        schema_fail(ctx, value, "out of memory");
    return *ret_at ? paths : NULL;
}

int cond_path_read_globs(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                         void *field)
{
    struct policy_rule *rule = field;
    struct schema_texts list;
    void *at;
    struct paths *paths = read_list(ctx, key, value, rule, sizeof *paths->globs, &list, &at);
    if (!paths)
        return -1;
    paths->globs = at;
    paths->glob_count = list.count;
    int result = 0;
    for (size_t i = 0; i < list.count; i++)
        if (read_glob(ctx, &list.at[i], rule->deny, &paths->globs[i]) < 0)
            result = -1;
    return result;
}

int cond_path_read_regex(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                         void *field)
{
    struct policy_rule *rule = field;
    struct schema_texts list;
    void *at;
    struct paths *paths = read_list(ctx, key, value, rule, sizeof *paths->regexes, &list, &at);
    if (!paths)
        return -1;
    paths->regexes = at;
    paths->regex_count = list.count;
    int result = 0;
    for (size_t i = 0; i < list.count; i++) {
        paths->regexes[i].pattern = list.at[i].text;
        if (patterns_compile(ctx, &list.at[i], rule, &paths->regexes[i].regex) < 0)
            result = -1;
    }
    return result;
}

static int finish(struct schema_ctx *ctx, const struct node *at, struct policy_rule *rule)
{
    if (rule->deny || rule->cond[PART_PATH])
        return 0;
    return schema_fail(ctx, at, "an allow rule has `paths`; a whole host is written `paths: [/**]`");
}

/* Before the first star, without the "/" there: a `**` segment also stands for no segment at all. */
static struct slice literal_start(struct slice pattern)
{
    ptrdiff_t star = slice_find(pattern, '*');
    struct slice start = slice_first(pattern, star < 0 ? pattern.len : (size_t)star);
    if (star >= 0 && slice_ends(start, SLICE("/")))
        start.len--;
    return start;
}

/* What every path begins with that one of them may match. */
static struct slice common_start(const struct paths *paths)
{
    struct slice common = literal_start(paths->globs[0].pattern);
    for (size_t i = 1; i < paths->glob_count; i++) {
        struct slice other = literal_start(paths->globs[i].pattern);
        size_t n = 0;
        while (n < common.len && n < other.len && common.ptr[n] == other.ptr[n])
            n++;
        common.len = n;
    }
    return common;
}

/* The decoded form of the path, made once a request. */
static struct slice decoded_path(struct judged *q)
{
    if (q->decoded_len == SIZE_MAX)
        q->decoded_len = escapes_fully(q->target->path, q->decoded);
    return slice_of(q->decoded, q->decoded_len);
}

static bool allowed(const struct paths *paths, struct slice path)
{
    for (size_t i = 0; i < paths->glob_count; i++)
        if (glob_match(paths->globs[i].pattern, path, false))
            return true;
    for (size_t i = 0; i < paths->regex_count; i++)
        if (regex_match(paths->regexes[i].regex, path) == REGEX_MATCH)
            return true;
    return false;
}

/* What servlet containers compare of a segment: "admin;v=1" is their "admin" (RFC 3986 3.3). */
static struct slice without_parameters(struct slice segment)
{
    ptrdiff_t semicolon = slice_find(segment, ';');
    return semicolon < 0 ? segment : slice_first(segment, (size_t)semicolon);
}

/* Without empty, "." and ".." segments, as a server sees it that resolves them after decoding; `bare`: without
 * parameters too. */
static size_t resolve(struct slice path, bool bare, char *ret)
{
    size_t n = 0;
    struct slice rest = slice_skip(path, 1), segment;
    bool folder = false; /* the path ends in a slash */
    while (slice_next(&rest, '/', &segment)) {
        segment = bare ? without_parameters(segment) : segment;
        folder = segment.len == 0 || slice_eq(segment, SLICE(".")) || slice_eq(segment, SLICE(".."));
        if (slice_eq(segment, SLICE("..")))
            while (n > 0 && ret[--n] != '/')
                ;
        if (folder)
            continue;
        ret[n++] = '/';
        memcpy(ret + n, segment.ptr, segment.len);
        n += segment.len;
    }
    if (folder || n == 0)
        ret[n++] = '/';
    return n;
}

static bool denied_decoded(const struct paths *paths, struct slice form)
{
    for (size_t i = 0; i < paths->glob_count; i++)
        if (glob_match(paths->globs[i].decoded, form, false))
            return true;
    for (size_t i = 0; i < paths->regex_count; i++)
        if (regex_match(paths->regexes[i].regex, form) != REGEX_NO_MATCH)
            return true;
    return false;
}

static bool denied_resolved(const struct paths *paths, struct slice decoded, bool bare)
{
    char resolved[CAP_TARGET_BYTES];
    return denied_decoded(paths, slice_of(resolved, resolve(decoded, bare, resolved)));
}

static bool needs_resolving(struct slice path)
{
    return memmem(path.ptr, path.len, "//", 2) || memmem(path.ptr, path.len, "/.", 2);
}

/* As written, decoded, resolved or without parameters, whatever the case; what cannot be found out counts as a match. */
static bool denied(const struct paths *paths, struct judged *q)
{
    struct slice path = q->target->path;
    if (path.len > sizeof q->decoded)
        return true;
    for (size_t i = 0; i < paths->glob_count; i++)
        if (glob_match(paths->globs[i].pattern, path, true))
            return true;
    for (size_t i = 0; i < paths->regex_count; i++)
        if (regex_match(paths->regexes[i].regex, path) != REGEX_NO_MATCH)
            return true;
    struct slice decoded = decoded_path(q);
    return denied_decoded(paths, decoded) || (needs_resolving(decoded) && denied_resolved(paths, decoded, false)) ||
           (slice_find(decoded, ';') >= 0 && denied_resolved(paths, decoded, true));
}

static enum reason judge(const struct policy_rule *rule, const void *what, struct judged *q)
{
    bool fits = rule->deny ? denied(what, q) : allowed(what, q->target->path);
    return fits ? REASON_NONE : REASON_PATH_NOT_ALLOWED;
}

static int show_one(const char *before, struct slice pattern, bool first, struct buf *out)
{
    return (!first && buf_append(out, SLICE(", ")) < 0) || buf_append(out, slice_str(before)) < 0
               ? -1
               : buf_append(out, pattern);
}

static int show(const void *what, struct buf *out)
{
    const struct paths *paths = what;
    if (paths->glob_count + paths->regex_count == 0)
        return buf_append(out, SLICE("none"));
    for (size_t i = 0; i < paths->glob_count; i++)
        if (show_one("", paths->globs[i].shown, i == 0, out) < 0)
            return -1;
    for (size_t i = 0; i < paths->regex_count; i++)
        if (show_one("regex ", paths->regexes[i].pattern, i + paths->glob_count == 0, out) < 0)
            return -1;
    return 0;
}

static void json(const void *what, struct json *j)
{
    const struct paths *paths = what;
    json_key(j, "paths");
    json_array(j);
    for (size_t i = 0; i < paths->glob_count; i++)
        json_slice(j, paths->globs[i].shown);
    json_array_end(j);
    json_key(j, "path_regex");
    json_array(j);
    for (size_t i = 0; i < paths->regex_count; i++)
        json_slice(j, paths->regexes[i].pattern);
    json_array_end(j);
}

static bool covered_glob(const struct paths *wide, struct slice glob)
{
    for (size_t i = 0; i < wide->glob_count; i++)
        if (glob_covers(wide->globs[i].shown, glob))
            return true;
    return false;
}

static bool has_regex(const struct paths *paths, struct slice pattern)
{
    for (size_t i = 0; i < paths->regex_count; i++)
        if (slice_eq(paths->regexes[i].pattern, pattern))
            return true;
    return false;
}

static bool covers(const void *wide, const void *narrow)
{
    const struct paths *w = wide, *n = narrow;
    bool all = covered_glob(w, SLICE("/**"));
    for (size_t i = 0; i < n->glob_count; i++)
        if (!covered_glob(w, n->globs[i].shown))
            return false;
    for (size_t i = 0; i < n->regex_count; i++)
        if (!all && !has_regex(w, n->regexes[i].pattern))
            return false;
    return true;
}

struct slice cond_path_glob(const struct policy_rule *r, size_t i)
{
    const struct paths *paths = r->cond[PART_PATH];
    return paths && i < paths->glob_count ? paths->globs[i].shown : slice_str(NULL);
}

size_t cond_path_regexes(const struct policy_rule *r)
{
    const struct paths *paths = r->cond[PART_PATH];
    return paths ? paths->regex_count : 0;
}

/* Whoever matches paths that have so little in common was written for any. */
static bool matches_any(const struct regex *regex)
{
    static const struct slice unlike[] = {SLICE("/"), SLICE("/0"), SLICE("/Zq/~/x.y-7_/"), SLICE("/a/b/c/d%20e")};
    for (size_t i = 0; i < ARRAY_LEN(unlike); i++)
        if (regex_match(regex, unlike[i]) != REGEX_MATCH)
            return false;
    return true;
}

bool cond_path_any_regex(const struct policy_rule *r)
{
    const struct paths *paths = r->cond[PART_PATH];
    for (size_t i = 0; paths && i < paths->regex_count; i++)
        if (matches_any(paths->regexes[i].regex))
            return true;
    return false;
}

/* Those that are common, and cheap to compare. */
static bool say_one(struct slice pattern, struct rule_gist *line)
{
    struct slice start = literal_start(pattern), rest = slice_skip(pattern, start.len);
    if (rest.len == 0)
        return gist_set_path(line, GIST_EXACT, start);
    return slice_eq(rest, SLICE("/**")) && gist_set_path(line, GIST_BELOW, start);
}

static bool say_all(const struct paths *paths, struct rule_gist *line)
{
    char text[GIST_TEXT_BYTES];
    size_t len = 0;
    for (size_t i = 0; i < paths->glob_count; i++) {
        struct slice pattern = paths->globs[i].pattern;
        if (pattern.len + 1 > sizeof text - len)
            return false;
        if (i)
            text[len++] = '\n';
        memcpy(text + len, pattern.ptr, pattern.len);
        len += pattern.len;
    }
    return gist_set_path(line, GIST_GLOBS, slice_of(text, len));
}

/* A deny rule looks at more than the path as it is written. */
static bool gist(const struct policy_rule *rule, const void *what, struct rule_gist *line)
{
    const struct paths *paths = what;
    if (rule->deny || paths->glob_count == 0 || paths->regex_count)
        return false;
    if ((paths->glob_count == 1 && say_one(paths->globs[0].pattern, line)) || say_all(paths, line))
        return true;
    (void)gist_set_path(line, GIST_STARTS, slice_first(common_start(paths), GIST_TEXT_BYTES));
    return false;
}

const struct cond cond_path = {
    .finish = finish, .judge = judge, .show = show, .json = json, .covers = covers, .gist = gist};
