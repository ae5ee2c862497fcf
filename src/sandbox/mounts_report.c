/* What a run leaves behind that somebody should look at. */
#include "sandbox/mounts_internal.h"
#include "sandbox/tree.h"

#include "base/io.h"
#include "base/printable.h"
#include "sandbox/git_config.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *pattern, *who;
} RUNS_ROWS[] = {
#define RUNS(pattern, who) {pattern, who},
#include "sandbox/runs.def"
};

/* ---- files that programs outside run ---- */

static size_t count_parts(const char *pattern)
{
    size_t n = 1;
    for (; *pattern; pattern++)
        n += *pattern == '/';
    return n;
}

static const char *tail(const char *path, size_t parts)
{
    const char *p = path + strlen(path);
    while (p > path)
        if (*--p == '/' && --parts == 0)
            return p + 1;
    return NULL;
}

/* Who runs it; NULL. */
static const char *who_runs(const char *path)
{
    if (strstr(path, "/node_modules/") || strstr(path, "/site-packages/"))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(RUNS_ROWS); i++) {
        const char *end = tail(path, count_parts(RUNS_ROWS[i].pattern));
        if (end && fnmatch(RUNS_ROWS[i].pattern, end, FNM_PATHNAME | FNM_NOESCAPE) == 0)
            return RUNS_ROWS[i].who;
    }
    return NULL;
}

int64_t mounts_changed_ns(const struct stat *st)
{
    return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

int mounts_note(struct mounts *m, const char *path, int dir, const char *name, struct err *e)
{
    struct stat st;
    bool bare = strcmp(name, "HEAD") == 0 && mounts_is_bare(dir);
    if ((!bare && !who_runs(path)) || !mounts_writable(m, path) || lstat(path, &st) < 0)
        return 0;
    if (m->seen_count == CAP_NOTED_FILES || m->arena.used > CAP_MOUNTS_BYTES / 2)
        return 0; /* the rest is named as new */
    if (m->seen_count == m->seen_size) {
        size_t size = m->seen_size ? 2 * m->seen_size : 64;
        struct mount_seen *seen = reallocarray(m->seen, size, sizeof *seen);
        if (!seen)
            return err_set(e, "no memory");
        m->seen = seen;
        m->seen_size = size;
    }
    const char *copy = mounts_printf(m, e, "%s", path);
    if (!copy)
        return -1;
    m->seen[m->seen_count++] =
        (struct mount_seen){copy, st.st_ino, mounts_changed_ns(&st), bare && mounts_is_armed_bare(dir)};
    return 0;
}

struct report {
    struct mounts *m;
    mounts_each_finding *each;
    void *ctx;
    struct err *e;
};

static int by_seen_path(const void *a, const void *b)
{
    return strcmp(((const struct mount_seen *)a)->path, ((const struct mount_seen *)b)->path);
}

void mounts_tell(mounts_each_finding *each, void *ctx, enum mounts_finding f, const char *path,
                 const char *detail)
{
    char shown[PATH_MAX], more[GIT_CONFIG_KEY + GIT_CONFIG_VALUE + 2];
    snprintf(shown, sizeof shown, "%s", path);
    snprintf(more, sizeof more, "%s", detail);
    printable_replace(shown, strlen(shown));
    printable_replace(more, strlen(more));
    each(ctx, f, shown, more);
}

static void tell(const struct report *r, enum mounts_finding f, const char *path, const char *detail)
{
    mounts_tell(r->each, r->ctx, f, path, detail);
}

static const struct mount_seen *find_seen(const struct report *r, const char *path)
{
    const struct mount_seen key = {.path = path};
    return r->m->seen ? bsearch(&key, r->m->seen, r->m->seen_count, sizeof key, by_seen_path) : NULL;
}

static void report_file(const struct report *r, const char *path)
{
    struct stat st;
    const char *who = who_runs(path);
    if (!who || lstat(path, &st) < 0)
        return;
    const struct mount_seen *seen = find_seen(r, path);
    if (!seen)
        tell(r, MOUNTS_NEW, path, who);
    else if (seen->inode != st.st_ino || seen->changed_ns != mounts_changed_ns(&st))
        tell(r, MOUNTS_CHANGED, path, who);
}

/* ---- the walk ---- */

static enum tree_step look_at_limit(const struct report *r, const char *path, int dir, const char *name,
                                    unsigned char limit)
{
    const struct mount_op *op = mounts_find(r->m, path);
    if (limit == TREE_MANY || (op && op->kind == MOUNT_HIDE))
        return TREE_SKIP;
    if (limit == TREE_DEEP)
        mounts_report_deep(r->each, r->ctx, path, dir, name);
    return limit == TREE_CLOSED && mounts_open_up(dir, name) ? TREE_GO_ON : TREE_SKIP;
}

static enum tree_step look(void *ctx, const char *path, int dir, const char *name, unsigned char type)
{
    const struct report *r = ctx;
    if (type >= TREE_CLOSED)
        return look_at_limit(r, path, dir, name, type);
    if (mounts_is_git_name(dir, name)) {
        mounts_report_repository(r->m, r->each, r->ctx, path, dir, type);
        return TREE_SKIP;
    }
    if (type == DT_REG)
        report_file(r, path);
    if (type != DT_DIR && strcmp(name, "HEAD") == 0)
        mounts_report_bare(r->each, r->ctx, path, dir, find_seen(r, path));
    return TREE_GO_ON;
}

/* ---- git's private configuration ---- */

struct variables {
    char *rows[4096]; /* "key=value" */
    size_t count;
};

static int keep_variable(void *ctx, const char *key, const char *value)
{
    struct variables *v = ctx;
    char row[GIT_CONFIG_KEY + GIT_CONFIG_VALUE + 1];
    snprintf(row, sizeof row, "%s=%s", key, value);
    if (v->count == ARRAY_LEN(v->rows) || !(v->rows[v->count] = strdup(row)))
        return -1;
    v->count++;
    return 0;
}

/* Takes what both hold out of both. */
static void cancel(struct variables *a, struct variables *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; a->rows[i] && k < b->count; k++)
            if (b->rows[k] && strcmp(a->rows[i], b->rows[k]) == 0) {
                str_auto_free(&a->rows[i]);
                str_auto_free(&b->rows[k]);
                a->rows[i] = b->rows[k] = NULL;
            }
}

static void tell_rows(const struct report *r, const char *config, struct variables *v, char sign)
{
    for (size_t i = 0; i < v->count; i++) {
        char detail[GIT_CONFIG_KEY + GIT_CONFIG_VALUE + 2];
        snprintf(detail, sizeof detail, "%c%s", sign, v->rows[i] ? v->rows[i] : "");
        if (v->rows[i])
            tell(r, MOUNTS_CONFIG, config, detail);
        free(v->rows[i]);
    }
}

static int report_config(const struct report *r, const struct mount_git *g)
{
    AUTO_BUF text = BUF_INIT(CAP_GIT_CONFIG_BYTES);
    AUTO_FD int dir = open(g->folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    AUTO_FD int fd = openat(dir, "config", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct variables *v = calloc(2, sizeof *v);
    if (!v)
        return err_set(r->e, "no memory");
    bool readable = fd >= 0 && io_read_all(fd, g->config, &text, NULL) == 0 &&
                    git_config_read(buf_slice(&text), keep_variable, &v[1]) == 0;
    readable &= git_config_read(g->before, keep_variable, &v[0]) == 0;
    if (!readable)
        tell(r, MOUNTS_CONFIG, g->config, "the private copy cannot be read any more");
    cancel(&v[0], &v[1]);
    tell_rows(r, g->config, &v[0], '-');
    tell_rows(r, g->config, &v[1], '+');
    free(v);
    return 0;
}

int mounts_report(struct mounts *m, mounts_each_finding *each, void *ctx, struct err *e)
{
    struct report r = {m, each, ctx, e};
    if (m->seen)
        qsort(m->seen, m->seen_count, sizeof *m->seen, by_seen_path);
    for (size_t i = 0; i < m->writable_count; i++)
        if (tree_walk(m->writable[i], look, &r, e) < 0)
            return -1;
    mounts_report_missing(m, each, ctx);
    if (mounts_remove_links(m, each, ctx, e) < 0)
        return -1;
    for (size_t i = 0; i < m->git_count; i++)
        if (report_config(&r, &m->gits[i]) < 0)
            return -1;
    return mounts_keep_repositories(m, each, ctx, e);
}
