/* A file that is protected by its path has other paths where it has more than one link (`cp -al`, package
 * stores): they are held as well. */
#include "sandbox/mounts_internal.h"
#include "sandbox/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { TWINS_MAX = 256 };

struct twin {
    dev_t device;
    ino_t inode;
    enum mount_kind kind;
    const char *reason;
};

struct twins {
    struct mounts *m;
    struct err *e;
    struct twin at[TWINS_MAX];
    size_t count;
};

/* Only a file of the host that stands there already; ours are new. */
static int collect(struct twins *t)
{
    for (size_t i = 0; i < t->m->count; i++) {
        const struct mount_op *op = &t->m->ops[i];
        struct stat st;
        if (!op->protects || op->fd < 0 || fstat(op->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink < 2)
            continue;
        if (t->count == TWINS_MAX)
            return err_set(t->e, "%s: more than %d protected files have several links", op->to, TWINS_MAX);
        enum mount_kind kind = op->kind == MOUNT_HIDE ? MOUNT_HIDE : MOUNT_READ;
        t->at[t->count++] = (struct twin){st.st_dev, st.st_ino, kind, op->reason};
    }
    return 0;
}

static enum tree_step look(void *ctx, const char *path, int dir, const char *name, unsigned char type)
{
    struct twins *t = ctx;
    struct stat st;
    if (type != DT_REG || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_nlink < 2)
        return TREE_GO_ON;
    for (size_t i = 0; i < t->count; i++) {
        if (t->at[i].inode != st.st_ino || t->at[i].device != st.st_dev || mounts_find(t->m, path))
            continue;
        const char *copy = mounts_printf(t->m, t->e, "%s", path);
        if (!copy || mounts_add_path(t->m, t->at[i].kind, copy, NULL, t->at[i].reason, true, t->e) < 0)
            return TREE_FAIL;
    }
    return TREE_GO_ON;
}

int mounts_plan_twins(struct mounts *m, struct err *e)
{
    struct twins t = {.m = m, .e = e};
    if (collect(&t) < 0)
        return -1;
    for (size_t i = 0; t.count && i < m->writable_count; i++)
        if (tree_walk(m->writable[i], look, &t, e) < 0)
            return -1;
    return 0;
}
