/* Holding a path in place: see mounts_pin in mounts_internal.h. */
#include "sandbox/mounts_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *writable_root(const struct mounts *m, const char *path)
{
    for (size_t i = 0; i < m->writable_count; i++)
        if (path_within(path, m->writable[i]))
            return m->writable[i];
    return NULL;
}

bool mounts_writable(const struct mounts *m, const char *path)
{
    return writable_root(m, path) != NULL;
}

const char *mounts_root_of_link(const struct mounts *m, const char *path)
{
    char part[PATH_MAX];
    for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        struct stat st;
        int n =
            snprintf(part, sizeof part, "%.*s", (int)(slash ? slash - path : (ptrdiff_t)strlen(path)), path);
        if (n > 0 && (size_t)n < sizeof part && lstat(part, &st) == 0 && S_ISLNK(st.st_mode)) {
            char *name = strrchr(part, '/');
            *name = '\0';
            AUTO_STR char *folder = realpath(part[0] ? part : "/", NULL);
            const char *root = folder ? writable_root(m, folder) : NULL;
            if (root)
                return root;
        }
        if (!slash)
            return NULL;
    }
}

/* A folder that is made for the run needs its parents made as well. */
static int pin_missing(struct mounts *m, const char *path, const struct mount_pin *pin, struct err *e)
{
    if (mounts_find(m, path))
        return 0;
    if (strchr(path, '\n'))
        return err_set(e, "%s: cannot be protected, because of the line break in its name", path);
    return mounts_add(m,
                      (struct mount_op){.kind = pin->kind,
                                        .to = path,
                                        .from = path,
                                        .fd = -1,
                                        .text = pin->text,
                                        .len = pin->text ? strlen(pin->text) : 0,
                                        .reason = pin->reason,
                                        .protects = true,
                                        .create = true,
                                        .directory = pin->directory},
                      e);
}

static int pin_one(struct mounts *m, const char *path, const struct mount_pin *pin, struct err *e)
{
    int rc = mounts_add_path(m, pin->kind, path, NULL, pin->reason, true, e);
    if (rc <= 0)
        return rc;
    return pin->create ? pin_missing(m, path, pin, e) : 0;
}

/* Each folder from below `root` down to the one that holds `path`. */
static int pin_parents(struct mounts *m, const char *root, const char *path, const struct mount_pin *pin,
                       struct err *e)
{
    struct mount_pin parent = {
        .kind = MOUNT_WRITE, .reason = pin->reason, .create = pin->create, .directory = true};
    for (const char *slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        char *dir = mounts_printf(m, e, "%.*s", (int)(slash - path), path);
        const struct mount_op *above = dir ? mounts_above(m, dir, false) : NULL;
        if (above && above->make_from) /* in a folder of ours, where renaming it changes nothing outside */
            continue;
        if (!dir || pin_one(m, dir, &parent, e) < 0)
            return -1;
    }
    return 0;
}

int mounts_pin(struct mounts *m, const char *path, const struct mount_pin *pin, struct err *e)
{
    const char *root = writable_root(m, path);
    if (!root)
        return 0;
    if (strcmp(root, path) != 0 && pin_parents(m, root, path, pin, e) < 0)
        return -1;
    return pin_one(m, path, pin, e);
}
