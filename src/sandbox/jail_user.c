#include "sandbox/jail_user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECES_MAX = 1000, COVERED_MAX = 16, IDS = 65536 };

/* Something of the host that is put where it is again: as another user's, or below a covered folder. */
struct piece {
    const char *path;
    const char *closed; /* the topmost folder above it that the user may not enter; NULL: none */
    bool mapped, folder;
    int tree;
};

struct pieces {
    const struct jail_options *o;
    struct piece at[PIECES_MAX];
    size_t count;
    char *covered[COVERED_MAX];
    size_t covered_count;
    char *home; /* without links; NULL: not there */
    int userns; /* with root's ids as the jail's user's; -1: not needed */
};

static bool is_within(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool may_enter(const struct stat *st, const struct network_options *n)
{
    mode_t bit = st->st_uid == n->uid ? S_IXUSR : st->st_gid == n->gid ? S_IXGRP : S_IXOTH;
    return st->st_mode & bit;
}

/* The first folder on the way to `path` that is closed to the user, as a text of its own; NULL: none. */
static char *find_closed(const char *path, const struct network_options *n)
{
    char above[PATH_MAX];
    struct stat st;
    snprintf(above, sizeof above, "%s", path);
    for (char *slash = strchr(above + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(above, &st) == 0 && !may_enter(&st, n))
            return strdup(above);
        *slash = '/';
    }
    return NULL;
}

/* --- which pieces --- */

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct piece *)a)->path, ((const struct piece *)b)->path);
}

static const char *cover(struct pieces *p, char *closed)
{
    for (size_t i = 0; closed && i < p->covered_count; i++)
        if (is_within(closed, p->covered[i])) {
            free(closed);
            return p->covered[i];
        }
    if (!closed || p->covered_count == COVERED_MAX) {
        free(closed);
        return NULL;
    }
    p->covered[p->covered_count++] = closed;
    return closed;
}

/* What belongs to root: where the user stands for root, all that is root's own (project, home, what is to be
 * written), but not the system, whose closed files stay closed.  Where it is the project's owner, the project
 * is as that owner sees it ever, since ids that trade places would take the owner's own files away; only what
 * is to be written besides it is lent. */
static bool wants_map(const struct pieces *p, const struct mount_op *op, const struct stat *st)
{
    const struct jail_options *o = p->o;
    bool project = is_within(op->from, o->project);
    if (st->st_uid != 0 || is_within(op->from, o->private))
        return false;
    if (!o->for_root)
        return op->kind == MOUNT_WRITE && !project;
    return op->kind == MOUNT_WRITE || project || (p->home && is_within(op->from, p->home));
}

static int add_piece(struct pieces *p, const struct mount_op *op, struct err *e)
{
    struct stat st;
    bool host = op->kind == MOUNT_READ || op->kind == MOUNT_WRITE;
    if (!host || !op->from || is_within(op->from, "/proc") || lstat(op->from, &st) < 0)
        return 0;
    const char *closed = cover(p, find_closed(op->from, &p->o->network));
    bool mapped = wants_map(p, op, &st);
    if (!closed && !mapped)
        return 0;
    if (p->count == PIECES_MAX)
        return err_set(e, "too many mounts");
    p->at[p->count++] = (struct piece){
        .path = op->from, .closed = closed, .mapped = mapped, .folder = S_ISDIR(st.st_mode), .tree = -1};
    return 0;
}

static int find_pieces(struct pieces *p, struct err *e)
{
    size_t count;
    const struct mount_op *ops = mounts_ops(p->o->mounts, &count);
    for (size_t i = 0; i < count; i++)
        if (add_piece(p, &ops[i], e) < 0)
            return -1;
    qsort(p->at, p->count, sizeof p->at[0], compare);
    /* What lies in another piece comes with it. */
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++)
        if (kept == 0 || !is_within(p->at[i].path, p->at[kept - 1].path))
            p->at[kept++] = p->at[i];
    p->count = kept;
    return 0;
}

/* --- id maps --- */

static int write_map(pid_t pid, const char *name, unsigned id)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int len = snprintf(text, sizeof text, "0 %u 1\n1 1 %u\n%u %u %u\n", id, id - 1, id + 1, id + 1,
                       id >= IDS ? IDS : IDS - id);
    AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, (size_t)len) == len ? 0 : -1;
}

/* Root's files become this user's and back; all others stay whose they are. */
static int make_userns(const struct network_options *n, struct err *e)
{
    int ready[2];
    char byte, path[64];
    if (pipe2(ready, O_CLOEXEC) < 0)
        return err_sys(e, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        byte = unshare(CLONE_NEWUSER) == 0 ? '+' : '-';
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    close(ready[1]);
    ssize_t got = pid > 0 ? read(ready[0], &byte, 1) : 0;
    close(ready[0]);
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    int fd = -1;
    if (got == 1 && byte == '+' && write_map(pid, "uid_map", n->uid) == 0 &&
        write_map(pid, "gid_map", n->gid) == 0)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    int why = errno;
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    errno = why;
    return fd < 0 ? err_sys(e, "a user namespace for root's files") : fd;
}

/* --- taking them, and putting them back --- */

static int set_map(int tree, int userns, unsigned flags)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attr, sizeof attr);
}

/* With what is mounted below it where all of that can; else that stays root's, which the user cannot write. */
static int show_as_users(const struct pieces *p, const struct piece *piece, struct err *e)
{
    if (set_map(piece->tree, p->userns, AT_RECURSIVE) == 0 || set_map(piece->tree, p->userns, 0) == 0)
        return 0;
    return errno == EPERM
               ? err_sys(e, "%s belongs to root, and may not be shown as another user's (a container?)",
                         piece->path)
               : err_sys(e, "%s belongs to root, and its file system cannot show it as another user's",
                         piece->path);
}

static int take(struct pieces *p, struct piece *piece, struct err *e)
{
    piece->tree = (int)syscall(SYS_open_tree, AT_FDCWD, piece->path,
                               OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
                                   (piece->folder ? AT_RECURSIVE : 0));
    if (piece->tree < 0)
        return err_sys(e, "%s", piece->path);
    if (!piece->mapped)
        return 0;
    if (p->userns < 0 && (p->userns = make_userns(&p->o->network, e)) < 0)
        return -1;
    return show_as_users(p, piece, e);
}

static int make_way(const char *path, bool folder)
{
    char above[PATH_MAX];
    snprintf(above, sizeof above, "%s", path);
    for (char *slash = strchr(above + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(above, 0755) < 0 && errno != EEXIST)
            return -1;
        *slash = '/';
    }
    if (folder)
        return mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0;
    AUTO_FD int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
    return fd < 0 ? -1 : 0;
}

static int put_back(const struct piece *piece, struct err *e)
{
    if (piece->closed && make_way(piece->path, piece->folder) < 0)
        return err_sys(e, "%s: cannot make the way to it", piece->path);
    if (syscall(SYS_move_mount, piece->tree, "", AT_FDCWD, piece->path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(e, "%s: cannot mount", piece->path);
    return 0;
}

static int arrange(struct pieces *p, struct err *e)
{
    if (find_pieces(p, e) < 0)
        return -1;
    if (p->count == 0)
        return 0;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(e, "a mount namespace");
    for (size_t i = 0; i < p->count; i++)
        if (take(p, &p->at[i], e) < 0)
            return -1;
    for (size_t i = 0; i < p->covered_count; i++)
        if (mount("exeat", p->covered[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") < 0)
            return err_sys(e, "%s: cannot cover", p->covered[i]);
    for (size_t i = 0; i < p->count; i++)
        if (put_back(&p->at[i], e) < 0)
            return -1;
    return 0;
}

static int arrange_files(const struct jail_options *o, struct err *e)
{
    struct pieces *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, "no memory");
    p->o = o;
    p->userns = -1;
    p->home = realpath(o->home, NULL);
    int result = arrange(p, e);
    for (size_t i = 0; i < p->count; i++)
        fd_auto_close(&p->at[i].tree);
    fd_auto_close(&p->userns);
    for (size_t i = 0; i < p->covered_count; i++)
        free(p->covered[i]);
    free(p->home);
    free(p);
    return result;
}

int jail_user_become(const struct jail_options *o, struct err *e)
{
    const struct network_options *n = &o->network;
    if (!o->drop)
        return 0;
    if (arrange_files(o, e) < 0)
        return -1;
    if (setgroups(0, NULL) < 0 || setresgid(n->gid, n->gid, n->gid) < 0 ||
        setresuid(n->uid, n->uid, n->uid) < 0)
        return err_sys(e, "cannot become uid %u", n->uid);
    return 0;
}
