/* Looks through a folder that the jail sees for what must not be there as it is: sockets and devices
 * (connect(2) and open(2) work through any mount), files with secrets, repositories; and notes what programs
 * outside run. Links are not followed: what they point to is found where it is, or is not in the jail. */
#include "sandbox/mounts_internal.h"
#include "sandbox/tree.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct look {
    struct mounts *m;
    struct err *e;
    size_t top; /* bytes of the path of the folder that is looked through */
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

static int cover(struct look *l, const char *path, const char *reason)
{
    const char *copy = mounts_printf(l->m, l->e, "%s", path);
    return copy && mounts_add_path(l->m, MOUNT_HIDE, copy, NULL, reason, true, l->e) >= 0 ? 0 : -1;
}

/* So that it stays where it is looked for at the next run: no folder above it can be renamed. */
static int cover_in_place(struct look *l, const char *path, const char *reason)
{
    const struct mount_pin pin = {.kind = MOUNT_HIDE, .reason = reason};
    const char *copy = mounts_printf(l->m, l->e, "%s", path);
    return copy ? mounts_pin(l->m, copy, &pin, l->e) : -1;
}

/* The file itself, or what a link of that name points to; the link leads there at the next run as well. */
static int cover_secret(struct look *l, const char *path, unsigned char type)
{
    static const char why[] = "a secret of the project";
    static const struct mount_pin held = {.kind = MOUNT_READ, .reason = why};
    const char *real = mounts_real(l->m, path, NULL);
    struct stat st;
    if (!real || stat(real, &st) < 0 || !S_ISREG(st.st_mode) || !path_within(real, l->m->project) ||
        is_read(l->m, real))
        return 0;
    if (type != DT_LNK)
        return cover(l, real, why);
    const char *link = mounts_printf(l->m, l->e, "%s", path);
    if (!link || mounts_pin(l->m, link, &held, l->e) < 0)
        return -1;
    return mounts_writable(l->m, real) ? cover_in_place(l, real, why) : cover(l, real, why);
}

static int look_at_git(struct look *l, const char *path)
{
    const char *tree = mounts_printf(l->m, l->e, "%.*s", (int)(strlen(path) - strlen("/.git")), path);
    return tree ? mounts_plan_repository(l->m, tree, l->e) : -1;
}

static int look_at_name(struct look *l, const char *path, int dir, const char *name, unsigned char type)
{
    if ((type == DT_REG || type == DT_LNK) && is_secret(name) && path_within(path, l->m->project) &&
        cover_secret(l, path, type) < 0)
        return -1;
    if (mounts_is_git_name(dir, name))
        return look_at_git(l, path);
    return type == DT_REG ? mounts_note(l->m, path, dir, name, l->e) : 0;
}

/* A folder that may not be listed may still be entered, and its owner can open it up. */
static int look_at_limit(struct look *l, const char *path, unsigned char limit)
{
    if (limit != TREE_CLOSED || !mounts_writable(l->m, path))
        return 0;
    if (path_within(l->m->project, path))
        return err_set(l->e, "%s: cannot look into it", path);
    return cover_in_place(l, path, "closed to its owner");
}

static enum tree_step look(void *ctx, const char *path, int dir, const char *name, unsigned char type)
{
    struct look *l = ctx;
    const struct mount_op *op = type == DT_DIR ? mounts_find(l->m, path) : NULL;
    int rc = 0;
    if (op && op->kind == MOUNT_HIDE)
        return TREE_SKIP;
    if (type >= TREE_CLOSED)
        rc = look_at_limit(l, path, type);
    else if (type == DT_SOCK || type == DT_FIFO)
        rc = cover(l, path, "a socket or pipe of the host");
    else if (type == DT_CHR || type == DT_BLK)
        rc = cover(l, path, "a device");
    else if (!strstr(path + l->top, "/.git/")) /* names mean nothing in there */
        rc = look_at_name(l, path, dir, name, type);
    return rc < 0 ? TREE_FAIL : TREE_GO_ON;
}

int mounts_plan_tree(struct mounts *m, const char *dir, struct err *e)
{
    struct look l = {m, e, strlen(dir)};
    return tree_walk(dir, look, &l, e);
}
