#include "policy/sources.h"

#include "base/crypto.h"
#include "policy/preset.h"
#include "policy/source_keys.h"

enum { NAME_BYTES = 4095, SEEN_BYTES = 1 << 20 };

struct walk {
    struct schema_ctx *ctx;
    const struct policy_source *from;
    struct sources *all;
    const struct source *stack[SOURCES_DEPTH + 1]; /* from the policy to the file that is read */
    unsigned depth;
};

/* An entry of `extends`: what it names. */
struct entry {
    const struct node *at;
    enum origin_kind kind;
    const char *name; /* a file's resolved path, or a preset's name */
    struct slice text;
};

/* --- texts --- */

static int note_text(struct walk *w, enum policy_text_kind kind, const char *name, struct slice text)
{
    static const char *const kinds[] = {"file", "preset", "registries"}; /* as enum policy_text_kind */
    uint8_t digest[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];
    if (crypto_sha256(text, digest) < 0)
        return -1;
    crypto_hex(digest, sizeof digest, hex);
    return buf_printf(&w->all->seen, "%s %s %s\n", kinds[kind], name, hex);
}

static int look_up(struct walk *w, enum policy_text_kind kind, const char *name, struct slice *ret,
                   struct err *e)
{
    struct slice text;
    if (!w->from->lookup)
        return err_set(e, "`extends` is not possible here");
    if (w->from->lookup(w->from->lookup_arg, kind, name, &text, e) < 0)
        return -1;
    if (note_text(w, kind, name, text) < 0)
        return err_set(e, "out of memory");
    *ret = text;
    return 0;
}

static int from_tool(void *arg, const char *tool, struct slice *ret, struct err *e)
{
    return look_up(arg, POLICY_TEXT_REGISTRIES, tool, ret, e);
}

/* --- names --- */

static bool is_path(struct slice text)
{
    return slice_find(text, '/') >= 0 || slice_ends(text, SLICE(".yaml")) || slice_ends(text, SLICE(".yml"));
}

/* Drops the last segment of a path that is not "..": "a/b" becomes "a"; false where there is none. */
static bool drop_segment(struct buf *path)
{
    struct slice s = buf_slice(path);
    const char *slash = s.len ? memrchr(s.ptr, '/', s.len) : NULL;
    size_t start = slash ? (size_t)(slash - s.ptr) + 1 : 0;
    struct slice last = slice_skip(s, start);
    if (last.len == 0 || slice_eq(last, SLICE("..")))
        return false;
    buf_truncate(path, start > 1 ? start - 1 : start);
    return true;
}

static int add_segments(struct buf *path, struct slice rest)
{
    struct slice segment;
    while (slice_next(&rest, '/', &segment)) {
        struct slice so_far = buf_slice(path);
        if (segment.len == 0 || slice_eq(segment, SLICE(".")))
            continue;
        if (slice_eq(segment, SLICE("..")) && (drop_segment(path) || slice_eq(so_far, SLICE("/"))))
            continue;
        if ((so_far.len && !slice_ends(so_far, SLICE("/")) && buf_append(path, SLICE("/")) < 0) ||
            buf_append(path, segment) < 0)
            return -1;
    }
    return 0;
}

/* `text` from the folder that `file` lies in. */
static const char *resolve(struct arena *arena, const char *file, struct slice text)
{
    AUTO_BUF path = BUF_INIT(NAME_BYTES);
    const char *slash = strrchr(file, '/');
    struct slice folder = slice_of(file, slash ? (size_t)(slash - file) + 1 : 0);
    bool absolute = text.ptr[0] == '/' || folder.len == 0 ? text.ptr[0] == '/' : file[0] == '/';
    if ((absolute && buf_append(&path, SLICE("/")) < 0) ||
        (text.ptr[0] != '/' && add_segments(&path, folder) < 0) || add_segments(&path, text) < 0)
        return NULL;
    return arena_slice(arena, buf_slice(&path)).ptr;
}

/* --- entries --- */

static int read_name(struct walk *w, const struct source *by, const struct node *at, struct entry *ret)
{
    const struct node *name = at->kind == NODE_MAPPING ? at->first ? at->first->key : NULL : at;
    struct entry entry = {.at = at, .kind = ORIGIN_PRESET};
    struct slice text;
    if (!name || name->kind != NODE_SCALAR)
        return schema_mismatch(w->ctx, "extends", at, "a list of presets and ./files.yaml");
    if (schema_scalar(w->ctx, "extends", name, &text) < 0)
        return -1;
    if (is_path(text))
        entry.kind = ORIGIN_FILE;
    if (entry.kind == ORIGIN_FILE && (at->kind == NODE_MAPPING || by->origin->kind == ORIGIN_PRESET))
        return schema_fail(w->ctx, name,
                           at->kind == NODE_MAPPING ? "a file takes no arguments: only presets do"
                                                    : "a preset extends presets only");
    if (entry.kind == ORIGIN_PRESET && !preset_name_fits(text))
        return schema_fail(w->ctx, name,
                           "\"%.*s\" is neither a preset's name nor a file such as ./other.yaml",
                           SLICE_FMT(slice_first(text, 64)));
    entry.name = entry.kind == ORIGIN_FILE ? resolve(w->ctx->arena, by->origin->file, text)
                                           : arena_slice(w->ctx->arena, text).ptr;
    if (!entry.name || strlen(entry.name) == 0)
        return schema_fail(w->ctx, name, "the path is too long");
    *ret = entry;
    return 0;
}

static bool is_source(const struct source *s, const struct entry *entry)
{
    const char *name = s->origin->kind == ORIGIN_PRESET ? s->origin->preset : s->origin->file;
    bool as_file = s->origin->kind != ORIGIN_PRESET;
    return as_file == (entry->kind == ORIGIN_FILE) && strcmp(name, entry->name) == 0;
}

static int check_place(struct walk *w, const struct entry *entry)
{
    for (unsigned i = 0; i < w->depth; i++)
        if (is_source(w->stack[i], entry))
            return schema_fail(w->ctx, entry->at, "%s extends itself%s%s", entry->name,
                               i + 1 < w->depth ? " by way of " : "",
                               i + 1 < w->depth ? w->stack[i + 1]->origin->file : "");
    if (w->depth > SOURCES_DEPTH)
        return schema_fail(w->ctx, entry->at, "files extend each other more than %d deep", SOURCES_DEPTH);
    return w->all->count == SOURCES_MAX
               ? schema_fail(w->ctx, entry->at, "a policy extends at most %d files", SOURCES_MAX - 1)
               : 0;
}

static bool is_bare(const struct entry *entry)
{
    return entry->at->kind == NODE_SCALAR;
}

static bool is_there(const struct walk *w, const struct entry *entry)
{
    for (const struct source *s = w->all->first; s; s = s->next)
        if (is_source(s, entry) && (entry->kind == ORIGIN_FILE || (s->bare && is_bare(entry))))
            return true;
    return false;
}

/* --- sources --- */

static unsigned count_preset(const struct walk *w, const char *name)
{
    unsigned n = 0;
    for (const struct source *s = w->all->first; s; s = s->next)
        n += s->origin->kind == ORIGIN_PRESET && strcmp(s->origin->preset, name) == 0;
    return n;
}

static const char *shown_name(const struct walk *w, enum origin_kind kind, const char *name)
{
    unsigned n = kind == ORIGIN_PRESET ? count_preset(w, name) : 0;
    if (kind != ORIGIN_PRESET)
        return arena_slice(w->ctx->arena, slice_str(name)).ptr;
    return n ? arena_printf(w->ctx->arena, "preset:%s#%u", name, n + 1)
             : arena_printf(w->ctx->arena, "preset:%s", name);
}

/* `addresses` of a preset's entry: which internal networks its hosts may lead to, by the policy's own word.
 */
static int read_addresses(struct walk *w, const struct source *by, const struct entry *entry,
                          struct policy_nets *ret)
{
    const struct schema_key key = {"addresses"};
    const struct node *value =
        entry->at->kind == NODE_MAPPING ? node_get(entry->at, SLICE("addresses")) : NULL;
    *ret = by->origin->kind == ORIGIN_PRESET ? by->origin->addresses : (struct policy_nets){NULL, 0};
    if (!value)
        return 0;
    if (by->origin->kind != ORIGIN_TOP)
        return schema_fail(w->ctx, value->key, "`addresses` counts only in the policy itself");
    return nets_read(w->ctx, &key, value, ret);
}

static struct source *new_source(struct walk *w, enum origin_kind kind, const char *name)
{
    struct source *s = arena_new(w->ctx->arena, struct source);
    struct policy_origin *o = arena_new(w->ctx->arena, struct policy_origin);
    if (!s || !o)
        return NULL;
    *o = (struct policy_origin){.file = shown_name(w, kind, name), .kind = kind, .preset = name};
    if (!o->file)
        return NULL;
    s->origin = o;
    s->keys = SOURCE_KEYS_DEFAULT;
    *w->all->tail = s;
    w->all->tail = &s->next;
    w->all->count++;
    return s;
}

static int read_file(struct walk *w, struct source *s, struct slice text)
{
    struct schema_ctx *ctx = w->ctx;
    if (document_parse(text, ctx->problems, &s->doc) < 0)
        return -1;
    return s->doc->root ? source_keys_read(ctx, s->doc->root, s->origin->kind, &s->keys) : 0;
}

/* Its declarations, the values that `entry` gives them, and the rules that come of both. */
static int bind_preset(struct walk *w, struct source *s, const struct entry *entry, const char *by_file)
{
    struct problems *problems = w->ctx->problems;
    struct source_keys *k = &s->keys;
    struct preset preset;
    if (preset_declare(w->ctx, s->origin->preset, k->parameters, k->main, &preset) < 0)
        return -1;
    problems->file = by_file;
    int bound = preset_bind(w->ctx, &preset, entry->at, from_tool, w);
    problems->file = s->origin->file;
    if (bound < 0)
        return -1;
    s->origin->values = preset_describe(w->ctx->arena, &preset);
    int allow = preset_expand(w->ctx, &preset, k->allow, &k->allow);
    int deny = preset_expand(w->ctx, &preset, k->deny, &k->deny);
    return allow < 0 || deny < 0 ? -1 : preset_expand(w->ctx, &preset, k->extends, &k->extends);
}

/* Rules that are not made yet are not read. */
static int apply_preset(struct walk *w, struct source *s, const struct entry *entry, const char *by_file)
{
    int result = bind_preset(w, s, entry, by_file);
    if (result < 0)
        s->keys.allow = s->keys.deny = s->keys.extends = NULL;
    return result;
}

static int read_entries(struct walk *w, struct source *s);

/* `entry` is NULL for the policy itself. */
static int read_source(struct walk *w, struct source *s, struct slice text, const struct entry *entry)
{
    struct problems *problems = w->ctx->problems;
    const char *by_file = problems->file;
    problems->file = s->origin->file;
    int result = read_file(w, s, text);
    if (result == 0 && s->origin->kind == ORIGIN_PRESET)
        result = apply_preset(w, s, entry, by_file);
    w->stack[w->depth++] = s;
    if (s->keys.extends && read_entries(w, s) < 0)
        result = -1;
    w->depth--;
    problems->file = by_file;
    return result;
}

static int read_entry(struct walk *w, const struct source *by, const struct node *at)
{
    struct entry entry = {.at = at};
    struct err e;
    struct policy_nets addresses;
    if (read_name(w, by, at, &entry) < 0 || check_place(w, &entry) < 0 ||
        read_addresses(w, by, &entry, &addresses) < 0)
        return -1;
    if (is_there(w, &entry))
        return 0;
    enum policy_text_kind kind = entry.kind == ORIGIN_FILE ? POLICY_TEXT_FILE : POLICY_TEXT_PRESET;
    if (look_up(w, kind, entry.name, &entry.text, &e) < 0)
        return schema_fail(w->ctx, at, "%s", e.text);
    struct source *s = new_source(w, entry.kind, entry.name);
    if (!s)
        return schema_fail(w->ctx, at, "out of memory");
    s->bare = is_bare(&entry);
    s->origin->addresses = addresses;
    return read_source(w, s, entry.text, &entry);
}

static int read_entries(struct walk *w, struct source *s)
{
    const struct node *list = s->keys.extends;
    if (list->kind != NODE_SEQUENCE)
        return node_is_empty(list) ? 0 : read_entry(w, s, list);
    int result = 0;
    NODE_FOREACH(at, list)
    {
        if (read_entry(w, s, at) < 0)
            result = -1;
    }
    return result;
}

/* Behind everything else: where its rules stand makes no difference, since a deny rule wins. */
static int read_site(struct walk *w)
{
    const struct policy_source *from = w->from;
    const char *name = arena_printf(w->ctx->arena, "site:%s", from->site_file);
    struct source *s = name ? new_source(w, ORIGIN_SITE, name) : NULL;
    if (!s || note_text(w, POLICY_TEXT_FILE, name, from->site_text) < 0)
        return problems_add(w->ctx->problems, 0, 0, "out of memory");
    return read_source(w, s, from->site_text, NULL);
}

int sources_read(struct schema_ctx *ctx, const struct policy_source *from, struct sources *ret)
{
    *ret = (struct sources){.seen = BUF_INIT(SEEN_BYTES)};
    ret->tail = &ret->first;
    struct walk w = {.ctx = ctx, .from = from, .all = ret};
    struct source *top = new_source(&w, ORIGIN_TOP, from->file);
    if (!top)
        return problems_add(ctx->problems, 0, 0, "out of memory");
    int result = read_source(&w, top, from->text, NULL);
    if (from->site_file && read_site(&w) < 0)
        result = -1;
    return result;
}

void sources_clear(struct sources *s)
{
    for (struct source *at = s->first; at; at = at->next)
        document_free(at->doc);
    buf_free(&s->seen);
    *s = (struct sources){0};
}
