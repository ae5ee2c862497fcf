#include "app/runs.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever the run was for may have written there: neither deep nor large trees hold a start up. */
enum { DEPTH_MAX = 32, ENTRIES_MAX = 100000 };

struct sweep {
    unsigned entries;
};

static int open_folder(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int remove_tree(struct sweep *s, int at, const char *name, unsigned depth);

/* Everything in a folder, which is closed then. */
static int empty_folder(struct sweep *s, int fd, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    int result = 0;
    if (!dir) {
        close(fd);
        return -1;
    }
    for (struct dirent *entry; result == 0 && (entry = readdir(dir)) != NULL;)
        if (!is_dots(entry->d_name))
            result = ++s->entries > ENTRIES_MAX ? -1 : remove_tree(s, dirfd(dir), entry->d_name, depth);
    closedir(dir);
    return result;
}

/* By descriptor and without following links: what a hostile run left can lead nowhere else. */
static int remove_tree(struct sweep *s, int at, const char *name, unsigned depth)
{
    struct stat here, there;
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    int fd = depth < DEPTH_MAX ? open_folder(at, name) : -1;
    if (fd < 0)
        return -1;
    if (fstat(at, &here) < 0 || fstat(fd, &there) < 0 || here.st_dev != there.st_dev) {
        close(fd); /* something is mounted there: not ours to empty */
        return -1;
    }
    if (fchmod(fd, 0700) < 0) {
        /* Go's modules lie in folders that nobody may write; where this fails, so does unlinkat */
    }
    return empty_folder(s, fd, depth + 1) < 0 ? -1 : unlinkat(at, name, AT_REMOVEDIR);
}

int runs_remove(int folder, const char *name)
{
    struct sweep s = {0};
    AUTO_FD int fd = open_folder(folder, name);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return 0; /* no folder, or alive */
    return remove_tree(&s, folder, name, 0);
}

static void sweep(int folder)
{
    int copy = open_folder(folder, ".");
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        fd_auto_close(&copy);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (!is_dots(entry->d_name) && runs_remove(folder, entry->d_name) < 0)
            log_warn("what a dead run has left in its folder %s cannot be removed whole", entry->d_name);
    closedir(dir);
}

/* The folder is locked meanwhile: nobody sweeps away what is made and not locked yet. */
int runs_claim(const char *folder, const char *id, int *ret_lock, struct err *e)
{
    AUTO_FD int all = open_folder(AT_FDCWD, folder);
    if (all < 0 || flock(all, LOCK_EX) < 0)
        return err_sys(e, "%s", folder);
    sweep(all);
    if (mkdirat(all, id, 0700) < 0)
        return err_sys(e, "%s/%s", folder, id);
    AUTO_FD int own = open_folder(all, id);
    if (own < 0 || flock(own, LOCK_EX | LOCK_NB) < 0)
        return err_sys(e, "%s/%s", folder, id);
    *ret_lock = TAKE_FD(own);
    return 0;
}
