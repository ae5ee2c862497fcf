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

/* The file itself, or what a link of that name points to. */
static int cover_secret(struct look *l, const char *path)
{
    const char *real = mounts_real(l->m, path, NULL);
    struct stat st;
    if (!real || stat(real, &st) < 0 || !S_ISREG(st.st_mode) || !path_within(real, l->m->project) ||
        is_read(l->m, real))
        return 0;
    return cover(l, real, "a secret of the project");
}

static int look_at_name(struct look *l, const char *path, const char *name, unsigned char type)
{
    if ((type == DT_REG || type == DT_LNK) && is_secret(name) && path_within(path, l->m->project) &&
        cover_secret(l, path) < 0)
        return -1;
    if (strcmp(name, ".git") != 0)
        return type == DT_REG ? mounts_note(l->m, path, l->e) : 0;
    const char *tree = mounts_printf(l->m, l->e, "%.*s", (int)(strlen(path) - strlen("/.git")), path);
    return tree ? mounts_plan_repository(l->m, tree, l->e) : -1;
}

static enum tree_step look(void *ctx, const char *path, int dir, const char *name, unsigned char type)
{
    (void)dir;
    struct look *l = ctx;
    const struct mount_op *op = type == DT_DIR ? mounts_find(l->m, path) : NULL;
    int rc = 0;
    if (op && op->kind == MOUNT_HIDE)
        return TREE_SKIP;
    if (type == DT_SOCK || type == DT_FIFO)
        rc = cover(l, path, "a socket or pipe of the host");
    else if (type == DT_CHR || type == DT_BLK)
        rc = cover(l, path, "a device");
    else if (!strstr(path, "/.git/")) /* names mean nothing in there */
        rc = look_at_name(l, path, name, type);
    return rc < 0 ? TREE_FAIL : TREE_GO_ON;
}

int mounts_plan_tree(struct mounts *m, const char *dir, struct err *e)
{
    struct look l = {m, e};
    return tree_walk(dir, look, &l, e);
}
