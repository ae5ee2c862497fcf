#include "audit/reader.h"

#include "audit/chain.h"
#include "audit/file.h"
#include "base/caps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 2 * CAP_RECORD_BYTES, MAX_LOGS = 100000 };

struct log_reader {
    int dir_fd, fd; /* fd -1: nothing is open yet */
    char dir[256], name[LOGFILE_NAME_BYTES];
    uint64_t first_seq; /* of the open file; 0: not known yet */
    dev_t device;
    ino_t inode;
    struct buf in;
    size_t taken;   /* bytes of the line that was returned last */
    bool cut_short; /* what is left has no newline and never will: the file was rotated */
    bool too_long;  /* the rest of the last line is passed over */
    struct log_place place;
    unsigned files;
};

int log_reader_open(const char *path, struct log_reader **ret, struct err *e)
{
    const char *slash = strrchr(path, '/');
    struct slice dir = slash ? slice_of(path, (size_t)(slash - path) + 1) : SLICE("./");
    struct slice name = slice_str(slash ? slash + 1 : path);
    AUTO(log_reader) *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, "%s: no memory", path);
    r->fd = r->dir_fd = -1;
    r->in = BUF_INIT(READ_BYTES);
    if (name.len == 0 || name.len >= sizeof r->name || dir.len >= sizeof r->dir)
        return err_set(e, "%s: not the path of a log file", path);
    memcpy(r->dir, slash ? dir.ptr : "", slash ? dir.len : 0);
    memcpy(r->name, name.ptr, name.len);
    r->dir_fd = open(slash ? r->dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    uint64_t *rotated;
    size_t count;
    if (r->dir_fd < 0)
        return err_sys(e, "%s: cannot open its folder", path);
    if (logfile_list(r->dir_fd, r->name, &rotated, &count, e) < 0)
        return -1;
    free(rotated);
    if (count == 0 && fstatat(r->dir_fd, r->name, &st, 0) < 0)
        return err_sys(e, "%s: cannot read the log", path);
    *ret = TAKE(r);
    return 0;
}

void log_reader_free(struct log_reader *r)
{
    if (!r)
        return;
    fd_auto_close(&r->fd);
    fd_auto_close(&r->dir_fd);
    buf_free(&r->in);
    free(r);
}

const struct log_place *log_reader_place(const struct log_reader *r)
{
    return &r->place;
}

size_t log_reader_unfinished(const struct log_reader *r)
{
    return buf_len(&r->in);
}

unsigned log_reader_files(const struct log_reader *r)
{
    return r->files;
}

/* The smallest rotated file after the one that is open; 0: there is none. */
static int next_rotated(const struct log_reader *r, uint64_t *ret, struct err *e)
{
    uint64_t *rotated, next = 0;
    size_t count;
    if (logfile_list(r->dir_fd, r->name, &rotated, &count, e) < 0)
        return -1;
    for (size_t i = count; i > 0 && (r->fd < 0 || (r->first_seq && rotated[i - 1] > r->first_seq)); i--)
        next = rotated[i - 1];
    free(rotated);
    *ret = next;
    return 0;
}

static void adopt(struct log_reader *r, int fd, const struct stat *st, const char *name)
{
    fd_auto_close(&r->fd);
    r->fd = fd;
    r->device = st->st_dev;
    r->inode = st->st_ino;
    r->first_seq = 0;
    r->files++;
    buf_clear(&r->in);
    r->taken = 0;
    r->too_long = false;
    snprintf(r->place.file, sizeof r->place.file, "%s%s", r->dir, name);
    r->place.line = 0;
}

static int open_file(const struct log_reader *r, const char *name, struct stat *ret_st, struct err *e)
{
    AUTO_FD int fd = openat(r->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, ret_st) < 0)
        return err_sys(e, "%s%s: cannot open", r->dir, name);
    if (!S_ISREG(ret_st->st_mode))
        return err_set(e, "%s%s: not a regular file", r->dir, name);
    return TAKE_FD(fd);
}

/* 1: more bytes, 0: the end of this file */
static int fill(struct log_reader *r, struct err *e)
{
    size_t space = buf_space(&r->in);
    char *to = buf_reserve(&r->in, space);
    if (!to)
        return err_set(e, "%s: no memory", r->place.file);
    ssize_t n;
    do
        n = read(r->fd, to, space);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, "%s: cannot read", r->place.file);
    buf_commit(&r->in, (size_t)n);
    return n > 0;
}

/* Opens the file that follows, and its name in ret_name.  The current file is opened before the rotated
 * ones are listed: where the list then has nothing newer, no rotation can have come between.
 * Returns 1, 0 (there is none yet) or -1. */
static int open_next(const struct log_reader *r, int *ret_fd, struct stat *ret_st, char *ret_name,
                     struct err *e)
{
    struct err open_error;
    uint64_t next;
    AUTO_FD int fd = open_file(r, r->name, ret_st, &open_error);
    if (next_rotated(r, &next, e) < 0)
        return -1;
    if (next) {
        logfile_rotated_name(r->name, next, ret_name);
        fd_auto_close(&fd);
        fd = open_file(r, ret_name, ret_st, e);
        if (fd < 0)
            return -1;
    } else {
        if (fd < 0)
            return r->fd < 0 ? err_set(e, "%s", open_error.text) : 0;
        if (r->fd >= 0 && ret_st->st_dev == r->device && ret_st->st_ino == r->inode)
            return 0;
        snprintf(ret_name, LOGFILE_ROTATED_BYTES, "%s", r->name);
    }
    *ret_fd = TAKE_FD(fd);
    return 1;
}

/* Goes on to the next file, if there is one and this one has nothing more: what was appended before the
 * rotation may have come after our last read. */
static int advance(struct log_reader *r, struct err *e)
{
    AUTO_FD int fd = -1;
    struct stat st;
    char name[LOGFILE_ROTATED_BYTES];
    int found = open_next(r, &fd, &st, name, e);
    if (found <= 0)
        return found;
    int more = r->fd >= 0 ? fill(r, e) : 0;
    if (more != 0)
        return more;
    if (buf_len(&r->in)) {
        r->cut_short = true;
        return 1;
    }
    adopt(r, TAKE_FD(fd), &st, name);
    return 1;
}

/* What is left of a line that was too long. */
static void pass_over(struct log_reader *r)
{
    struct slice in = buf_slice(&r->in);
    ptrdiff_t newline = slice_find(in, '\n');
    r->too_long = newline < 0;
    buf_consume(&r->in, newline < 0 ? in.len : (size_t)newline + 1);
}

static bool take_line(struct log_reader *r, struct slice *ret_line)
{
    if (r->too_long)
        pass_over(r);
    struct slice in = buf_slice(&r->in);
    ptrdiff_t newline = slice_find(in, '\n');
    bool full = buf_space(&r->in) == 0;
    if (newline < 0 && !full && !r->cut_short)
        return false;
    r->too_long = newline < 0 && full;
    r->cut_short = false;
    size_t len = newline < 0 ? in.len : (size_t)newline;
    *ret_line = slice_first(in, r->too_long ? 0 : len);
    r->taken = newline < 0 ? len : len + 1;
    r->place.line++;
    struct slice prev;
    uint64_t seq;
    if (r->first_seq == 0 && chain_parse(*ret_line, &seq, &prev) == 0)
        r->first_seq = seq;
    return true;
}

enum log_read log_reader_next(struct log_reader *r, struct slice *ret_line, struct err *e)
{
    buf_consume(&r->in, r->taken);
    r->taken = 0;
    for (;;) {
        if (r->fd >= 0 && take_line(r, ret_line))
            return LOG_LINE;
        int more = r->fd >= 0 ? fill(r, e) : 0;
        if (more == 0)
            more = advance(r, e);
        if (more < 0)
            return LOG_ERROR;
        if (more == 0)
            return LOG_END;
    }
}

struct found {
    struct timespec changed;
    char *path;
};

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->changed.tv_sec != y->changed.tv_sec)
        return x->changed.tv_sec < y->changed.tv_sec ? -1 : 1;
    if (x->changed.tv_nsec != y->changed.tv_nsec)
        return x->changed.tv_nsec < y->changed.tv_nsec ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void free_found(struct found *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(all[i].path);
    free(all);
}

static int add_found(struct found **all, size_t *count, const char *dir, const char *name,
                     const struct stat *st)
{
    if (*count == MAX_LOGS)
        return -1;
    if ((*count & (*count - 1)) == 0) {
        struct found *more = realloc(*all, (*count ? *count * 2 : 1) * sizeof *more);
        if (!more)
            return -1;
        *all = more;
    }
    AUTO_BUF path = BUF_INIT(4096);
    const char *text = buf_printf(&path, "%s/%s", dir, name) < 0 ? NULL : buf_cstr(&path);
    char *copy = text ? slice_dup(slice_str(text)) : NULL;
    if (!copy)
        return -1;
    (*all)[(*count)++] = (struct found){st->st_mtim, copy};
    return 0;
}

static int scan(DIR *stream, const char *dir, struct found **all, size_t *count, struct err *e)
{
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        struct stat st;
        if (!slice_ends(slice_str(entry->d_name), SLICE(".jsonl")) ||
            fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (add_found(all, count, dir, entry->d_name, &st) < 0)
            return err_set(e, "%s: too many logs, or no memory", dir);
    }
    return 0;
}

int log_reader_find(const char *dir, char ***ret, size_t *ret_count, struct err *e)
{
    DIR *stream = opendir(dir);
    if (!stream)
        return err_sys(e, "%s: cannot read the folder", dir);
    struct found *all = NULL;
    size_t count = 0;
    int result = scan(stream, dir, &all, &count, e);
    closedir(stream);
    char **paths = calloc(count ? count : 1, sizeof *paths);
    if (result < 0 || !paths) {
        free_found(all, count);
        free(paths);
        return result < 0 ? -1 : err_set(e, "%s: no memory", dir);
    }
    if (count)
        qsort(all, count, sizeof *all, compare_found);
    for (size_t i = 0; i < count; i++)
        paths[i] = all[i].path;
    free(all);
    *ret = paths;
    *ret_count = count;
    return 0;
}
