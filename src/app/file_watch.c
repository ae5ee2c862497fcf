#include "app/file_watch.h"

#include "base/slice.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENTS_BYTES = 64 << 10 };
enum { FOLDER_EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR };

struct watched {
    char *path;
    const char *name; /* in its folder; points into path */
    int folder;       /* watch descriptor; -1: none */
};

struct file_watch {
    struct file_watch_calls calls;
    struct loop_io io;
    struct loop_deadline delay;
    int fd;
    struct watched *at;
    size_t count;
};

static bool is_needed(const struct file_watch *w, int folder)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->at[i].folder == folder)
            return true;
    return false;
}

/* A folder that is still needed keeps its watch, so that no change in between is missed. */
static void forget(const struct file_watch *w, struct watched *old, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (old[i].folder >= 0 && !is_needed(w, old[i].folder))
            inotify_rm_watch(w->fd, old[i].folder); /* for a folder with two files the second time is refused */
        free(old[i].path);
    }
    free(old);
}

/* NULL where it may be read. */
static const char *judge(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return "cannot be read";
    if (S_ISLNK(st.st_mode))
        return "is a symbolic link";
    if (!S_ISREG(st.st_mode))
        return "is not a regular file";
    return st.st_nlink == 1 ? NULL : "has several links (hard links)";
}

static void on_quiet(struct loop_deadline *d)
{
    struct file_watch *w = CONTAINER_OF(d, struct file_watch, delay);
    for (size_t i = 0; i < w->count; i++) {
        const char *wrong = judge(w->at[i].path);
        char text[PATH_MAX + 200];
        if (!wrong)
            continue;
        snprintf(text, sizeof text, "not reloaded: %s %s; what was in force stays in force (a signal reads it all the same)",
                 w->at[i].path, wrong);
        w->calls.trouble(w->calls.arg, text);
        return;
    }
    w->calls.changed(w->calls.arg);
}

static void lose(struct file_watch *w, int folder, const char *why)
{
    for (size_t i = 0; i < w->count; i++) {
        char text[PATH_MAX + 200];
        if (w->at[i].folder != folder)
            continue;
        w->at[i].folder = -1;
        snprintf(text, sizeof text, "%s is not watched any more (%s): reload with a signal", w->at[i].path, why);
        w->calls.trouble(w->calls.arg, text);
    }
}

static void on_event(struct file_watch *w, const struct inotify_event *ev)
{
    if (ev->mask & IN_Q_OVERFLOW) {
        loop_deadline_after(&w->delay, FILE_WATCH_DELAY_MS * 1000000ll); /* something has changed */
        return;
    }
    if (ev->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) {
        lose(w, ev->wd, "its folder was moved or removed");
        return;
    }
    for (size_t i = 0; ev->len && i < w->count; i++)
        if (w->at[i].folder == ev->wd && strcmp(w->at[i].name, ev->name) == 0)
            loop_deadline_after(&w->delay, FILE_WATCH_DELAY_MS * 1000000ll);
}

static void on_events(struct loop_io *io, int events UNUSED)
{
    struct file_watch *w = CONTAINER_OF(io, struct file_watch, io);
    _Alignas(struct inotify_event) char bytes[EVENTS_BYTES];
    ssize_t n = read(w->fd, bytes, sizeof bytes);
    for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
        const struct inotify_event *ev = (const void *)(bytes + at);
        at += (ssize_t)(sizeof *ev + ev->len);
        on_event(w, ev);
    }
}

int file_watch_new(struct loop *loop, const struct file_watch_calls *calls, struct file_watch **ret, struct err *e)
{
    AUTO_FD int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    struct file_watch *w = fd < 0 ? NULL : calloc(1, sizeof *w);
    if (!w)
        return err_sys(e, "files cannot be watched");
    w->calls = *calls;
    w->fd = TAKE_FD(fd);
    loop_io_init(&w->io, loop, w->fd, on_events);
    loop_io_want(&w->io, LOOP_READ);
    loop_deadline_init(&w->delay, loop, on_quiet);
    *ret = w;
    return 0;
}

void file_watch_free(struct file_watch *w)
{
    if (!w)
        return;
    struct watched *at = w->at;
    size_t count = w->count;
    w->count = 0;
    forget(w, at, count);
    loop_io_stop(&w->io);
    loop_deadline_clear(&w->delay);
    close(w->fd);
    free(w);
}

static int add(struct file_watch *w, const char *path, struct err *e)
{
    char folder[PATH_MAX] = ".";
    struct watched *to = &w->at[w->count];
    char *copy = slice_dup(slice_str(path));
    if (!copy)
        return err_set(e, "no memory");
    char *slash = strrchr(copy, '/');
    size_t len = slash ? (size_t)(slash - copy) : 0;
    if (len >= sizeof folder) {
        free(copy);
        return err_set(e, "%s: path too long", path);
    }
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", (int)(len ? len : 1), copy); /* "/name": the root itself */
    *to = (struct watched){copy, slash ? slash + 1 : copy, inotify_add_watch(w->fd, folder, FOLDER_EVENTS)};
    w->count++;
    return to->folder >= 0 ? 0 : err_sys(e, "%s: cannot be watched", path);
}

int file_watch_set(struct file_watch *w, const char *const *paths, size_t count, struct err *e)
{
    int result = 0;
    struct watched *at = calloc(count + 1, sizeof *at);
    if (!at || count > FILE_WATCH_MAX) {
        free(at);
        return err_set(e, count > FILE_WATCH_MAX ? "more than %d files to watch" : "no memory", FILE_WATCH_MAX);
    }
    struct watched *old = w->at;
    size_t old_count = w->count;
    w->at = at;
    w->count = 0;
    for (size_t i = 0; i < count; i++)
        if (add(w, paths[i], e) < 0)
            result = -1;
    forget(w, old, old_count);
    return result;
}
