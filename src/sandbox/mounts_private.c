/* The private folders of a run after its end: repositories that were made in them are kept, the rest goes. */
#include "sandbox/mounts_internal.h"
#include "sandbox/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Folders were made by the jail: they may be deep, or closed to us; and while root removes them, a program of
 * their owner's may put a link in the place of one. */
static void remove_tree(int dir, const char *name, int depth)
{
    if (unlinkat(dir, name, 0) == 0 || errno != EISDIR || depth > CAP_TREE_DEPTH)
        return;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && mounts_open_up(dir, name))
        fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(dirfd(d), entry->d_name, depth + 1);
    if (d)
        closedir(d);
    else
        fd_auto_close(&fd);
    unlinkat(dir, name, AT_REMOVEDIR);
}

static bool is_repository(const struct mount_op *op)
{
    return op->make_from && (slice_ends(slice_str(op->from), SLICE(".init")) ||
                             slice_ends(slice_str(op->from), SLICE(".modules")));
}

static enum tree_step give_one(void *ctx, const char *path, int dir, const char *name, unsigned char type)
{
    (void)path, (void)type;
    const struct mounts *m = ctx;
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != m->o->uid ||
        fchownat(dir, name, 0, 0, AT_SYMLINK_NOFOLLOW) == 0)
        return TREE_GO_ON;
    return TREE_SKIP;
}

/* What the user made who stood for root is root's, as in the project.  What is too deep or too much to look
 * through stays that user's. */
static bool give_to_root(struct mounts *m, const char *path)
{
    return lchown(path, 0, 0) == 0 && tree_walk(path, give_one, m, NULL) == 0;
}

/* Whoever fetches from it runs a program of git's in it, which reads its configuration. */
static void disarm_kept(const char *path)
{
    static const char *const parts[] = {"config", "config.worktree", "commondir", "hooks"};
    AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char to[NAME_MAX + 1];
    if (dir < 0 || !mounts_is_armed_bare(dir))
        return;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!mounts_disarm(dir, parts[i], to) && errno != ENOENT)
            unlinkat(dir, parts[i], 0);
}

/* Out of the project, so that nothing reads its configuration unasked. */
static int keep_one(struct mounts *m, const struct mount_op *op, const char **ret_path, bool *ret_whole,
                    struct err *e)
{
    const char *run = strrchr(m->run, '/'), *name = strrchr(op->from, '/');
    const char *folder = m->o->kept ? m->o->kept : mounts_printf(m, e, "%s/repositories", m->state);
    const char *path = folder ? mounts_printf(m, e, "%s%s.%s", folder, run, name + 1) : NULL;
    if (!path)
        return -1;
    if (mkdir(folder, 0700) == 0 ? m->o->kept && chmod(folder, 0711) < 0 : errno != EEXIST)
        return err_sys(e, "%s: cannot make it", folder);
    if (rename(op->from, path) < 0)
        return err_sys(e, "%s: cannot be kept", op->from);
    disarm_kept(path);
    *ret_path = path;
    *ret_whole = !m->o->for_root || give_to_root(m, path);
    return 0;
}

int mounts_keep_repositories(struct mounts *m, mounts_each_finding *each, void *ctx, struct err *e)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct mount_op *op = &m->ops[i];
        const char *path = NULL;
        bool whole = true;
        char detail[PATH_MAX + 128];
        if (!is_repository(op) || mounts_content(op->from) != 1)
            continue;
        if (keep_one(m, op, &path, &whole, e) < 0)
            return -1;
        snprintf(detail, sizeof detail,
                 "made as %s, which stays private; to take its commits: git fetch %s%s", op->to, path,
                 whole ? "" : " (not all of it could be made root's)");
        each(ctx, MOUNTS_KEPT, path, detail);
    }
    return 0;
}

void mounts_remove_private(const struct mounts *m)
{
    AUTO_FD int run = open(m->run, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (run < 0)
        return;
    remove_tree(run, "git", 0);
    remove_tree(run, "stage", 0);
}
