/* The part of a plan that is about the user's files: project, `files`, --ro, --rw; hide beats write beats
 * read. */
#include "sandbox/mounts_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct root {
    const char *path;    /* without links */
    const char *written; /* as it was named; its own place in the jail too where that differs */
    bool write;
    const char *reason;
};

struct roots {
    struct root rows[CAP_MOUNT_ROOTS];
    size_t count;
};

static int add_root(struct mounts *m, struct roots *r, const char *written, bool write, const char *reason,
                    struct err *e)
{
    const char *real = mounts_real(m, written, e);
    if (!real)
        return -1;
    if (strcmp(real, "/") == 0)
        return err_set(e, "/ cannot be shown to a jail: name the folders that are needed");
    if (r->count == CAP_MOUNT_ROOTS)
        return err_set(e, "more than %d paths", CAP_MOUNT_ROOTS);
    r->rows[r->count++] = (struct root){real, written, write, reason};
    return 0;
}

/* What is only read may be missing: a policy is shared by people with different homes. */
static int add_list(struct mounts *m, struct roots *r, const char *const *list, bool write, struct err *e)
{
    const char *reason = write ? "files.write" : "files.read";
    for (size_t i = 0; list && list[i]; i++) {
        if (!write && access(list[i], F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
            continue;
        if (add_root(m, r, list[i], write, reason, e) < 0)
            return err_wrap(e, "%s", reason);
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct root *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : y->write - x->write;
}

/* A path below one of the same or a stronger kind needs no mount of its own.  Sorted: parents come first. */
static bool covered(const struct roots *r, size_t i)
{
    for (size_t k = 0; k < r->count; k++) {
        const struct root *other = &r->rows[k], *own = &r->rows[i];
        bool same = strcmp(other->path, own->path) == 0;
        if (k == i || !path_within(own->path, other->path) || (same && k > i))
            continue;
        if (other->write || !own->write)
            return true;
    }
    return false;
}

/* The state directory and what else decides about the jail must not lie where the jail writes, nor around it.
 */
static int check_never(const struct mounts *m, const char *path, const char *written, struct err *e)
{
    if (path_within(path, m->state) || path_within(m->state, path))
        return err_set(e, "%s would be writable in the jail, but exeat's state lies in %s: move one of them",
                       written, m->state);
    for (size_t i = 0; m->o->never && m->o->never[i]; i++) {
        AUTO_STR char *real = realpath(m->o->never[i], NULL);
        const char *never = real ? real : m->o->never[i];
        if (path_within(never, path) || path_within(path, never))
            return err_set(
                e,
                "%s would be writable in the jail, but %s, which decides about the jail, lies there: move "
                "one of them",
                written, never);
    }
    return 0;
}

static int bind_root(struct mounts *m, const struct root *r, struct err *e)
{
    if (r->write && check_never(m, r->path, r->written, e) < 0)
        return -1;
    enum mount_kind kind = r->write ? MOUNT_WRITE : MOUNT_READ;
    int rc = mounts_add_path(m, kind, r->path, NULL, r->reason, false, e);
    if (rc > 0)
        return err_set(e, "%s: cannot be opened", r->written);
    if (rc < 0 || strcmp(r->path, r->written) == 0)
        return rc;
    return mounts_add(
        m,
        (struct mount_op){
            .kind = MOUNT_LINK, .to = r->written, .from = r->path, .fd = -1, .reason = r->reason},
        e);
}

static int collect(struct mounts *m, struct roots *r, struct err *e)
{
    if (add_root(m, r, m->o->project, !m->o->write_written, "the project", e) < 0)
        return err_wrap(e, "the project");
    if (add_list(m, r, m->o->read, false, e) < 0 || add_list(m, r, m->o->write, true, e) < 0)
        return -1;
    qsort(r->rows, r->count, sizeof *r->rows, by_path);
    return 0;
}

/* A link where the jail writes may be the jail's: it must not choose what the next one sees. */
static int check_link(struct mounts *m, const char *written, const char *real, bool hide, struct err *e)
{
    const char *root = mounts_root_of_link(m, written);
    if (!root || (!hide && path_within(real, root)))
        return 0;
    return err_set(
        e,
        "%s leads to %s through a link in %s, where commands in a jail write and may have made it: name what "
        "it leads to",
        written, real, root);
}

/* Held in place where the jail writes: renamed, it would not be hidden in the next run. */
static int hide(struct mounts *m, const char *written, const char *real, struct err *e)
{
    static const struct mount_pin pin = {.kind = MOUNT_HIDE, .reason = "files.hide"};
    if (check_link(m, written, real, true, e) < 0)
        return -1;
    if (mounts_writable(m, real))
        return mounts_pin(m, real, &pin, e);
    return mounts_add_path(m, MOUNT_HIDE, real, NULL, "files.hide", true, e) < 0 ? -1 : 0;
}

static int hide_list(struct mounts *m, struct err *e)
{
    for (size_t i = 0; m->o->hide && m->o->hide[i]; i++) {
        const char *real = mounts_real(m, m->o->hide[i], NULL);
        if (real && hide(m, m->o->hide[i], real, e) < 0)
            return -1;
    }
    return 0;
}

/* Only a folder that is shown can hold it; what is writable cannot (check_never). */
static int hide_state(struct mounts *m, const struct roots *r, struct err *e)
{
    for (size_t i = 0; i < r->count; i++)
        if (path_within(m->state, r->rows[i].path))
            return mounts_add_path(m, MOUNT_HIDE, m->state, NULL, "exeat's state", true, e) < 0 ? -1 : 0;
    return 0;
}

static int bind_roots(struct mounts *m, const struct roots *r, struct err *e)
{
    for (size_t i = 0; i < r->count; i++) {
        if (covered(r, i))
            continue;
        if (bind_root(m, &r->rows[i], e) < 0)
            return -1;
        if (r->rows[i].write)
            m->writable[m->writable_count++] = r->rows[i].path;
    }
    return 0;
}

static int check_links(struct mounts *m, const struct roots *r, struct err *e)
{
    for (size_t i = 0; i < r->count; i++)
        if (check_link(m, r->rows[i].written, r->rows[i].path, false, e) < 0)
            return err_wrap(e, "%s", r->rows[i].reason);
    return 0;
}

/* A walk from a folder finds what lies in the folders below it. */
static int walk_roots(struct mounts *m, const struct roots *r, struct err *e)
{
    const char *last = NULL;
    for (size_t i = 0; i < r->count; i++) {
        if (last && path_within(r->rows[i].path, last))
            continue;
        last = r->rows[i].path;
        if (mounts_plan_tree(m, last, e) < 0)
            return -1;
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    return strcmp(((const struct mount_op *)a)->to, ((const struct mount_op *)b)->to);
}

static bool is_hidden(const struct mounts *m, size_t first, size_t end, const char *path)
{
    for (size_t i = first; i < end; i++)
        if (m->ops[i].kind == MOUNT_HIDE && path_within(path, m->ops[i].to))
            return true;
    return false;
}

/* What lies below a hidden folder cannot be mounted on, and need not be. */
static void drop_hidden(struct mounts *m, size_t first)
{
    size_t kept = first;
    for (size_t i = first; i < m->count; i++) {
        if (is_hidden(m, first, kept, m->ops[i].to))
            fd_auto_close(&m->ops[i].fd);
        else
            m->ops[kept++] = m->ops[i];
    }
    m->count = kept;
}

int mounts_plan_files(struct mounts *m, struct err *e)
{
    struct roots r = {0};
    size_t first = m->count;
    if (collect(m, &r, e) < 0 || bind_roots(m, &r, e) < 0 || check_links(m, &r, e) < 0 ||
        hide_list(m, e) < 0 || hide_state(m, &r, e) < 0 || walk_roots(m, &r, e) < 0 ||
        mounts_plan_repository(m, m->project, e) < 0 || mounts_plan_twins(m, e) < 0)
        return -1;
    /* a folder before what lies in it: mounting it later would cover that */
    qsort(m->ops + first, m->count - first, sizeof *m->ops, by_place);
    drop_hidden(m, first);
    return mounts_note_links(m, e);
}
