/* Looks through a folder that the jail sees for what must not be there as it is: sockets and devices
 * (connect(2) and open(2) work through any mount), files with secrets, repositories.  Links are not followed:
 * what they point to is found where it is, or is not in the jail. */
#include "sandbox/mounts_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
    struct mounts *m;
    struct err *e;
    char path[PATH_MAX];
    size_t len;     /* of path */
    size_t entries; /* seen so far */
    bool in_git;    /* below a .git: names mean nothing there */
};

static const char *const SECRETS[] = {
#define SECRET(pattern) pattern,
#define KEEP(name)
#include "sandbox/secrets.def"
};

static const char *const KEPT[] = {
#define SECRET(pattern)
#define KEEP(name) name,
#include "sandbox/secrets.def"
};

static bool fits(const char *name, const char *pattern)
{
    size_t n = strlen(pattern);
    return pattern[n - 1] == '*' ? strncmp(name, pattern, n - 1) == 0 : strcmp(name, pattern) == 0;
}

static bool is_secret(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(KEPT); i++)
        if (fits(name, KEPT[i]))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(SECRETS); i++)
        if (fits(name, SECRETS[i]))
            return true;
    return false;
}

static bool is_read(const struct mounts *m, const char *path)
{
    for (size_t i = 0; m->o->read && m->o->read[i]; i++) {
        AUTO_STR char *real = realpath(m->o->read[i], NULL);
        if (real && strcmp(path, real) == 0)
            return true;
    }
    return false;
}

static int cover(struct walk *w, const char *path, const char *reason)
{
    const char *copy = mounts_printf(w->m, w->e, "%s", path);
    return copy && mounts_add_path(w->m, MOUNT_HIDE, copy, NULL, reason, true, w->e) >= 0 ? 0 : -1;
}

/* The file itself, or what a link of that name points to. */
static int cover_secret(struct walk *w)
{
    const char *real = mounts_real(w->m, w->path, NULL);
    struct stat st;
    if (!real || stat(real, &st) < 0 || !S_ISREG(st.st_mode) || !path_within(real, w->m->project) ||
        is_read(w->m, real))
        return 0;
    return cover(w, real, "a secret of the project");
}

static unsigned char type_of(int dir, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN)
        return d->d_type;
    return fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? DT_UNKNOWN : IFTODT(st.st_mode);
}

static int walk_folder(struct walk *w, int dir, int depth);

static int enter(struct walk *w, int dir, const struct dirent *d, int depth)
{
    const struct mount_op *op = mounts_find(w->m, w->path);
    if (op && op->kind == MOUNT_HIDE)
        return 0;
    AUTO_FD int sub = openat(dir, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub < 0 && (errno == EACCES || errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0; /* what we cannot read, the same user in the jail cannot either */
    if (sub < 0)
        return err_sys(w->e, "%s: cannot look into it", w->path);
    bool in_git = w->in_git;
    w->in_git |= strcmp(d->d_name, ".git") == 0;
    int rc = walk_folder(w, sub, depth + 1);
    w->in_git = in_git;
    return rc;
}

static int visit(struct walk *w, int dir, const struct dirent *d, int depth)
{
    unsigned char type = type_of(dir, d);
    if (type == DT_SOCK || type == DT_FIFO)
        return cover(w, w->path, "a socket or pipe of the host");
    if (type == DT_CHR || type == DT_BLK)
        return cover(w, w->path, "a device");
    if (!w->in_git && (type == DT_REG || type == DT_LNK) && is_secret(d->d_name) &&
        path_within(w->path, w->m->project) && cover_secret(w) < 0)
        return -1;
    if (!w->in_git && strcmp(d->d_name, ".git") == 0) {
        const char *tree = mounts_printf(w->m, w->e, "%.*s", (int)(w->len - strlen("/.git")), w->path);
        if (!tree || mounts_plan_repository(w->m, tree, w->e) < 0)
            return -1;
    }
    return type == DT_DIR ? enter(w, dir, d, depth) : 0;
}

static int walk_entry(struct walk *w, int dir, const struct dirent *d, int depth)
{
    size_t before = w->len, n = strlen(d->d_name);
    if (++w->entries > CAP_TREE_ENTRIES)
        return err_set(w->e, "%s: more than %d files: show the jail a smaller folder", w->path,
                       CAP_TREE_ENTRIES);
    if (before + 1 + n >= sizeof w->path || depth >= CAP_TREE_DEPTH)
        return err_set(w->e, "%s: too deep to look through", w->path);
    w->path[w->len] = '/';
    memcpy(w->path + w->len + 1, d->d_name, n + 1);
    w->len += 1 + n;
    int rc = visit(w, dir, d, depth);
    w->len = before;
    w->path[before] = 0;
    return rc;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int walk_folder(struct walk *w, int dir, int depth)
{
    int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        fd_auto_close(&copy);
        return err_sys(w->e, "%s: cannot look into it", w->path);
    }
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(d));)
        if (!is_dots(entry->d_name))
            rc = walk_entry(w, dir, entry, depth);
    closedir(d);
    return rc;
}

int mounts_plan_tree(struct mounts *m, const char *dir, struct err *e)
{
    struct walk w = {.m = m, .e = e, .len = strlen(dir)};
    if (w.len >= sizeof w.path)
        return err_set(e, "%s: too long", dir);
    memcpy(w.path, dir, w.len + 1);
    AUTO_FD int fd = open(dir, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_DIRECTORY);
    if (fd < 0)
        return errno == ENOTDIR ? 0 : err_sys(e, "%s: cannot look into it", dir);
    return walk_folder(&w, fd, 0);
}
