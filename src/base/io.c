#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 16384 };

/* One read beyond the cap tells a file that fills it from one that is larger. */
static int at_end(int fd, const char *name, size_t max, struct err *e)
{
    char extra;
    ssize_t n;
    do
        n = read(fd, &extra, 1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, "%s: cannot read", name);
    return n == 0 ? 0 : err_set(e, "%s: larger than the limit of %zu bytes", name, max);
}

int io_read_all(int fd, const char *name, struct buf *ret, struct err *e)
{
    for (;;) {
        size_t space = buf_space(ret);
        if (space == 0)
            return at_end(fd, name, ret->max, e);
        char *to = buf_reserve(ret, space < READ_STEP ? space : READ_STEP);
        if (!to)
            return err_set(e, "%s: no memory", name);
        ssize_t n = read(fd, to, space < READ_STEP ? space : READ_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, "%s: cannot read", name);
        if (n == 0)
            return 0;
        buf_commit(ret, (size_t)n);
    }
}

static int read_file(const char *path, bool alone, struct buf *ret, struct err *e)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (alone ? O_NOFOLLOW : 0));
    struct stat st;
    if (fd < 0 && alone && errno == ELOOP)
        return err_set(e, "%s: a symbolic link, which is not followed: put the file itself there", path);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "%s: cannot open", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, "%s: not a regular file", path);
    if (alone && st.st_nlink != 1)
        return err_set(e, "%s: has several links (hard links)", path);
    return io_read_all(fd, path, ret, e);
}

int io_read_file(const char *path, struct buf *ret, struct err *e)
{
    return read_file(path, false, ret, e);
}

int io_read_file_alone(const char *path, struct buf *ret, struct err *e)
{
    return read_file(path, true, ret, e);
}

int io_write_all(int fd, struct slice s)
{
    while (s.len) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        s = slice_skip(s, (size_t)n);
    }
    return 0;
}

static int replace(const char *path, struct slice content, unsigned mode, bool lasting, struct err *e)
{
    char temporary[4096];
    int n = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof temporary)
        return err_set(e, "%s: path too long", path);
    unlink(temporary);
    AUTO_FD int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
    if (fd < 0)
        return err_sys(e, "%s: cannot create", temporary);
    if (io_write_all(fd, content) < 0 || (lasting && fsync(fd) < 0) || rename(temporary, path) < 0) {
        err_sys(e, "%s: cannot write", path);
        unlink(temporary);
        return -1;
    }
    return 0;
}

int io_replace_file(const char *path, struct slice content, unsigned mode, struct err *e)
{
    return replace(path, content, mode, true, e);
}

int io_place_file(const char *path, struct slice content, unsigned mode, struct err *e)
{
    return replace(path, content, mode, false, e);
}

void io_raise_descriptors(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}
