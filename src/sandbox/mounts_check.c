/* Whether the mounts that protect something are still there, from the outside.
 *
 * A mount is known by its id (proc_pid_mountinfo(5)), not its path: renaming a folder above it moves the path
 * and harms nothing, but a mount that fell off and another one at the same path are not the same. */
#include "sandbox/mounts_internal.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mountinfo_row {
    uint64_t id;
    struct slice point; /* escaped as the kernel writes it */
};

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime …": id, parent, device, root, mount point. */
static bool next_row(struct slice *rest, struct mountinfo_row *ret)
{
    struct slice line, word[5];
    while (slice_next(rest, '\n', &line)) {
        size_t n = 0;
        while (n < ARRAY_LEN(word) && slice_next(&line, ' ', &word[n]))
            n++;
        if (n == ARRAY_LEN(word) && slice_to_u64(word[0], UINT64_MAX, &ret->id) == 0) {
            ret->point = word[4];
            return true;
        }
    }
    return false;
}

static int read_mountinfo(pid_t pid, struct buf *ret, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)pid);
    return io_read_file(path, ret, e);
}

/* Space, tab, newline and backslash are written in octal there. */
static bool same_point(struct slice escaped, const char *path)
{
    size_t i = 0;
    for (; *path; path++) {
        char octal[5];
        bool special = strchr(" \t\n\\", *path) != NULL;
        snprintf(octal, sizeof octal, special ? "\\%03o" : "%c", (unsigned char)*path);
        size_t n = strlen(octal);
        if (escaped.len - i < n || memcmp(escaped.ptr + i, octal, n) != 0)
            return false;
        i += n;
    }
    return i == escaped.len;
}

/* The last row of a path is the mount on top. */
static uint64_t find_id(struct slice info, const char *path)
{
    struct mountinfo_row row;
    uint64_t id = 0;
    while (next_row(&info, &row))
        if (same_point(row.point, path))
            id = row.id;
    return id;
}

static bool has_id(struct slice info, uint64_t id)
{
    struct mountinfo_row row;
    while (next_row(&info, &row))
        if (row.id == id)
            return true;
    return false;
}

int mounts_watch(struct mounts *m, pid_t pid, struct err *e)
{
    AUTO_BUF info = BUF_INIT(CAP_MOUNTINFO_BYTES);
    if (read_mountinfo(pid, &info, e) < 0)
        return -1;
    uint64_t *ids = calloc(m->count, sizeof *ids);
    if (!ids)
        return err_set(e, "no memory");
    for (size_t i = 0; i < m->count; i++) {
        if (!m->ops[i].protects)
            continue;
        ids[i] = find_id(buf_slice(&info), m->ops[i].to);
        if (ids[i] == 0) {
            free(ids);
            return err_set(e, "%s (%s) is not mounted in the jail", m->ops[i].to, m->ops[i].reason);
        }
    }
    free(m->watched);
    m->watched = ids;
    return 0;
}

int mounts_check(const struct mounts *m, pid_t pid, struct err *e)
{
    AUTO_BUF info = BUF_INIT(CAP_MOUNTINFO_BYTES);
    struct err gone = {0};
    if (!m->watched)
        return 0;
    if (read_mountinfo(pid, &info, &gone) < 0)
        return gone.sys == ENOENT || gone.sys == ESRCH || gone.sys == EINVAL ? 0
                                                                             : err_set(e, "%s", gone.text);
    if (buf_len(&info) == 0) /* ending: its namespace has gone */
        return 0;
    for (size_t i = 0; i < m->count; i++)
        if (m->watched[i] && !has_id(buf_slice(&info), m->watched[i]))
            return err_set(e, "%s (%s) lost its protection, because it was replaced outside the jail",
                           m->ops[i].to, m->ops[i].reason);
    return 0;
}
