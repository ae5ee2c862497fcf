#include "app/texts.h"

#include "app/registries.h"
#include "app/role.h"
#include "base/arena.h"
#include "base/caps.h"
#include "base/io.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXTS_MAX = 1024, TEXTS_BYTES = 64 << 20, LINES_BYTES = 1 << 20 };

struct texts {
    struct texts_source from;
    struct arena arena;
    size_t count;
    struct text_entry at[TEXTS_MAX];
};

int texts_new(const struct texts_source *from, struct texts **ret, struct err *e)
{
    struct texts *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, "no memory");
    t->from = *from;
    t->arena = ARENA_INIT(TEXTS_BYTES);
    *ret = t;
    return 0;
}

void texts_free(struct texts *t)
{
    if (!t)
        return;
    arena_free(&t->arena);
    free(t);
}

void texts_only_given(struct texts *t, bool only_given)
{
    t->from.only_given = only_given;
}

const struct text_entry *texts_all(const struct texts *t, size_t *ret_count)
{
    *ret_count = t->count;
    return t->at;
}

/* --- reading --- */

static int join(const char *folder, const char *name, const char *end, char ret[PATH_MAX], struct err *e)
{
    bool alone = name[0] == '/' || !folder[0];
    int n = snprintf(ret, PATH_MAX, "%s%s%s%s", alone ? "" : folder, alone ? "" : "/", name, end);
    return n > 0 && n < PATH_MAX ? 0 : err_set(e, "%s: the path is too long", name);
}

static int read_file(struct texts *t, const char *name, struct buf *text, struct err *e)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < t->from.given_count; i++)
        if (strcmp(t->from.given[i].path, name) == 0)
            return buf_append(text, t->from.given[i].text) < 0 ? err_set(e, "%s: too large", name) : 0;
    if (t->from.only_given)
        return err_set(e, "%s: was not there when this started, and is not read now", name);
    if (join(t->from.base ? t->from.base : "", name, "", path, e) < 0)
        return -1;
    return t->from.alone ? io_read_file_alone(path, text, e) : io_read_file(path, text, e);
}

static int read_preset(const char *name, struct buf *text, struct err *e)
{
    char folder[PATH_MAX], path[PATH_MAX];
    if (role_data("presets", folder, e) < 0 || join(folder, name, ".yaml", path, e) < 0)
        return -1;
    if (access(path, F_OK) < 0)
        return err_set(e, "there is no preset `%s`; a file is written with its folder, as in ./%s.yaml", name,
                       name);
    return io_read_file(path, text, e);
}

/* A line must stay a line, whatever a path or a file holds. */
static int append_plain(struct buf *out, const char *text)
{
    for (; *text; text++) {
        char c = (unsigned char)*text < 0x20 ? '?' : *text;
        if (buf_append(out, slice_of(&c, 1)) < 0)
            return -1;
    }
    return 0;
}

static int read_registries(const char *tool, struct buf *text, struct err *e)
{
    struct registries_world here;
    AUTO(registries) *found = NULL;
    registries_here(&here);
    if (registries_find(&here, slice_str(tool), &found, e) < 0)
        return -1;
    for (size_t i = 0; i < found->count; i++)
        if (append_plain(text, found->at[i].url) < 0 || buf_append(text, SLICE("\t")) < 0 ||
            append_plain(text, found->at[i].where) < 0 || buf_append(text, SLICE("\n")) < 0)
            return err_set(e, "%s: its configuration names too much", tool);
    return 0;
}

static int read_text(struct texts *t, enum policy_text_kind kind, const char *name, struct buf *text,
                     struct err *e)
{
    switch (kind) {
    case POLICY_TEXT_FILE:
        return read_file(t, name, text, e);
    case POLICY_TEXT_PRESET:
        return read_preset(name, text, e);
    case POLICY_TEXT_REGISTRIES:
        return read_registries(name, text, e);
    }
    return err_set(e, "%s: a text of no kind", name);
}

/* --- keeping --- */

static const struct text_entry *find(const struct texts *t, enum policy_text_kind kind, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->at[i].kind == kind && strcmp(t->at[i].name, name) == 0)
            return &t->at[i];
    return NULL;
}

/* That it could not be read is kept, too: whoever asks again gets the same answer. */
static const struct text_entry *add(struct texts *t, enum policy_text_kind kind, const char *name,
                                    struct err *e)
{
    struct err why;
    AUTO_BUF text = BUF_INIT(kind == POLICY_TEXT_REGISTRIES ? LINES_BYTES : CAP_DOCUMENT_BYTES);
    struct text_entry *entry = &t->at[t->count];
    if (t->count == TEXTS_MAX) {
        err_set(e, "%s: policies extend more than %d texts in all", name, TEXTS_MAX);
        return NULL;
    }
    *entry = (struct text_entry){.kind = kind, .name = arena_slice(&t->arena, slice_str(name)).ptr};
    bool failed = read_text(t, kind, name, &text, &why) < 0;
    struct slice copy = arena_slice(&t->arena, failed ? slice_str(why.text) : buf_slice(&text));
    if (!entry->name || !copy.ptr) {
        err_set(e, "%s: policies extend more than %d bytes in all", name, TEXTS_BYTES);
        return NULL;
    }
    if (failed)
        entry->error = copy.ptr;
    else
        entry->text = copy;
    t->count++;
    return entry;
}

int texts_lookup(void *arg, enum policy_text_kind kind, const char *name, struct slice *ret_text,
                 struct err *e)
{
    struct texts *t = arg;
    const struct text_entry *entry = find(t, kind, name);
    if (!entry)
        entry = add(t, kind, name, e);
    if (!entry)
        return -1;
    if (entry->error)
        return err_set(e, "%s", entry->error);
    *ret_text = entry->text;
    return 0;
}
