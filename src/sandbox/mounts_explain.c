/* "No such file" inside, said so that somebody can mend it. */
#include "sandbox/mounts_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool shows(const struct mount_op *op)
{
    return op && op->from && (op->kind == MOUNT_READ || op->kind == MOUNT_WRITE) &&
           strcmp(op->to, op->from) == 0;
}

static bool is_inside(const struct mounts *m, const char *path)
{
    return shows(mounts_above(m, path, false));
}

/* "~/.cargo/bin" */
static const char *short_path(const struct mounts *m, const char *path, char room[PATH_MAX])
{
    bool home = path_within(path, m->home) && strcmp(m->home, "/") != 0;
    snprintf(room, PATH_MAX, "%s%s", home ? "~" : "", home ? path + strlen(m->home) : path);
    return room;
}

int mounts_explain_missing(const struct mounts *m, const char *path, struct err *e)
{
    char room[PATH_MAX];
    if (access(path, F_OK) < 0 || is_inside(m, path))
        return 0;
    const struct mount_op *op = mounts_above(m, path, false);
    const char *shown = short_path(m, path, room);
    if (op && op->kind == MOUNT_HIDE)
        return err_set(e, "%s is hidden in the jail (%s): `files: {read: [%s]}` in the policy shows it", path,
                       op->reason, shown);
    return err_set(
        e, "%s exists outside, but not in the jail: add `files: {read: [%s]}` to the policy, or --ro %s",
        path, shown, path);
}

/* --- programs that are not there --- */

static bool holds_something(const char *folder)
{
    DIR *dir = opendir(folder);
    bool found = false;
    for (const struct dirent *entry; dir && !found && (entry = readdir(dir));)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return found;
}

static bool is_listed(struct slice list, struct slice name)
{
    struct slice part;
    while (slice_next(&list, ',', &part))
        if (slice_eq(slice_trim(part), name))
            return true;
    return false;
}

/* Of a build tree, whose programs are for outside. */
static bool is_own(const struct mounts *m, const char *folder)
{
    const char *slash = m->o->init ? strrchr(m->o->init, '/') : NULL;
    return slash && strlen(folder) == (size_t)(slash - m->o->init) &&
           strncmp(folder, m->o->init, (size_t)(slash - m->o->init)) == 0;
}

/* Where it leads to counts: /bin is a link into /usr. */
static int add_unseen(const struct mounts *m, struct slice folder, struct buf *out)
{
    char path[PATH_MAX], real[PATH_MAX], room[PATH_MAX];
    if (folder.len == 0 || folder.ptr[0] != '/' || folder.len >= sizeof path)
        return 0;
    memcpy(path, folder.ptr, folder.len);
    path[folder.len] = '\0';
    if (!realpath(path, real) || is_inside(m, real) || is_own(m, real) || !holds_something(real))
        return 0;
    const char *shown = short_path(m, path, room);
    if (is_listed(buf_slice(out), slice_str(shown)))
        return 0;
    return buf_printf(out, "%s%s", buf_len(out) ? ", " : "", shown);
}

int mounts_unseen_programs(const struct mounts *m, struct buf *out)
{
    struct slice rest = slice_str(m->o->path), folder;
    while (slice_next(&rest, ':', &folder))
        if (add_unseen(m, folder, out) < 0)
            return -1;
    return 0;
}
