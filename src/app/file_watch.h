/* Tells when one of a few files was written to its end or replaced (inotify(7)).
 *
 * Folders are watched, since an editor replaces a file by rename; only IN_CLOSE_WRITE and IN_MOVED_TO of the names
 * that matter count, so that nothing acts on a file that is half-written.  Changes that come together are told
 * once, a moment after the last.  What is told about is a regular file with one link, opened under its own name: a
 * link would let whoever may write in another place choose the text. */
#pragma once
#include "base/err.h"
#include "loop/loop.h"

enum { FILE_WATCH_MAX = 1024, FILE_WATCH_DELAY_MS = 100 };

struct file_watch;
struct file_watch_calls {
    void (*changed)(void *arg);
    /* A file is none that may be read, or a folder is not watched any more: said to the person. */
    void (*trouble)(void *arg, const char *what);
    void *arg;
};

MUST_USE int file_watch_new(struct loop *loop, const struct file_watch_calls *calls, struct file_watch **ret,
                            struct err *e);
void file_watch_free(struct file_watch *w);
/* From now on these, by path; the others no more.  -1 where one of them cannot be watched: the others are. */
MUST_USE int file_watch_set(struct file_watch *w, const char *const *paths, size_t count, struct err *e);
