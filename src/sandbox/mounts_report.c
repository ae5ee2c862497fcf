/* What a run leaves behind that somebody should look at. */
#include "sandbox/mounts_internal.h"
#include "sandbox/tree.h"

#include "base/io.h"
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

static const char *const PLAIN_KEYS[] = {
#define KEY(pattern) pattern,
#include "sandbox/git_keys.def"
};

static const char *const FINDINGS[] = {"new", "changed", "repository", "git-config", "kept", "link"};

const char *mounts_finding_id(enum mounts_finding f)
{
    return FINDINGS[f];
}

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

int mounts_note(struct mounts *m, const char *path, struct err *e)
{
    struct stat st;
    bool head = slice_ends(slice_str(path), SLICE("/HEAD")); /* see is_bare */
    if ((!head && !who_runs(path)) || !mounts_writable(m, path) || lstat(path, &st) < 0)
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
    m->seen[m->seen_count++] = (struct mount_seen){copy, st.st_ino, mounts_changed_ns(&st)};
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

static void clean(const char *text, char *ret, size_t size)
{
    size_t i = 0;
    for (; text[i] && i < size - 1; i++)
        ret[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    ret[i] = 0;
}

void mounts_tell(mounts_each_finding *each, void *ctx, enum mounts_finding f, const char *path, const char *detail)
{
    char shown[PATH_MAX], more[GIT_CONFIG_KEY + GIT_CONFIG_VALUE + 2];
    clean(path, shown, sizeof shown);
    clean(detail, more, sizeof more);
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

/* ---- repositories that were made inside ---- */

static int plain_key(void *ctx, const char *key, const char *value)
{
    (void)value;
    for (size_t i = 0; i < ARRAY_LEN(PLAIN_KEYS); i++)
        if (fnmatch(PLAIN_KEYS[i], key, FNM_NOESCAPE) == 0)
            return 0;
    snprintf(ctx, GIT_CONFIG_KEY, "%s", key);
    return -2;
}

/* Whether git may run something, or read a configuration from elsewhere, because of what lies at git/name. */
static bool bad_config(int git, const char *name, char ret_why[GIT_CONFIG_KEY])
{
    AUTO_BUF text = BUF_INIT(CAP_GIT_CONFIG_BYTES);
    struct stat st;
    if (fstatat(git, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    snprintf(ret_why, GIT_CONFIG_KEY, "%s", name);
    AUTO_FD int fd = openat(git, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || !S_ISREG(st.st_mode) || io_read_all(fd, name, &text, NULL) < 0)
        return true;
    return git_config_read(buf_slice(&text), plain_key, ret_why) < 0;
}

static bool is_sample(const char *name)
{
    return name[0] == '.' || slice_ends(slice_str(name), SLICE(".sample"));
}

static bool bad_hooks(int git, char ret_why[GIT_CONFIG_KEY])
{
    int fd = openat(git, "hooks", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;
    bool bad = fstatat(git, "hooks", &st, AT_SYMLINK_NOFOLLOW) == 0 && !d;
    snprintf(ret_why, GIT_CONFIG_KEY, "hooks");
    for (struct dirent *entry; d && !bad && (entry = readdir(d));) {
        bad = !is_sample(entry->d_name);
        snprintf(ret_why, GIT_CONFIG_KEY, "hooks/%s", entry->d_name);
    }
    if (d)
        closedir(d);
    return bad;
}

static bool bad_name(int git, const char *name, char ret_why[GIT_CONFIG_KEY])
{
    struct stat st;
    snprintf(ret_why, GIT_CONFIG_KEY, "%s", name);
    return fstatat(git, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Submodules bring a configuration each; a fresh clone with them is rare enough to be looked at by somebody.
 */
static bool is_armed(int git, char ret_why[GIT_CONFIG_KEY])
{
    return bad_config(git, "config", ret_why) || bad_hooks(git, ret_why) ||
           bad_name(git, "commondir", ret_why) || bad_name(git, "config.worktree", ret_why) ||
           bad_name(git, "modules", ret_why);
}

static void disarm(const struct report *r, const char *path, int dir, const char *why)
{
    char detail[GIT_CONFIG_KEY + 128];
    bool done = renameat(dir, ".git", dir, ".git.disarmed") == 0;
    snprintf(detail, sizeof detail,
             done ? "%s would take effect outside: renamed to .git.disarmed"
                  : "%s would take effect outside: do not use git there",
             why);
    tell(r, MOUNTS_REPOSITORY, path, detail);
}

static bool reads_as(int dir, const char *name, struct slice want)
{
    AUTO_BUF text = BUF_INIT(64);
    AUTO_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd >= 0 && io_read_all(fd, name, &text, NULL) == 0 && slice_eq(slice_trim(buf_slice(&text)), want);
}

/* What `git worktree add` makes: "gitdir: " and the path of an entry in a repository that is protected, which
 * leads back to that repository and brings no configuration of its own. */
static bool is_plain_worktree(const struct report *r, int dir)
{
    AUTO_BUF text = BUF_INIT(PATH_MAX);
    char why[GIT_CONFIG_KEY];
    AUTO_FD int fd = openat(dir, ".git", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || io_read_all(fd, ".git", &text, NULL) < 0 || buf_append(&text, slice_of("", 1)) < 0 ||
        !slice_starts(buf_slice(&text), SLICE("gitdir: /")))
        return false;
    char *path = text.data + text.start + strlen("gitdir: ");
    path[strcspn(path, "\n")] = 0;
    char *entries = strstr(path, "/.git/worktrees/");
    AUTO_FD int entry = mounts_open(AT_FDCWD, path);
    if (!entries || strchr(entries + strlen("/.git/worktrees/"), '/') || entry < 0)
        return false;
    entries[strlen("/.git")] = 0;
    return mounts_find(r->m, path) && reads_as(entry, "commondir", SLICE("../..\n")) &&
           !bad_name(entry, "config.worktree", why);
}

static void report_repository(const struct report *r, const char *path, int dir, unsigned char type)
{
    char why[GIT_CONFIG_KEY] = "what it points to";
    if (mounts_find(r->m, path)) /* was there before, and is protected */
        return;
    AUTO_FD int git = openat(dir, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool linked = type == DT_REG && is_plain_worktree(r, dir);
    if (!linked && (type != DT_DIR || git < 0 || is_armed(git, why)))
        disarm(r, path, dir, why);
    else
        tell(r, MOUNTS_REPOSITORY, path, "");
}

/* git takes a folder with these for a repository without a work tree; objects and refs may lie elsewhere
 * (gitrepository-layout(5), commondir). */
static bool is_bare(int dir)
{
    struct stat st;
    if (fstatat(dir, "HEAD", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return fstatat(dir, "commondir", &st, 0) == 0 ||
           (fstatat(dir, "objects", &st, 0) == 0 && fstatat(dir, "refs", &st, 0) == 0);
}

static enum tree_step look(void *ctx, const char *path, int dir, const char *name, unsigned char type)
{
    const struct report *r = ctx;
    if (strcmp(name, ".git") == 0) {
        report_repository(r, path, dir, type);
        return TREE_SKIP;
    }
    if (strcmp(name, ".git.disarmed") == 0)
        return TREE_SKIP;
    if (type == DT_REG)
        report_file(r, path);
    if (type != DT_DIR && strcmp(name, "HEAD") == 0 && is_bare(dir) && !find_seen(r, path))
        tell(r, MOUNTS_REPOSITORY, path, "git would take the folder for a repository");
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
    if (mounts_remove_links(m, each, ctx, e) < 0)
        return -1;
    for (size_t i = 0; i < m->git_count; i++)
        if (report_config(&r, &m->gits[i]) < 0)
            return -1;
    return mounts_keep_repositories(m, each, ctx, e);
}
