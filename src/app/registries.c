#include "app/registries_internal.h"

#include "base/caps.h"
#include "base/io.h"
#include "http/target.h"

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_BYTES = 1 << 20, FILES_MAX = 256, ARENA_BYTES = 4 << 20, URL_BYTES = 2048 };

enum place_kind { PLACE_VARIABLE, PLACE_FOLDER, PLACE_FILE, PLACE_HOME, PLACE_ROOT, PLACE_DEFAULT };

struct row {
    const char *tool;
    enum place_kind kind;
    const char *name, *path;
    registry_format *read;
    const char *slot;
};

static const struct row rows[] = {
#define PLACE(tool, kind, name, path, format, slot) {#tool, PLACE_##kind, name, path, read_##format, slot},
#include "app/registries.def"
#undef PLACE
};

struct slot {
    struct slice name;
    unsigned rank; /* of the place that filled it */
};

struct finder {
    const struct registries_world *world;
    const struct row *row;
    struct registries *found;
    struct slot slots[REGISTRIES_MAX];
    size_t slot_count;
};

void registries_free(struct registries *r)
{
    if (!r)
        return;
    arena_free(&r->arena);
    free(r);
}

void registries_here(struct registries_world *ret)
{
    *ret = (struct registries_world){"", getenv("HOME"), (const char *const *)environ};
}

/* ---- adding ---- */

int place_wrong(const struct place *p, unsigned line, struct err *e, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return p->is_file && line ? err_set(e, "%s:%u: %s", p->shown, line, text)
                              : err_set(e, "%s: %s", p->shown, text);
}

/* The first place that names a slot fills it; the same place may name it several times. */
static bool slot_is_taken(const struct place *p, struct slice slot)
{
    const struct finder *f = p->finder;
    if (slot.len == 0)
        return false;
    for (size_t i = 0; i < f->slot_count; i++)
        if (slice_eq(f->slots[i].name, slot))
            return f->slots[i].rank != p->rank;
    return false;
}

static int slot_take(struct place *p, struct slice slot)
{
    struct finder *f = p->finder;
    for (size_t i = 0; i < f->slot_count; i++)
        if (slice_eq(f->slots[i].name, slot))
            return 0;
    if (slot.len == 0)
        return 0;
    if (f->slot_count == REGISTRIES_MAX)
        return -1;
    struct slice name = arena_slice(&f->found->arena, slot);
    if (!name.ptr)
        return -1;
    f->slots[f->slot_count++] = (struct slot){name, p->rank};
    return 0;
}

static bool is_web(struct slice url)
{
    return slice_eq_nocase(slice_first(url, 7), SLICE("http://")) ||
           slice_eq_nocase(slice_first(url, 8), SLICE("https://"));
}

/* Tokens and passwords in a URL are the tool's business: nothing of them is kept. */
static int without_credentials(struct slice url, struct buf *out)
{
    size_t start = (size_t)slice_find(url, ':') + 3, end = start, after = start;
    while (end < url.len && !strchr("/?#", url.ptr[end]))
        end++;
    for (size_t i = start; i < end; i++)
        if (url.ptr[i] == '@')
            after = i + 1;
    size_t stop = end;
    while (stop < url.len && url.ptr[stop] != '?' && url.ptr[stop] != '#')
        stop++;
    return buf_append(out, slice_first(url, start)) < 0
               ? -1
               : buf_append(out, slice_of(url.ptr + after, stop - after));
}

/* A base URL in canonical form, without its last slash; -1 where it is no URL. */
static int make_base(struct arena *arena, struct slice url, struct buf *out)
{
    AUTO_BUF text = BUF_INIT(URL_BYTES);
    struct http_problem problem;
    struct http_target target;
    if (without_credentials(url, &text) < 0 ||
        http_url_parse(arena, buf_slice(&text), &target, &problem) < 0 || target.encoded_slash ||
        slice_find(target.path, '*') >= 0 || http_target_print(&target, out) < 0)
        return -1;
    while (buf_len(out) && out->data[out->end - 1] == '/')
        out->end--;
    return 0;
}

static int keep(struct place *p, struct slice url, unsigned line, struct err *e)
{
    struct registries *r = p->finder->found;
    for (size_t i = 0; i < r->count; i++)
        if (slice_eq(slice_str(r->at[i].url), url))
            return 0;
    if (r->count == REGISTRIES_MAX)
        return place_wrong(p, line, e, "more than %d registries", REGISTRIES_MAX);
    char *copy = arena_printf(&r->arena, "%.*s", SLICE_FMT(url));
    char *where = p->is_file && line ? arena_printf(&r->arena, "%s:%u", p->shown, line)
                                     : arena_printf(&r->arena, "%s", p->shown);
    if (!copy || !where)
        return place_wrong(p, line, e, "too much text");
    r->at[r->count++] = (struct registry){copy, where};
    return 0;
}

int place_add(struct place *p, struct slice slot, struct slice url, unsigned line, struct err *e)
{
    AUTO_BUF base = BUF_INIT(URL_BYTES);
    if (slot_is_taken(p, slot))
        return 0;
    if (slot_take(p, slot) < 0)
        return place_wrong(p, line, e, "more than %d registries", REGISTRIES_MAX);
    url = slice_trim(url);
    if (!is_web(url))
        return 0;
    if (make_base(&p->finder->found->arena, url, &base) < 0)
        return place_wrong(p, line, e, "this URL cannot be read: write https://HOST/PATH");
    return keep(p, buf_slice(&base), line, e);
}

int place_add_file(struct place *p, struct slice slot, struct slice path, unsigned line, struct err *e)
{
    AUTO_BUF text = BUF_INIT(FILE_BYTES);
    AUTO_BUF full = BUF_INIT(URL_BYTES);
    const char *name;
    struct err why;
    if (buf_printf(&full, "%s%.*s", p->finder->world->root, SLICE_FMT(path)) < 0 ||
        !(name = buf_cstr(&full)) || io_read_file(name, &text, &why) < 0)
        return place_wrong(p, line, e, "the list of mirrors that it names cannot be read");
    struct slice rest = buf_slice(&text), row;
    unsigned number = 0;
    bool indented;
    while (line_next(&rest, &number, &row, &indented)) {
        size_t len = 0;
        while (len < row.len && row.ptr[len] != ' ' && row.ptr[len] != '\t')
            len++;
        if (row.len && row.ptr[0] != '#' && place_add(p, slot, slice_first(row, len), line, e) < 0)
            return -1;
    }
    return 0;
}

/* ---- looking ---- */

/* `npm run` hands the project's own .npmrc to what it starts in variables of this name (npm's set-envs.js):
 * then they are the project's word, and do not count. */
static bool is_the_projects_word(const struct registries_world *w, const char *name)
{
    static const char *const signs[] = {"npm_execpath=", "npm_lifecycle_event=", "npm_package_json="};
    if (!slice_eq_nocase(slice_first(slice_str(name), 11), SLICE("npm_config_")))
        return false;
    for (const char *const *v = w->environment; v && *v; v++)
        for (size_t i = 0; i < ARRAY_LEN(signs); i++)
            if (slice_starts(slice_str(*v), slice_str(signs[i])))
                return true;
    return false;
}

/* The value of a variable; NULL where it is not set or empty. */
static const char *variable(const struct registries_world *w, const char *name)
{
    size_t len = strlen(name);
    if (is_the_projects_word(w, name))
        return NULL;
    for (const char *const *v = w->environment; v && *v; v++)
        if (strncmp(*v, name, len) == 0 && (*v)[len] == '=')
            return (*v)[len + 1] ? *v + len + 1 : NULL;
    return NULL;
}

/* Files are shown as people write them. */
static void show(const struct finder *f, const char *path, char *ret, size_t size)
{
    size_t home = f->world->home ? strlen(f->world->home) : 0, root = strlen(f->world->root);
    if (home > 1 && strncmp(path, f->world->home, home) == 0 && path[home] == '/')
        snprintf(ret, size, "~%s", path + home);
    else
        snprintf(ret, size, "%s", strncmp(path, f->world->root, root) == 0 ? path + root : path);
}

static int read_one(struct finder *f, unsigned rank, const char *path, struct err *e)
{
    AUTO_BUF text = BUF_INIT(FILE_BYTES);
    char shown[256];
    struct err why = {0};
    show(f, path, shown, sizeof shown);
    if (io_read_file(path, &text, &why) < 0) {
        if (why.sys == ENOENT || why.sys == ENOTDIR)
            return 0;
        return err_set(e, "%s", why.text);
    }
    struct place p = {f, shown, f->row->slot, rank, true};
    return f->row->read(&p, buf_slice(&text), e);
}

/* glob(3), with what the user's folders are called taken literally. */
static int put_literally(struct buf *out, const char *text)
{
    for (const char *c = text; *c; c++)
        if ((strchr("*?[]\\", *c) && buf_append(out, SLICE("\\")) < 0) || buf_append(out, slice_of(c, 1)) < 0)
            return -1;
    return 0;
}

static int read_files(struct finder *f, unsigned rank, const char *folder, const char *path, struct err *e)
{
    AUTO_BUF pattern = BUF_INIT(8192);
    const char *text;
    glob_t found = {0};
    if (put_literally(&pattern, folder) < 0 ||
        (*path && *path != '/' && buf_append(&pattern, SLICE("/")) < 0) ||
        buf_append(&pattern, slice_str(path)) < 0 || !(text = buf_cstr(&pattern)))
        return err_set(e, "the path of a configuration of %s is too long", f->row->tool);
    int result = 0;
    if (glob(text, 0, NULL, &found) == 0 && found.gl_pathc > FILES_MAX)
        result = err_set(e, "%s: more than %d files", text, FILES_MAX);
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
        result = read_one(f, rank, found.gl_pathv[i], e);
    globfree(&found);
    return result;
}

static int read_text(struct finder *f, unsigned rank, const char *shown, const char *text, struct err *e)
{
    struct place p = {f, shown, f->row->slot, rank, false};
    return f->row->read(&p, slice_str(text), e);
}

static int read_variable(struct finder *f, unsigned rank, struct err *e)
{
    char shown[128];
    const char *value = variable(f->world, f->row->name);
    snprintf(shown, sizeof shown, "environment: %s", f->row->name);
    return value ? read_text(f, rank, shown, value, e) : 0;
}

static int read_default(struct finder *f, unsigned rank, struct err *e)
{
    char shown[64];
    snprintf(shown, sizeof shown, "default of %s", f->row->tool);
    return read_text(f, rank, shown, f->row->path, e);
}

/* A relative path would be looked up in the working directory, which is the project. */
static bool is_absolute(const char *path)
{
    return path && path[0] == '/';
}

static int read_row(struct finder *f, unsigned rank, struct err *e)
{
    const struct registries_world *w = f->world;
    const char *value;
    switch (f->row->kind) {
    case PLACE_VARIABLE:
        return read_variable(f, rank, e);
    case PLACE_FOLDER:
    case PLACE_FILE:
        value = variable(w, f->row->name);
        return is_absolute(value) ? read_files(f, rank, value, f->row->path, e) : 0;
    case PLACE_HOME:
        return is_absolute(w->home) ? read_files(f, rank, w->home, f->row->path, e) : 0;
    case PLACE_ROOT:
        return read_files(f, rank, w->root, f->row->path, e);
    case PLACE_DEFAULT:
        return read_default(f, rank, e);
    }
    return 0;
}

/* The rows of a tool in their order; defaults share a rank, since all of them together are the default. */
static int read_tool(struct finder *f, struct slice tool, struct err *e)
{
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!slice_eq(slice_str(rows[i].tool), tool))
            continue;
        known = true;
        f->row = &rows[i];
        if (read_row(f, rows[i].kind == PLACE_DEFAULT ? ARRAY_LEN(rows) : (unsigned)i, e) < 0)
            return -1;
    }
    return known ? 0
                 : err_set(e, "no configuration of a tool `%.*s` is known", SLICE_FMT(slice_first(tool, 64)));
}

static struct registries *make_empty(struct err *e)
{
    struct registries *r = calloc(1, sizeof *r);
    if (!r) {
        err_set(e, "out of memory");
        return NULL;
    }
    r->arena = ARENA_INIT(ARENA_BYTES);
    r->at = arena_array(&r->arena, REGISTRIES_MAX, sizeof *r->at);
    if (r->at)
        return r;
    err_set(e, "out of memory");
    registries_free(r);
    return NULL;
}

int registries_find(const struct registries_world *world, struct slice tool, struct registries **ret,
                    struct err *e)
{
    AUTO(registries) *found = make_empty(e);
    struct finder f = {.world = world, .found = found};
    if (!found || read_tool(&f, tool, e) < 0)
        return -1;
    *ret = TAKE(found);
    return 0;
}

int registries_read(registry_format *read, const char *root, struct slice text, struct registries **ret,
                    struct err *e)
{
    AUTO(registries) *found = make_empty(e);
    const struct registries_world world = {.root = root};
    struct finder f = {.world = &world, .found = found};
    struct place p = {&f, "text", "slot", 0, true};
    if (!found || read(&p, text, e) < 0)
        return -1;
    *ret = TAKE(found);
    return 0;
}
