/* "No such file" inside, said so that somebody can mend it. */
#include "sandbox/mounts_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The mount that decides about a path: the last one of the longest place above it. */
static const struct mount_op *decides(const struct mounts *m, const char *path)
{
    const struct mount_op *found = NULL;
    for (size_t i = 0; i < m->count; i++)
        if (path_within(path, m->ops[i].to) && (!found || strlen(m->ops[i].to) >= strlen(found->to)))
            found = &m->ops[i];
    return found;
}

static bool shows(const struct mount_op *op)
{
    return op && op->from && (op->kind == MOUNT_READ || op->kind == MOUNT_WRITE) &&
           strcmp(op->to, op->from) == 0;
}

int mounts_explain_missing(const struct mounts *m, const char *path, struct err *e)
{
    char shown[PATH_MAX];
    const struct mount_op *op = decides(m, path);
    if (access(path, F_OK) < 0 || shows(op))
        return err_set(e, "%s: %s", path, strerror(ENOENT));
    bool home = path_within(path, m->home) && strcmp(m->home, "/") != 0;
    snprintf(shown, sizeof shown, "%s%s", home ? "~" : "", home ? path + strlen(m->home) : path);
    if (op && op->kind == MOUNT_HIDE)
        return err_set(e, "%s is hidden in the jail (%s): `files: {read: [%s]}` in the policy shows it", path,
                       op->reason, shown);
    return err_set(
        e, "%s exists outside, but not in the jail: add `files: {read: [%s]}` to the policy, or --ro %s",
        path, shown, path);
}
