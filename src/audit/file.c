#include "audit/file.h"

#include "audit/tail.h"
#include "base/caps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROTATED_DIGITS = 12, MAX_ROTATED = 1 << 20 };

/* F_OFD locks belong to the open file, not to the process: no close of another descriptor drops them. */
static int lock_file(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &whole);
}

static int judge_file(const char *name, const struct stat *st, struct err *e)
{
    if (!S_ISREG(st->st_mode))
        return err_set(e, "%s: not a regular file", name);
    if (st->st_nlink != 1)
        return err_set(e, "%s: has %lu names (hard links), and a log may have one", name,
                       (unsigned long)st->st_nlink);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return err_set(e, "%s: others may write to it (mode %04o): chmod 600 it", name,
                       (unsigned)st->st_mode & 07777);
    return 0;
}

/* Reading is for the tail at the start and for checks; every write is an append. */
static int open_locked(struct logfile *f, const char *name, int more_flags, struct err *e)
{
    AUTO_FD int fd = openat(
        f->dir_fd, name,
        O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | more_flags, 0600);
    struct stat st;
    if (fd < 0 && errno == ELOOP)
        return err_set(e, "%s: is a symbolic link, and the log is not written through links", name);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "%s: cannot open for appending", name);
    if (judge_file(name, &st, e) < 0)
        return -1;
    if (lock_file(fd) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return err_set(e, "%s: another process is writing to it; a log has one writer", name);
        return err_sys(e, "%s: cannot lock", name);
    }
    f->device = st.st_dev;
    f->inode = st.st_ino;
    f->size = (uint64_t)st.st_size;
    return TAKE_FD(fd);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The number in NAME.<digits>; false where `entry` is another file. */
static bool rotated_number(struct slice name, struct slice entry, uint64_t *ret)
{
    if (!slice_starts(entry, name) || entry.len != name.len + 1 + ROTATED_DIGITS ||
        entry.ptr[name.len] != '.')
        return false;
    return slice_to_u64(slice_skip(entry, name.len + 1), UINT64_MAX, ret) == 0;
}

static int add_number(uint64_t **numbers, size_t *count, uint64_t n)
{
    if (*count == MAX_ROTATED)
        return -1;
    if ((*count & (*count - 1)) == 0) { /* full at each power of two */
        uint64_t *more = realloc(*numbers, (*count ? *count * 2 : 1) * sizeof *more);
        if (!more)
            return -1;
        *numbers = more;
    }
    (*numbers)[(*count)++] = n;
    return 0;
}

static int list_directory(DIR *dir, const char *name, uint64_t **numbers, size_t *count, struct err *e)
{
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry)
            return errno ? err_sys(e, "%s: cannot read its directory", name) : 0;
        uint64_t n;
        if (rotated_number(slice_str(name), slice_str(entry->d_name), &n) &&
            add_number(numbers, count, n) < 0)
            return err_set(e, "%s: too many rotated files", name);
    }
}

int logfile_list(int dir_fd, const char *name, uint64_t **ret, size_t *ret_count, struct err *e)
{
    AUTO_FD int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return err_sys(e, "%s: cannot read its directory", name);
    fd = -1; /* the stream's now */
    uint64_t *numbers = NULL;
    size_t count = 0;
    int result = list_directory(dir, name, &numbers, &count, e);
    closedir(dir);
    if (result < 0) {
        free(numbers);
        return -1;
    }
    if (count)
        qsort(numbers, count, sizeof *numbers, compare_numbers);
    *ret = numbers;
    *ret_count = count;
    return 0;
}

void logfile_rotated_name(const char *name, uint64_t first_seq, char ret_name[LOGFILE_ROTATED_BYTES])
{
    snprintf(ret_name, LOGFILE_ROTATED_BYTES, "%s.%0*" PRIu64, name, (int)ROTATED_DIGITS, first_seq);
}

/* The last record of a rotated file. */
static int read_rotated(const struct logfile *f, uint64_t first_seq, struct chain *ret, struct err *e)
{
    char name[LOGFILE_ROTATED_BYTES];
    logfile_rotated_name(f->name, first_seq, name);
    AUTO_FD int fd = openat(f->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "%s: cannot open", name);
    struct tail tail;
    if (tail_read(fd, name, (uint64_t)st.st_size, &tail, e) < 0)
        return -1;
    if (tail.unfinished || tail.last.seq == 0)
        return err_set(e, "%s: does not end in a whole record", name);
    *ret = tail.last;
    return 0;
}

static int cut_unfinished(struct logfile *f, const struct tail *tail, struct logfile_cut *cut, struct err *e)
{
    *cut = (struct logfile_cut){.bytes = tail->unfinished, .start_len = tail->start_len};
    if (tail->unfinished == 0)
        return 0;
    memcpy(cut->hash, tail->unfinished_hash, sizeof cut->hash);
    memcpy(cut->start, tail->start, tail->start_len);
    if (ftruncate(f->fd, (off_t)(f->size - tail->unfinished)) < 0)
        return err_sys(e, "%s: cannot cut off its unfinished last line", f->name);
    f->size -= tail->unfinished;
    return 0;
}

static int find_end(struct logfile *f, struct chain *ret_chain, struct logfile_cut *ret_cut, struct err *e)
{
    struct tail tail;
    if (tail_read(f->fd, f->name, f->size, &tail, e) < 0)
        return -1;
    struct chain chain = tail.last;
    if (chain.seq == 0 && f->rotated_count &&
        read_rotated(f, f->rotated[f->rotated_count - 1], &chain, e) < 0)
        return -1;
    if (cut_unfinished(f, &tail, ret_cut, e) < 0)
        return -1;
    f->first_seq = tail.last.seq ? tail.first_seq : chain.seq + 1;
    *ret_chain = chain;
    return 0;
}

int logfile_open(int dir_fd, const char *name, struct logfile *ret, struct chain *ret_chain,
                 struct logfile_cut *ret_cut, struct err *e)
{
    struct logfile f = {.fd = -1, .dir_fd = -1};
    size_t len = strlen(name);
    if (len == 0 || len >= sizeof f.name || strchr(name, '/'))
        return err_set(e, "%s: not a name for a log file", name);
    memcpy(f.name, name, len + 1);
    f.dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
    if (f.dir_fd < 0)
        return err_sys(e, "%s: its directory", name);
    if ((f.fd = open_locked(&f, name, 0, e)) < 0 ||
        logfile_list(f.dir_fd, name, &f.rotated, &f.rotated_count, e) < 0 ||
        find_end(&f, ret_chain, ret_cut, e) < 0) {
        logfile_close(&f);
        return -1;
    }
    *ret = f;
    return 0;
}

void logfile_close(struct logfile *f)
{
    fd_auto_close(&f->fd);
    fd_auto_close(&f->dir_fd);
    free(f->rotated);
    *f = (struct logfile){.fd = -1, .dir_fd = -1};
}

static int write_all(int fd, struct slice s)
{
    while (s.len) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : EIO;
            return -1;
        }
        s = slice_skip(s, (size_t)n);
    }
    return 0;
}

int logfile_append(struct logfile *f, struct slice lines, struct err *e)
{
    if (f->torn)
        return err_set(e, "%s: an append that failed has not been cut off yet", f->name);
    if (write_all(f->fd, lines) < 0) {
        err_sys(e, "%s: cannot write", f->name);
        f->torn = ftruncate(f->fd, (off_t)f->size) < 0;
        return -1;
    }
    f->size += lines.len;
    return 0;
}

int logfile_check(struct logfile *f, struct err *e)
{
    struct stat st, named;
    if (fstat(f->fd, &st) < 0)
        return err_sys(e, "%s", f->name);
    if (st.st_nlink == 0)
        return err_set(e, "%s: the log was deleted; restart to begin a new one", f->name);
    if (fstatat(f->dir_fd, f->name, &named, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "%s: the log was moved away; move it back or restart", f->name);
    if (named.st_dev != f->device || named.st_ino != f->inode)
        return err_set(e, "%s: another file lies in the log's place; move the log back or restart", f->name);
    if (f->torn) {
        if (ftruncate(f->fd, (off_t)f->size) < 0)
            return err_sys(e, "%s: cannot cut off half a record", f->name);
        f->torn = false;
        return 0;
    }
    if ((uint64_t)st.st_size != f->size)
        return err_set(e, "%s: something else has %s the log", f->name,
                       (uint64_t)st.st_size > f->size ? "written to" : "cut");
    return 0;
}

int logfile_sync(struct logfile *f, struct err *e)
{
    int result;
    do
        result = fsync(f->fd);
    while (result < 0 && errno == EINTR);
    return result < 0 ? err_sys(e, "%s: cannot fsync", f->name) : 0;
}

/* The new file is made and locked under another name first: no other writer can get between. */
int logfile_rotate(struct logfile *f, uint64_t next_seq, struct err *e)
{
    char fresh_name[LOGFILE_ROTATED_BYTES], old_name[LOGFILE_ROTATED_BYTES];
    snprintf(fresh_name, sizeof fresh_name, "%s.new", f->name);
    logfile_rotated_name(f->name, f->first_seq, old_name);
    if (unlinkat(f->dir_fd, fresh_name, 0) < 0 && errno != ENOENT)
        return err_sys(e, "%s: cannot remove", fresh_name);
    struct logfile fresh = *f;
    AUTO_FD int fd = open_locked(&fresh, fresh_name, O_EXCL, e);
    if (fd < 0)
        return -1;
    if (add_number(&f->rotated, &f->rotated_count, f->first_seq) < 0)
        return err_set(e, "%s: too many rotated files", f->name);
    if (renameat(f->dir_fd, f->name, f->dir_fd, old_name) < 0) {
        f->rotated_count--;
        return err_sys(e, "%s: cannot rename to %s", f->name, old_name);
    }
    if (renameat(f->dir_fd, fresh_name, f->dir_fd, f->name) < 0) {
        err_sys(e, "%s: cannot rename to %s", fresh_name, f->name);
        if (renameat(f->dir_fd, old_name, f->dir_fd, f->name) == 0)
            f->rotated_count--;
        return -1;
    }
    close(f->fd);
    f->fd = TAKE_FD(fd);
    f->device = fresh.device;
    f->inode = fresh.inode;
    f->size = 0;
    f->first_seq = next_seq;
    if (fsync(f->dir_fd) < 0)
        return err_sys(e, "%s: cannot fsync its directory", f->name);
    return 0;
}

int logfile_oldest(struct logfile *f, struct chain *ret_last, struct err *e)
{
    if (f->rotated_count == 0)
        return err_set(e, "%s: has no rotated files", f->name);
    return read_rotated(f, f->rotated[0], ret_last, e);
}

int64_t logfile_oldest_written_ms(struct logfile *f)
{
    struct stat st;
    char name[LOGFILE_ROTATED_BYTES];
    logfile_rotated_name(f->name, f->rotated[0], name);
    if (fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

int logfile_drop_oldest(struct logfile *f, struct err *e)
{
    char name[LOGFILE_ROTATED_BYTES];
    logfile_rotated_name(f->name, f->rotated[0], name);
    if (unlinkat(f->dir_fd, name, 0) < 0 && errno != ENOENT)
        return err_sys(e, "%s: cannot remove", name);
    memmove(f->rotated, f->rotated + 1, --f->rotated_count * sizeof *f->rotated);
    return 0;
}
