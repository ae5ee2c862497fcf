#include "sandbox/jail_streams.h"

#include "sandbox/mounts_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINK_BYTES = 32 };

static void link_of(int fd, char ret[LINK_BYTES])
{
    snprintf(ret, LINK_BYTES, "/proc/self/fd/%d", fd);
}

/* A file that could be changed through a descriptor that only reads. */
static bool is_concerned(int fd, struct stat *ret)
{
    char link[LINK_BYTES];
    int flags = fcntl(fd, F_GETFL);
    link_of(fd, link);
    return flags >= 0 && (flags & O_ACCMODE) == O_RDONLY && fstat(fd, ret) == 0 && S_ISREG(ret->st_mode) &&
           ret->st_nlink > 0 && (ret->st_uid == getuid() || access(link, W_OK) == 0);
}

/* O_PATH of the same file, by its name in this mount namespace: mounts of another one cannot be copied. */
static int find_again(int fd, const struct stat *st)
{
    char link[LINK_BYTES], path[PATH_MAX];
    struct stat found;
    link_of(fd, link);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len <= 0)
        return -1;
    path[len] = '\0';
    AUTO_FD int again = mounts_open(AT_FDCWD, path);
    if (again < 0 || fstat(again, &found) < 0)
        return -1;
    if (found.st_dev != st->st_dev || found.st_ino != st->st_ino) {
        errno = ESTALE;
        return -1;
    }
    return TAKE_FD(again);
}

static int open_read_only(int fd, const struct stat *st)
{
    char link[LINK_BYTES];
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    AUTO_FD int again = find_again(fd, st);
    AUTO_FD int tree =
        again < 0 ? -1 : open_tree(again, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return -1;
    link_of(tree, link);
    AUTO_FD int file = open(link, O_RDONLY | O_CLOEXEC | (fcntl(fd, F_GETFL) & O_NONBLOCK));
    if (file < 0 || lseek(file, lseek(fd, 0, SEEK_CUR), SEEK_SET) < 0)
        return -1;
    return TAKE_FD(file);
}

int jail_streams_open(int ret_fds[JAIL_STREAMS], struct err *e)
{
    static const char *const names[JAIL_STREAMS] = {"input", "output", "error"};
    int fds[JAIL_STREAMS] = {-1, -1, -1};
    for (int fd = 0; fd < JAIL_STREAMS; fd++) {
        struct stat st;
        if (!is_concerned(fd, &st) || (fds[fd] = open_read_only(fd, &st)) >= 0)
            continue;
        err_sys(e, "the file of standard %s cannot be protected: use a pipe (`cat FILE | exeat run …`)",
                names[fd]);
        while (fd > 0)
            fd_auto_close(&fds[--fd]);
        return -1;
    }
    memcpy(ret_fds, fds, sizeof fds);
    return 0;
}
