/* "No such file" inside, said so that somebody can mend it. */
#include "sandbox/mounts_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool shows(const struct mount_op *op)
{
    return op && op->from && (op->kind == MOUNT_READ || op->kind == MOUNT_WRITE) &&
           strcmp(op->to, op->from) == 0;
}

int mounts_explain_missing(const struct mounts *m, const char *path, struct err *e)
{
    char shown[PATH_MAX];
    const struct mount_op *op = mounts_above(m, path, false);
    if (access(path, F_OK) < 0 || shows(op))
        return 0;
    bool home = path_within(path, m->home) && strcmp(m->home, "/") != 0;
    snprintf(shown, sizeof shown, "%s%s", home ? "~" : "", home ? path + strlen(m->home) : path);
    if (op && op->kind == MOUNT_HIDE)
        return err_set(e, "%s is hidden in the jail (%s): `files: {read: [%s]}` in the policy shows it", path,
                       op->reason, shown);
    return err_set(
        e, "%s exists outside, but not in the jail: add `files: {read: [%s]}` to the policy, or --ro %s",
        path, shown, path);
}
