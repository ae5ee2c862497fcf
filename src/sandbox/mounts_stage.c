/* Builds the jail's root, in a mount namespace of its own, by descriptor. */
#include "sandbox/mounts_internal.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

enum { TMPFS_MAX = 16, SMALL_BYTES = 64 << 10 };

/* Where things stand while the root grows: a tmpfs over a folder of the run, with
 *   root/   a second tmpfs: the jail's /
 *   make/   what is mounted somewhere else: texts, links, empty things */
struct stage {
    struct mounts *m;
    int root, make;
    dev_t root_dev;
    unsigned made;         /* names used up in make/ */
    dev_t ours[TMPFS_MAX]; /* file systems in which mount points may be made */
    size_t our_count;
};

/* Everything in a jail: no setuid files, no devices. */
enum { FLAGS = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };

static int attach(int tree, int target)
{
    return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int set_flags(int tree, uint64_t flags)
{
    struct mount_attr attr = {.attr_set = flags};
    return mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr);
}

static bool same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A link in the jail may lead to a mount point (/lib), but not to one that protects: it would be elsewhere.
 */
static int open_in(int root, const char *path, bool links)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (links ? 0 : RESOLVE_NO_SYMLINKS),
    };
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* Mount points may be made in what is ours and empty at the start, never in what is the host's. */
static bool is_ours(const struct stage *s, int dir)
{
    struct stat st;
    if (fstat(dir, &st) < 0)
        return false;
    for (size_t i = 0; i < s->our_count; i++)
        if (s->ours[i] == st.st_dev)
            return true;
    return false;
}

static int make_name(const struct stage *s, int dir, const char *name, mode_t type)
{
    if (!is_ours(s, dir)) {
        errno = ENOENT;
        return -1;
    }
    if (S_ISDIR(type))
        return mkdirat(dir, name, 0755);
    int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
    return fd < 0 ? -1 : close(fd);
}

/* Opens the parent of `path`, making folders where they may be made.  ret_name: the last part. */
static int open_parent(const struct stage *s, const char *path, char ret_name[NAME_MAX + 1])
{
    AUTO_FD int dir = openat(s->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct slice rest = slice_str(path), part, next;
    if (!slice_next(&rest, '/', &part) || !slice_next(&rest, '/', &part)) /* "" before the first slash */
        return -1;
    for (; slice_next(&rest, '/', &next); part = next) {
        char upto[PATH_MAX];
        snprintf(upto, sizeof upto, "%.*s", (int)(part.ptr + part.len - path), path);
        AUTO_FD int sub = open_in(s->root, upto, true);
        if (sub < 0) {
            char name[NAME_MAX + 1];
            snprintf(name, sizeof name, "%.*s", SLICE_FMT(part));
            if (make_name(s, dir, name, S_IFDIR) < 0)
                return -1;
            sub = open_in(s->root, upto, true);
        }
        fd_auto_close(&dir);
        dir = TAKE_FD(sub);
    }
    snprintf(ret_name, NAME_MAX + 1, "%.*s", SLICE_FMT(part));
    return TAKE_FD(dir);
}

/* The place to mount on, made where it is not there and may be made. */
static int open_target(struct stage *s, const char *path, mode_t type, bool links)
{
    char name[NAME_MAX + 1];
    if (strcmp(path, "/") == 0)
        return openat(s->root, ".", O_PATH | O_CLOEXEC);
    AUTO_FD int dir = open_parent(s, path, name);
    if (dir < 0)
        return -1;
    int fd = open_in(s->root, path, links);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    return make_name(s, dir, name, type) < 0 ? -1 : open_in(s->root, path, links);
}

/* A detached copy of the mounts at the op's source, opened anew in this namespace: a descriptor of the old
 * one cannot be bound here.  It must still be the file that was planned. */
static int clone_source(const struct mount_op *op, struct err *e)
{
    AUTO_FD int fd = mounts_open(AT_FDCWD, op->from);
    if (fd < 0)
        return err_sys(e, "%s: cannot open", op->from);
    if (op->fd >= 0 && !same_file(fd, op->fd))
        return err_set(e, "%s was exchanged while the jail was being made", op->from);
    int tree = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    return tree < 0 ? err_sys(e, "%s: cannot be bound", op->from) : tree;
}

static int type_of(int fd, mode_t *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    *ret = st.st_mode & S_IFMT;
    return 0;
}

/* must_be: the file of the host that is covered, where that was planned; -1.  A place in our own tmpfs (below
 * the empty home) is none of the host's. */
static int put(struct stage *s, const struct mount_op *op, int tree, uint64_t flags, int must_be,
               struct err *e)
{
    mode_t type;
    if (set_flags(tree, flags) < 0 || type_of(tree, &type) < 0)
        return err_sys(e, "%s: cannot set mount flags", op->to);
    AUTO_FD int target = open_target(s, op->to, type, !op->protects);
    if (target < 0)
        return err_sys(e, "%s: no such place in the jail", op->to);
    if (must_be >= 0 && !is_ours(s, target) && !same_file(target, must_be))
        return err_set(e, "%s was exchanged while the jail was being made", op->to);
    if (attach(tree, target) < 0)
        return err_sys(e, "%s: cannot mount", op->to);
    return 0;
}

/* Mounted on itself, the place must be the file as well; on a folder of ours it is one that we made. */
static int expected(const struct stage *s, const struct mount_op *op)
{
    const struct mount_op *above = mounts_above(s->m, op->to, true);
    bool itself = strcmp(op->to, op->from) == 0 && op->protects;
    return itself && !(above && above->make_from) ? op->fd : -1;
}

static int bind_op(struct stage *s, const struct mount_op *op, uint64_t flags, struct err *e)
{
    AUTO_FD int tree = clone_source(op, e);
    return tree < 0 ? -1 : put(s, op, tree, FLAGS | flags, expected(s, op), e);
}

/* --- small files --- */

/* A mount costs more than a small file: bubblewrap copies each and reads the list of all of them for each
 * thing that it mounts itself.  So what is read-only, does not change and lies in the jail's own /, which is
 * made read-only in the end, is written there. */
static int open_in_place(const struct stage *s, const char *to)
{
    char name[NAME_MAX + 1];
    struct stat st;
    AUTO_FD int dir = open_parent(s, to, name);
    if (dir < 0 || fstat(dir, &st) < 0 || st.st_dev != s->root_dev)
        return -1;
    return openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
}

/* Opens the planned file for reading; -1 where it is not small, not plain or not this user's to read. */
static int open_small(const struct mount_op *op, size_t *ret_size)
{
    const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                                 .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    struct stat st;
    if (!op->settled || op->protects || op->fd < 0 || fstat(op->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size > SMALL_BYTES || (st.st_mode & 0111))
        return -1;
    AUTO_FD int fd = (int)syscall(SYS_openat2, AT_FDCWD, op->from, &how, sizeof how);
    if (fd < 0 || !same_file(fd, op->fd))
        return -1;
    *ret_size = (size_t)st.st_size;
    return TAKE_FD(fd);
}

/* True when it is there now; else it has to be mounted. */
static bool copy_in_place(const struct stage *s, const struct mount_op *op)
{
    char bytes[SMALL_BYTES];
    size_t size = 0;
    AUTO_FD int from = open_small(op, &size);
    if (from < 0 || read(from, bytes, sizeof bytes) != (ssize_t)size)
        return false;
    AUTO_FD int to = open_in_place(s, op->to);
    return to >= 0 && io_write_all(to, slice_of(bytes, size)) == 0;
}

static int apply_read(struct stage *s, const struct mount_op *op, struct err *e)
{
    return copy_in_place(s, op) ? 0 : bind_op(s, op, MOUNT_ATTR_RDONLY, e);
}

static int apply_write(struct stage *s, const struct mount_op *op, struct err *e)
{
    return bind_op(s, op, 0, e);
}

static int new_tmpfs(struct stage *s, const char *mode)
{
    struct stat st;
    AUTO_FD int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode, 0) < 0 ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    AUTO_FD int tree = fsmount(fs, FSMOUNT_CLOEXEC, FLAGS);
    if (tree < 0 || fstat(tree, &st) < 0 || s->our_count == TMPFS_MAX)
        return -1;
    s->ours[s->our_count++] = st.st_dev;
    return TAKE_FD(tree);
}

/* /tmp and its like are as everywhere (sticky, for all); home is the user's alone. */
static int apply_tmpfs(struct stage *s, const struct mount_op *op, struct err *e)
{
    bool shared = strcmp(op->to, "/tmp") == 0 || strcmp(op->to, "/var/tmp") == 0;
    AUTO_FD int tree = new_tmpfs(s, shared ? "1777" : strcmp(op->to, "/run") == 0 ? "0755" : "0700");
    return tree < 0 ? err_sys(e, "%s: cannot make a tmpfs", op->to) : put(s, op, tree, FLAGS, -1, e);
}

static int apply_dir(struct stage *s, const struct mount_op *op, struct err *e)
{
    AUTO_FD int fd = open_target(s, op->to, S_IFDIR, true);
    return fd < 0 ? err_sys(e, "%s: cannot make the folder", op->to) : 0;
}

static int apply_link(struct stage *s, const struct mount_op *op, struct err *e)
{
    char name[NAME_MAX + 1];
    AUTO_FD int dir = open_parent(s, op->to, name);
    if (dir < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s: cannot make the link", op->to);
    if (!is_ours(s, dir)) /* the host's own link, or nothing, stands there */
        return 0;
    if (symlinkat(op->from, dir, name) < 0 && errno != EEXIST)
        return err_sys(e, "%s: cannot make the link", op->to);
    return 0;
}

static int clone_made(struct stage *s, const char *name)
{
    return open_tree(s->make, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
}

static int apply_hide(struct stage *s, const struct mount_op *op, struct err *e)
{
    struct stat st;
    char name[16];
    if (op->fd < 0 || fstat(op->fd, &st) < 0)
        return err_set(e, "%s: cannot be covered", op->to);
    snprintf(name, sizeof name, "%u", s->made++);
    if (S_ISDIR(st.st_mode) ? mkdirat(s->make, name, 0555) < 0
                            : mknodat(s->make, name, S_IFREG | 0444, 0) < 0)
        return err_sys(e, "%s: cannot be covered", op->to);
    AUTO_FD int tree = clone_made(s, name);
    return tree < 0 ? err_sys(e, "%s: cannot be covered", op->to)
                    : put(s, op, tree, FLAGS | MOUNT_ATTR_RDONLY, op->fd, e);
}

static int apply_link_over(struct stage *s, const struct mount_op *op, struct err *e)
{
    char name[16];
    snprintf(name, sizeof name, "%u", s->made++);
    if (symlinkat(op->from, s->make, name) < 0)
        return err_sys(e, "%s: cannot make a link", op->to);
    AUTO_FD int tree = clone_made(s, name);
    return tree < 0 ? err_sys(e, "%s: cannot mount a link", op->to)
                    : put(s, op, tree, FLAGS | MOUNT_ATTR_RDONLY, op->fd, e);
}

/* Lies on what is there, or in a folder of ours; where the system has no such place, nobody looks for it. */
static int apply_text(struct stage *s, const struct mount_op *op, struct err *e)
{
    char name[16];
    AUTO_FD int here = open_in_place(s, op->to);
    if (here >= 0)
        return io_write_all(here, slice_of(op->text, op->len)) < 0 ? err_sys(e, "%s: cannot write", op->to)
                                                                   : 0;
    snprintf(name, sizeof name, "%u", s->made++);
    AUTO_FD int file = openat(s->make, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
    if (file < 0 || io_write_all(file, slice_of(op->text, op->len)) < 0)
        return err_sys(e, "%s: cannot write", op->to);
    AUTO_FD int target = open_target(s, op->to, S_IFREG, true);
    if (target < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0;
    AUTO_FD int tree = clone_made(s, name);
    return tree < 0 ? err_sys(e, "%s: cannot mount", op->to)
                    : put(s, op, tree, FLAGS | MOUNT_ATTR_RDONLY, -1, e);
}

static int (*const APPLY[])(struct stage *s, const struct mount_op *op, struct err *e) = {
    [MOUNT_READ] = apply_read, [MOUNT_WRITE] = apply_write, [MOUNT_TMPFS] = apply_tmpfs,
    [MOUNT_DIR] = apply_dir,   [MOUNT_HIDE] = apply_hide,   [MOUNT_DEV] = apply_dir,
    [MOUNT_PROC] = apply_dir,  [MOUNT_LINK] = apply_link,   [MOUNT_LINK_OVER] = apply_link_over,
    [MOUNT_TEXT] = apply_text,
};
_Static_assert(ARRAY_LEN(APPLY) == MOUNT_KINDS, "a kind of mount lacks its function");

static int apply_all(struct stage *s, struct err *e)
{
    for (size_t i = 0; i < s->m->count; i++) {
        const struct mount_op *op = &s->m->ops[i];
        bool only_place = op->kind == MOUNT_PROC || op->kind == MOUNT_DEV;
        if ((only_place || !mounts_of_bubblewrap(op)) && APPLY[op->kind](s, op, e) < 0)
            return err_wrap(e, "%s", op->reason);
    }
    return 0;
}

/* Opens again what lies under a mount that was just made on `path`. */
static int over(int dir, const char *path, int tree)
{
    AUTO_FD int at = openat(dir, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0 || attach(tree, at) < 0)
        return -1;
    return openat(dir, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_stage(struct stage *s, struct err *e)
{
    struct stat st;
    AUTO_FD int outer = new_tmpfs(s, "0700"), inner = new_tmpfs(s, "0755");
    if (outer < 0 || inner < 0)
        return err_sys(e, "cannot make a tmpfs");
    const char *stage = mounts_printf(s->m, e, "%s/stage", s->m->run);
    if (!stage || (mkdir(stage, 0700) < 0 && errno != EEXIST))
        return err_sys(e, "%s: cannot make a folder", s->m->run);
    AUTO_FD int base = over(AT_FDCWD, stage, outer);
    if (base < 0 || mkdirat(base, "root", 0755) < 0 || mkdirat(base, "make", 0700) < 0)
        return err_sys(e, "%s: cannot mount on it", s->m->run);
    s->root = over(base, "root", inner);
    s->make = openat(base, "make", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->root < 0 || s->make < 0 || fstat(s->root, &st) < 0)
        return err_sys(e, "%s: cannot mount in it", s->m->run);
    s->root_dev = st.st_dev;
    return 0;
}

static int close_stage(struct stage *s, struct err *e)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount_setattr(s->root, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return err_sys(e, "cannot make the jail's root read-only");
    const char *root = mounts_printf(s->m, e, "%s/stage/root", s->m->run);
    return root ? mounts_make_arguments(s->m, root, e) : -1;
}

int mounts_enter(struct mounts *m, struct err *e)
{
    struct stage s = {.m = m, .root = -1, .make = -1};
    mode_t mask = umask(0);
    if (unshare(CLONE_NEWNS) < 0)
        return err_sys(e, "cannot make a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_sys(e, "cannot leave the host's mount propagation");
    int rc = open_stage(&s, e) < 0 || apply_all(&s, e) < 0 || close_stage(&s, e) < 0 ? -1 : 0;
    fd_auto_close(&s.root);
    fd_auto_close(&s.make);
    umask(mask);
    return rc;
}
