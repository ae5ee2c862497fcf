/* What a run makes on the host so that it can be mounted on, and its removal.
 *
 * A journal, STATE/mounts/RUN, names each path before it is made, and is locked (flock(2)) as long as the run
 * lives: one that can be locked belongs to a run that was killed.  Two runs in one project share what they
 * need; the last one removes it.  STATE/mounts/lock is held while anything is made or removed. */
#include "sandbox/mounts_internal.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLACEHOLDER_BYTES = 2 };

/* The folder of journals, and the lock on it; both closed by the caller. */
static int open_journals(const char *state, int *ret_lock, struct err *e)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/mounts", state);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(e, "%s: too long", state);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_sys(e, "%s: cannot make it", path);
    AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    AUTO_FD int lock = dir < 0 ? -1 : openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        return err_sys(e, "%s: cannot lock it", path);
    *ret_lock = TAKE_FD(lock);
    return TAKE_FD(dir);
}

static bool is_journal(const struct dirent *d)
{
    return d->d_name[0] != '.' && strcmp(d->d_name, "lock") != 0;
}

static bool names(struct slice journal, struct slice path)
{
    struct slice line;
    while (slice_next(&journal, '\n', &line))
        if (slice_eq(line, path))
            return true;
    return false;
}

/* Whether another run that lives needs `path`; `own`: the name of the journal that does not count. */
static bool needed(int dir, const char *own, struct slice path)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    bool found = d == NULL; /* not knowing keeps it */
    for (struct dirent *entry; d && !found && (entry = readdir(d));) {
        AUTO_BUF text = BUF_INIT(CAP_MOUNTS_BYTES);
        if (!is_journal(entry) || strcmp(entry->d_name, own) == 0)
            continue;
        AUTO_FD int fd = openat(dir, entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        bool lives = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
        found = lives && (io_read_all(fd, entry->d_name, &text, NULL) < 0 || names(buf_slice(&text), path));
    }
    if (d)
        closedir(d);
    else
        fd_auto_close(&copy);
    return found;
}

/* Only what still is as we made it: an empty folder, a file of at most two bytes.  No links on the way. */
static void remove_one(const char *path)
{
    const char *slash = strrchr(path, '/');
    char parent[PATH_MAX];
    struct stat st;
    if (!slash || slash == path || (size_t)(slash - path) >= sizeof parent)
        return;
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    AUTO_FD int dir = mounts_open(AT_FDCWD, parent);
    if (dir < 0 || fstatat(dir, slash + 1, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (S_ISDIR(st.st_mode))
        unlinkat(dir, slash + 1, AT_REMOVEDIR);
    else if (S_ISREG(st.st_mode) && st.st_size <= PLACEHOLDER_BYTES)
        unlinkat(dir, slash + 1, 0);
}

/* Backwards: what was made last lies deepest. */
static void remove_all(int dir, const char *name, struct slice journal)
{
    while (journal.len) {
        size_t end = journal.len - 1, start = end;
        while (start > 0 && journal.ptr[start - 1] != '\n')
            start--;
        struct slice line = slice_of(journal.ptr + start, end - start);
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%.*s", SLICE_FMT(line));
        if (line.len && line.len < sizeof path && !needed(dir, name, line))
            remove_one(path);
        journal.len = start;
    }
    unlinkat(dir, name, 0);
}

/* A half-written last line names nothing that was made. */
static void sweep_one(int dir, const char *name)
{
    AUTO_BUF text = BUF_INIT(CAP_MOUNTS_BYTES);
    AUTO_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || io_read_all(fd, name, &text, NULL) < 0)
        return;
    struct slice journal = buf_slice(&text);
    while (journal.len && journal.ptr[journal.len - 1] != '\n')
        journal.len--;
    remove_all(dir, name, journal);
}

static void sweep_folder(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (is_journal(entry))
            sweep_one(dir, entry->d_name);
    if (d)
        closedir(d);
    else
        fd_auto_close(&copy);
}

void mounts_sweep(const char *state)
{
    AUTO_FD int lock = -1;
    AUTO_FD int dir = open_journals(state, &lock, NULL);
    if (dir >= 0)
        sweep_folder(dir);
}

static const char *run_name(const struct mounts *m)
{
    const char *slash = strrchr(m->run, '/');
    return slash ? slash + 1 : m->run;
}

/* What another run has made and this one stands on counts as made by both. */
static bool belongs(const struct mounts *m, const struct mount_op *op, int dir)
{
    return op->create || (op->protects && needed(dir, run_name(m), slice_str(op->to)));
}

static int write_journal(struct mounts *m, int dir, struct err *e)
{
    AUTO_BUF text = BUF_INIT(CAP_MOUNTS_BYTES);
    for (size_t i = 0; i < m->count; i++)
        if (belongs(m, &m->ops[i], dir) && buf_printf(&text, "%s\n", m->ops[i].to) < 0)
            return err_set(e, "no memory");
    m->journal = openat(dir, run_name(m), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    /* Without fsync, which is 4 ms of each start: a kill takes nothing of it, and what a power cut may leave
     * are empty placeholders. */
    if (m->journal < 0 || flock(m->journal, LOCK_EX | LOCK_NB) < 0 ||
        io_write_all(m->journal, buf_slice(&text)) < 0)
        return err_sys(e, "%s/mounts/%s: cannot write", m->state, run_name(m));
    return 0;
}

/* What is made for the jail's user is made as that user (setfsuid(2)): started as root, we get no further
 * below its folders than it would by itself, whatever it may put in our way there. */
static void act_as(uid_t uid, gid_t gid)
{
    setfsgid(gid);
    setfsuid(uid);
}

static int make_at(int dir, const char *name, const struct mount_op *op, struct err *e)
{
    if (op->directory)
        return mkdirat(dir, name, 0755) < 0 && errno != EEXIST ? err_sys(e, "%s: cannot make it", op->to) : 0;
    AUTO_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? 0 : err_sys(e, "%s: cannot make it", op->to);
    return op->len && io_write_all(fd, slice_of(op->text, op->len)) < 0
               ? err_sys(e, "%s: cannot write", op->to)
               : 0;
}

/* The parent is opened without following links, so that nothing is made elsewhere. */
static int make_placeholder(const struct mounts *m, const struct mount_op *op, struct err *e)
{
    const char *slash = strrchr(op->to, '/');
    char parent[PATH_MAX];
    struct stat st;
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - op->to), op->to);
    AUTO_FD int dir = mounts_open(AT_FDCWD, parent);
    if (dir < 0 || fstat(dir, &st) < 0)
        return err_sys(e, "%s: cannot open", parent);
    if (st.st_uid == m->o->uid)
        act_as(m->o->uid, m->o->gid);
    int rc = make_at(dir, slash + 1, op, e);
    act_as(geteuid(), getegid());
    return rc;
}

static int make_placeholders(struct mounts *m, struct err *e)
{
    for (size_t i = 0; i < m->count; i++) {
        struct mount_op *op = &m->ops[i];
        if (!op->create)
            continue;
        if (make_placeholder(m, op, e) < 0)
            return -1;
        if (strcmp(op->to, op->from) != 0)
            continue;
        op->fd = mounts_open(AT_FDCWD, op->to);
        if (op->fd < 0)
            return err_sys(e, "%s: cannot open", op->to);
    }
    return 0;
}

/* The folders above must let the jail's user pass; this one is its own. */
static int make_base(const struct mounts *m, const char *path, struct err *e)
{
    char part[PATH_MAX];
    bool own = m->o->uid == geteuid();
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0700) == 0 ? !own && chmod(part, 0711) < 0 : errno != EEXIST)
            return err_sys(e, "%s: cannot make it", part);
    }
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : err_sys(e, "%s: cannot make it", path);
    return own || lchown(path, m->o->uid, m->o->gid) == 0
               ? 0
               : err_sys(e, "%s: cannot be given to uid %u", path, (unsigned)m->o->uid);
}

/* With the folders above it, down from one of the bases. */
static int make_private(const char *path, struct err *e)
{
    char part[PATH_MAX];
    for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash ? slash - path : (ptrdiff_t)strlen(path)), path);
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return err_sys(e, "%s: cannot make it", part);
        if (!slash)
            return 0;
    }
}

static int copy_config(const struct mount_git *g, struct err *e)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/config", g->folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(e, "%s: too long", g->folder);
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || io_write_all(fd, g->before) < 0)
        return err_sys(e, "%s: cannot write", path);
    return 0;
}

/* What is mounted on a folder of ours needs a place there. */
static int make_points(struct mounts *m, const struct mount_op *on, struct err *e)
{
    for (size_t i = 0; i < m->count; i++) {
        const char *to = m->ops[i].to;
        if (&m->ops[i] == on || mounts_above(m, to, true) != on)
            continue;
        const char *point = mounts_printf(m, e, "%s%s", on->from, to + strlen(on->to));
        if (!point || make_private(point, e) < 0)
            return -1;
    }
    return 0;
}

/* Somebody else's may not be lent to the jail's user, who could have put it here by rename(2). */
static int open_folder(struct mounts *m, struct mount_op *op, struct err *e)
{
    const char *named = op->from, *real = mounts_real(m, named, e);
    struct stat st;
    op->fd = real ? mounts_open(AT_FDCWD, real) : -1;
    if (op->fd < 0 || fstat(op->fd, &st) < 0)
        return err_sys(e, "%s: cannot open", named);
    op->from = real;
    return st.st_uid == m->o->uid ? 0 : err_set(e, "%s: a link, or somebody else's folder: remove it", named);
}

static int fill_bases(struct mounts *m, struct err *e)
{
    for (size_t i = 0; i < m->count; i++) {
        struct mount_op *op = &m->ops[i];
        if (op->make_from &&
            (make_private(op->from, e) < 0 || open_folder(m, op, e) < 0 || make_points(m, op, e) < 0))
            return -1;
    }
    for (size_t i = 0; i < m->git_count; i++)
        if (copy_config(&m->gits[i], e) < 0)
            return -1;
    return 0;
}

static int make_folders(struct mounts *m, struct err *e)
{
    const char *bases[] = {m->run, m->o->cache, m->o->agent_state};
    for (size_t i = 0; i < ARRAY_LEN(bases); i++)
        if (bases[i] && make_base(m, bases[i], e) < 0)
            return -1;
    act_as(m->o->uid, m->o->gid);
    int rc = fill_bases(m, e);
    act_as(geteuid(), getegid());
    return rc;
}

int mounts_prepare(struct mounts *m, struct err *e)
{
    AUTO_FD int lock = -1;
    AUTO_FD int dir = open_journals(m->state, &lock, e);
    if (dir < 0)
        return -1;
    sweep_folder(dir);
    if (write_journal(m, dir, e) < 0 || make_folders(m, e) < 0)
        return -1;
    return make_placeholders(m, e);
}

void mounts_finish(struct mounts *m)
{
    AUTO_FD int lock = -1;
    AUTO_FD int dir = m->journal < 0 ? -1 : open_journals(m->state, &lock, NULL);
    if (dir < 0)
        return;
    fd_auto_close(&m->journal); /* unlocks: it is now one of a run that has ended */
    sweep_one(dir, run_name(m));
    mounts_remove_private(m);
}
