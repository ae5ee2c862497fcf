/* cargo's configuration (registries_internal.h).
 *
 * Of TOML 1.0 only as much is read as it needs: tables, keys, texts; of arrays, numbers and dates nothing is
 * kept.  What is not understood is an error with its line, never a guess. */
#include "app/registries_internal.h"

enum { TOML_ENTRIES = 256, TOML_DEPTH = 8, REPLACEMENTS = 8 };

struct toml_entry {
    struct slice path, value; /* "source.crates-io.replace-with", "mirror" */
    unsigned line;
};

struct toml {
    struct place *place;
    struct err *e;
    struct slice rest;
    unsigned line;
    struct arena arena;
    struct slice table; /* the path that the last [header] opened */
    struct toml_entry entries[TOML_ENTRIES];
    size_t count;
};

static int toml_wrong(const struct toml *t, const char *what)
{
    return place_wrong(t->place, t->line, t->e, "%s", what);
}

static char toml_peek(const struct toml *t)
{
    return t->rest.len ? t->rest.ptr[0] : '\0';
}

static void toml_step(struct toml *t, size_t n)
{
    for (size_t i = 0; i < n && i < t->rest.len; i++)
        t->line += t->rest.ptr[i] == '\n';
    t->rest = slice_skip(t->rest, n);
}

static void toml_blanks(struct toml *t)
{
    while (t->rest.len && strchr(" \t\r", t->rest.ptr[0]) && t->rest.ptr[0])
        toml_step(t, 1);
}

/* Blanks, comments and ends of lines. */
static void toml_gap(struct toml *t)
{
    for (;;) {
        toml_blanks(t);
        if (toml_peek(t) == '#')
            while (t->rest.len && t->rest.ptr[0] != '\n')
                toml_step(t, 1);
        if (toml_peek(t) != '\n')
            return;
        toml_step(t, 1);
    }
}

/* A string with one or three quotes; escapes stay as they are, since no URL needs one. */
static int toml_string(struct toml *t, struct slice *ret)
{
    char q = toml_peek(t);
    size_t n = t->rest.len >= 3 && t->rest.ptr[1] == q && t->rest.ptr[2] == q ? 3 : 1;
    size_t i = n;
    for (; i + n <= t->rest.len; i++) {
        if (n == 1 && t->rest.ptr[i] == '\n')
            break;
        if (q == '"' && t->rest.ptr[i] == '\\') {
            i++;
            continue;
        }
        if (t->rest.ptr[i] == q && (n == 1 || (t->rest.ptr[i + 1] == q && t->rest.ptr[i + 2] == q))) {
            *ret = slice_of(t->rest.ptr + n, i - n);
            toml_step(t, i + n);
            return 0;
        }
    }
    return toml_wrong(t, "a text without its end");
}

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static int toml_key_part(struct toml *t, struct slice *ret)
{
    toml_blanks(t);
    if (toml_peek(t) == '"' || toml_peek(t) == '\'')
        return toml_string(t, ret);
    size_t len = 0;
    while (len < t->rest.len && is_bare(t->rest.ptr[len]))
        len++;
    if (len == 0)
        return toml_wrong(t, "a key is expected");
    *ret = slice_first(t->rest, len);
    toml_step(t, len);
    return 0;
}

/* a.b."c" below `above`, joined with dots. */
static int toml_key(struct toml *t, struct slice above, struct slice *ret)
{
    struct slice path = above, part;
    for (;;) {
        if (toml_key_part(t, &part) < 0)
            return -1;
        char *joined =
            arena_printf(&t->arena, "%.*s%s%.*s", SLICE_FMT(path), path.len ? "." : "", SLICE_FMT(part));
        if (!joined)
            return toml_wrong(t, "too much text");
        path = slice_str(joined);
        toml_blanks(t);
        if (toml_peek(t) != '.')
            break;
        toml_step(t, 1);
    }
    *ret = path;
    return 0;
}

static int toml_note(struct toml *t, struct slice path, struct slice value)
{
    if (!slice_starts(path, SLICE("source.")) && !slice_starts(path, SLICE("registries.")))
        return 0;
    if (t->count == TOML_ENTRIES)
        return toml_wrong(t, "too many sources and registries");
    t->entries[t->count++] = (struct toml_entry){path, value, t->line};
    return 0;
}

static int toml_value(struct toml *t, struct slice path, unsigned depth);

static int toml_pair(struct toml *t, struct slice above, unsigned depth)
{
    struct slice path;
    if (toml_key(t, above, &path) < 0)
        return -1;
    if (toml_peek(t) != '=')
        return toml_wrong(t, "`=` is missing");
    toml_step(t, 1);
    toml_blanks(t);
    return toml_value(t, path, depth);
}

/* [ ... ] or { ... }: of arrays nothing is kept. */
static int toml_group(struct toml *t, struct slice path, unsigned depth)
{
    bool table = toml_peek(t) == '{';
    if (depth == TOML_DEPTH)
        return toml_wrong(t, "nested too deeply");
    toml_step(t, 1);
    for (;;) {
        toml_gap(t);
        if (toml_peek(t) == (table ? '}' : ']')) {
            toml_step(t, 1);
            return 0;
        }
        if ((table ? toml_pair(t, path, depth + 1) : toml_value(t, SLICE(""), depth + 1)) < 0)
            return -1;
        toml_gap(t);
        if (toml_peek(t) == ',')
            toml_step(t, 1);
        else if (toml_peek(t) != (table ? '}' : ']'))
            return toml_wrong(t, "a list or table without its end");
    }
}

static int toml_value(struct toml *t, struct slice path, unsigned depth)
{
    struct slice text;
    char c = toml_peek(t);
    if (c == '[' || c == '{')
        return toml_group(t, path, depth);
    if (c == '"' || c == '\'')
        return toml_string(t, &text) < 0 ? -1 : toml_note(t, path, text);
    size_t len = 0;
    while (len < t->rest.len && !strchr(",]}#\n\r", t->rest.ptr[len]))
        len++;
    if (len == 0)
        return toml_wrong(t, "a value is missing");
    toml_step(t, len);
    return 0;
}

static int toml_header(struct toml *t)
{
    bool list = t->rest.len > 1 && t->rest.ptr[1] == '[';
    toml_step(t, list ? 2 : 1);
    if (toml_key(t, SLICE(""), &t->table) < 0)
        return -1;
    if (t->rest.len < (list ? 2u : 1u) || t->rest.ptr[0] != ']' || (list && t->rest.ptr[1] != ']'))
        return toml_wrong(t, "a header without `]`");
    toml_step(t, list ? 2 : 1);
    return 0;
}

static int toml_read(struct toml *t)
{
    for (;;) {
        toml_gap(t);
        if (!t->rest.len)
            return 0;
        if ((toml_peek(t) == '[' ? toml_header(t) : toml_pair(t, t->table, 0)) < 0)
            return -1;
        toml_blanks(t);
        if (t->rest.len && toml_peek(t) != '\n' && toml_peek(t) != '#')
            return toml_wrong(t, "something follows the value");
    }
}

/* The value of PREFIX.NAME.KEY. */
static const struct toml_entry *toml_find(const struct toml *t, const char *prefix, struct slice name,
                                          const char *key)
{
    for (size_t i = 0; i < t->count; i++) {
        struct slice path = t->entries[i].path, before = slice_str(prefix), after = slice_str(key);
        if (path.len == before.len + name.len + after.len && slice_starts(path, before) &&
            slice_ends(path, after) && slice_eq(slice_first(slice_skip(path, before.len), name.len), name))
            return &t->entries[i];
    }
    return NULL;
}

static struct slice index_url(struct slice value)
{
    return slice_starts(value, SLICE("sparse+")) ? slice_skip(value, 7) : value;
}

/* What crates.io is replaced with, over several steps.  A folder on disk fills the slot with nothing. */
static int add_replacement(struct toml *t)
{
    struct slice name = SLICE("crates-io");
    const struct toml_entry *next;
    for (unsigned i = 0; (next = toml_find(t, "source.", name, ".replace-with")); i++) {
        if (i == REPLACEMENTS)
            return place_wrong(t->place, next->line, t->e, "sources replace each other in a circle");
        name = next->value;
    }
    const struct toml_entry *at = toml_find(t, "source.", name, ".registry");
    if (!at)
        at = toml_find(t, "registries.", name, ".index");
    if (!at && slice_eq(name, SLICE("crates-io")))
        return 0;
    return place_add(t->place, SLICE("crates-io"), at ? index_url(at->value) : SLICE(""), at ? at->line : 0,
                     t->e);
}

int read_cargo(struct place *p, struct slice text, struct err *e)
{
    struct toml t = {.place = p, .e = e, .rest = text, .line = 1, .arena = ARENA_INIT(1 << 20)};
    int result = toml_read(&t) < 0 ? -1 : add_replacement(&t);
    for (size_t i = 0; result == 0 && i < t.count; i++)
        if (slice_starts(t.entries[i].path, SLICE("registries.")) &&
            slice_ends(t.entries[i].path, SLICE(".index")))
            result = place_add(p, t.entries[i].path, index_url(t.entries[i].value), t.entries[i].line, e);
    arena_free(&t.arena);
    return result;
}

int read_cargo_url(struct place *p, struct slice text, struct err *e)
{
    return place_add(p, slice_str(p->slot), index_url(slice_trim(text)), 0, e);
}
