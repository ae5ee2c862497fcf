#include "sandbox/tree.h"

#include "base/caps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

struct walk {
    tree_each *each;
    void *ctx;
    struct err *e;
    char path[PATH_MAX];
    size_t len;     /* of path */
    size_t entries; /* seen so far */
};

static int walk_folder(struct walk *w, int *dir, int depth);

static unsigned char type_of(int dir, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN)
        return d->d_type;
    return fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? DT_UNKNOWN : IFTODT(st.st_mode);
}

static int open_folder(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* At a limit: 0 leaves out what is beyond it. */
static int ask(struct walk *w, int dir, const char *name, unsigned char limit)
{
    enum tree_step step = w->each(w->ctx, w->path, dir, name, limit);
    if (step != TREE_GO_ON)
        return step == TREE_SKIP ? 0 : -1;
    return limit == TREE_DEEP ? err_set(w->e, "%s: too deep to look through", w->path)
                              : err_set(w->e, "%s: more than %d files: show the jail a smaller folder",
                                        w->path, CAP_TREE_ENTRIES);
}

static int open_closed(struct walk *w, int dir, const char *name, int *ret)
{
    enum tree_step step = w->each(w->ctx, w->path, dir, name, TREE_CLOSED);
    if (step == TREE_GO_ON)
        *ret = open_folder(dir, name);
    return step == TREE_FAIL ? -1 : 0;
}

static int enter(struct walk *w, int dir, const char *name, int depth)
{
    if (depth + 1 >= CAP_TREE_DEPTH || w->len + 1 + NAME_MAX >= sizeof w->path)
        return ask(w, dir, name, TREE_DEEP);
    AUTO_FD int sub = open_folder(dir, name);
    if (sub < 0 && errno == EACCES && open_closed(w, dir, name, &sub) < 0)
        return -1;
    if (sub < 0 && (errno == EACCES || errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0;
    return sub < 0 ? err_sys(w->e, "%s: cannot look into it", w->path) : walk_folder(w, &sub, depth + 1);
}

static int visit(struct walk *w, int dir, const struct dirent *d, int depth)
{
    unsigned char type = type_of(dir, d);
    enum tree_step step = w->each(w->ctx, w->path, dir, d->d_name, type);
    if (step == TREE_FAIL)
        return -1;
    return type == DT_DIR && step == TREE_GO_ON ? enter(w, dir, d->d_name, depth) : 0;
}

/* Folders without room for a name are not entered. */
static int walk_entry(struct walk *w, int dir, const struct dirent *d, int depth)
{
    size_t before = w->len, n = strlen(d->d_name);
    w->path[w->len] = '/';
    memcpy(w->path + w->len + 1, d->d_name, n + 1);
    w->len += 1 + n;
    int rc = 0;
    if (++w->entries > CAP_TREE_ENTRIES) {
        w->entries = 0;
        rc = ask(w, dir, d->d_name, TREE_MANY);
    }
    if (rc == 0)
        rc = visit(w, dir, d, depth);
    w->len = before;
    w->path[before] = 0;
    return rc;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Takes *dir over. */
static int walk_folder(struct walk *w, int *dir, int depth)
{
    DIR *d = fdopendir(*dir);
    if (!d)
        return err_sys(w->e, "%s: cannot look into it", w->path);
    *dir = -1;
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(d));)
        if (!is_dots(entry->d_name))
            rc = walk_entry(w, dirfd(d), entry, depth);
    closedir(d);
    return rc;
}

int tree_walk(const char *top, tree_each *each, void *ctx, struct err *e)
{
    struct walk w = {.each = each, .ctx = ctx, .e = e, .len = strlen(top)};
    if (w.len + 1 + NAME_MAX >= sizeof w.path)
        return err_set(e, "%s: too long", top);
    memcpy(w.path, top, w.len + 1);
    AUTO_FD int fd = open_folder(AT_FDCWD, top);
    if (fd < 0 && errno == EACCES && open_closed(&w, AT_FDCWD, top, &fd) < 0)
        return -1;
    if (fd < 0)
        return errno == ENOTDIR || errno == EACCES ? 0 : err_sys(e, "%s: cannot look into it", top);
    return walk_folder(&w, &fd, 0);
}
