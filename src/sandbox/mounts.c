#include "sandbox/mounts_internal.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const KINDS[] = {
#define MOUNT_KIND(name, id) [MOUNT_##name] = id,
#include "sandbox/mount_kinds.def"
};

/* Each part comes after what it may lie upon. */
static int (*const PARTS[])(struct mounts *m, struct err *e) = {
    mounts_plan_system, mounts_plan_home,   mounts_plan_command,
    mounts_plan_files,  mounts_plan_kernel, mounts_plan_texts,
};

const char *mount_kind_id(enum mount_kind k)
{
    return KINDS[k];
}

const struct mount_op *mounts_ops(const struct mounts *m, size_t *ret_count)
{
    *ret_count = m->count;
    return m->ops;
}

void mounts_free(struct mounts *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++)
        fd_auto_close(&m->ops[i].fd);
    fd_auto_close(&m->journal);
    free(m->ops);
    free(m->watched);
    free(m->seen);
    free(m->links);
    arena_free(&m->arena);
    free(m);
}

static int grow(struct mounts *m, struct err *e)
{
    if (m->count >= CAP_MOUNTS)
        return err_set(e, "more than %d mounts would be needed: name fewer files, or larger folders",
                       CAP_MOUNTS);
    size_t size = m->size ? 2 * m->size : 128;
    struct mount_op *ops = reallocarray(m->ops, size, sizeof *ops);
    if (!ops)
        return err_set(e, "no memory");
    m->ops = ops;
    m->size = size;
    return 0;
}

int mounts_add(struct mounts *m, struct mount_op op, struct err *e)
{
    if (m->count == m->size && grow(m, e) < 0) {
        fd_auto_close(&op.fd);
        return -1;
    }
    m->ops[m->count++] = op;
    return 0;
}

char *mounts_printf(struct mounts *m, struct err *e, const char *fmt, ...)
{
    char text[PATH_MAX + 256];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    char *s = n < 0 || (size_t)n >= sizeof text ? NULL : arena_printf(&m->arena, "%s", text);
    if (!s)
        err_set(e, "a path is too long, or no memory");
    return s;
}

int mounts_open(int dir, const char *path)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

const char *mounts_real(struct mounts *m, const char *path, struct err *e)
{
    AUTO_STR char *real = realpath(path, NULL);
    if (!real) {
        err_sys(e, "%s", path);
        return NULL;
    }
    return mounts_printf(m, e, "%s", real);
}

uid_t mounts_owner(const struct mounts *m)
{
    return m->o->for_root ? 0 : m->o->uid;
}

/* Root reads everything; what the jail gets to see must not be more than its user may. */
static bool may_be_read(const struct mounts *m, const char *path, const struct stat *st)
{
    if (geteuid() != 0 || st->st_uid == mounts_owner(m))
        return true;
    AUTO_STR char *real = realpath(path, NULL);
    return (st->st_mode & S_IROTH) && real && strcmp(real, path) == 0;
}

int mounts_read_file(const struct mounts *m, const char *path, struct buf *ret, struct err *e)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, "%s: not a regular file", path);
    if (!may_be_read(m, path, &st))
        return err_set(e, "%s: not the project's owner's, who may not read it", path);
    return io_read_all(fd, path, ret, e);
}

bool path_within(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    if (n == 1)
        return true;
    return strncmp(path, dir, n) == 0 && (path[n] == 0 || path[n] == '/');
}

struct mount_op *mounts_find(struct mounts *m, const char *to)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->ops[i].to, to) == 0)
            return &m->ops[i];
    return NULL;
}

const struct mount_op *mounts_above(const struct mounts *m, const char *path, bool strictly)
{
    const struct mount_op *found = NULL;
    for (size_t i = 0; i < m->count; i++) {
        const char *to = m->ops[i].to;
        if (path_within(path, to) && !(strictly && strcmp(path, to) == 0) &&
            (!found || strlen(to) >= strlen(found->to)))
            found = &m->ops[i];
    }
    return found;
}

/* Two reasons to mount on one path: the stricter one counts. */
static int merge(struct mount_op *op, struct mount_op *with)
{
    static const int STRICT[MOUNT_KINDS] = {[MOUNT_READ] = 1, [MOUNT_LINK_OVER] = 2, [MOUNT_HIDE] = 3};
    with->protects |= op->protects;
    if (STRICT[with->kind] <= STRICT[op->kind]) {
        op->protects = with->protects;
        fd_auto_close(&with->fd);
        return 0;
    }
    fd_auto_close(&op->fd);
    *op = *with;
    return 0;
}

int mounts_add_path(struct mounts *m, enum mount_kind kind, const char *path, const char *to,
                    const char *reason, bool protects, struct err *e)
{
    int fd = mounts_open(AT_FDCWD, path);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
        return 1;
    if (fd < 0)
        return err_sys(e, "%s: cannot open", path);
    struct mount_op op = {
        .kind = kind, .to = to ? to : path, .from = path, .fd = fd, .reason = reason, .protects = protects};
    struct mount_op *there = mounts_find(m, op.to);
    return there ? merge(there, &op) : mounts_add(m, op, e);
}

/* The three places that everything else is judged by.  The others need not exist (--dry-run). */
static int resolve_places(struct mounts *m, struct err *e)
{
    m->project = mounts_real(m, m->o->project, e);
    if (!m->project)
        return err_wrap(e, "the project");
    m->run = mounts_real(m, m->o->run, NULL);
    if (!m->run)
        m->run = m->o->run;
    m->home = mounts_real(m, m->o->home, NULL);
    if (!m->home)
        m->home = m->o->home;
    m->state = mounts_real(m, m->o->state, NULL);
    if (!m->state)
        m->state = m->o->state;
    return 0;
}

int mounts_plan(const struct mounts_options *o, struct mounts **ret, struct err *e)
{
    AUTO(mounts) *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, "no memory");
    m->arena = ARENA_INIT(CAP_MOUNTS_BYTES);
    m->journal = -1;
    m->o = o;
    if (resolve_places(m, e) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++)
        if (PARTS[i](m, e) < 0)
            return -1;
    *ret = TAKE(m);
    return 0;
}

void mounts_json(const struct mounts *m, struct json *j)
{
    json_array(j);
    for (size_t i = 0; i < m->count; i++) {
        const struct mount_op *op = &m->ops[i];
        json_object(j);
        json_kv_str(j, "kind", mount_kind_id(op->kind));
        json_kv_str(j, "to", op->to);
        json_kv_str(j, "from", op->from);
        json_kv_str(j, "reason", op->reason);
        json_kv_bool(j, "protects", op->protects);
        json_object_end(j);
    }
    json_array_end(j);
}
