/* Repositories that a jail has made: what git on the host would run or obey in one makes it harmless.  `git
 * status` enters what the index calls a submodule, wherever it lies; and a folder with HEAD, objects and refs
 * is a repository without a work tree, also the project's own where `.git` is none any more. */
#include "sandbox/mounts_internal.h"
#include "sandbox/tree.h"

#include "base/io.h"
#include "sandbox/git_config.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const PLAIN_KEYS[] = {
#define KEY(pattern) pattern,
#include "sandbox/git_keys.def"
};

/* On a file system that knows no case, .GIT is .git to git. */
bool mounts_is_git_name(int dir, const char *name)
{
    struct stat a, b;
    if (strcmp(name, ".git") == 0)
        return true;
    return strcasecmp(name, ".git") == 0 && fstatat(dir, name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(dir, ".git", &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int plain_key(void *ctx, const char *key, const char *value)
{
    (void)value;
    for (size_t i = 0; i < ARRAY_LEN(PLAIN_KEYS); i++)
        if (fnmatch(PLAIN_KEYS[i], key, FNM_NOESCAPE) == 0)
            return 0;
    snprintf(ctx, GIT_CONFIG_KEY, "%s", key);
    return -2;
}

/* Whether git may run something, or read a configuration from elsewhere, because of what lies at git/name. */
static bool bad_config(int git, const char *name, char ret_why[GIT_CONFIG_KEY])
{
    AUTO_BUF text = BUF_INIT(CAP_GIT_CONFIG_BYTES);
    struct stat st;
    if (fstatat(git, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    snprintf(ret_why, GIT_CONFIG_KEY, "%s", name);
    AUTO_FD int fd = openat(git, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || !S_ISREG(st.st_mode) || io_read_all(fd, name, &text, NULL) < 0)
        return true;
    return git_config_read(buf_slice(&text), plain_key, ret_why) < 0;
}

static bool is_sample(const char *name)
{
    return name[0] == '.' || slice_ends(slice_str(name), SLICE(".sample"));
}

static bool bad_hooks(int git, char ret_why[GIT_CONFIG_KEY])
{
    int fd = openat(git, "hooks", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;
    bool bad = fstatat(git, "hooks", &st, AT_SYMLINK_NOFOLLOW) == 0 && !d;
    snprintf(ret_why, GIT_CONFIG_KEY, "hooks");
    for (struct dirent *entry; d && !bad && (entry = readdir(d));) {
        bad = !is_sample(entry->d_name);
        snprintf(ret_why, GIT_CONFIG_KEY, "hooks/%s", entry->d_name);
    }
    if (d)
        closedir(d);
    return bad;
}

static bool bad_name(int git, const char *name, char ret_why[GIT_CONFIG_KEY])
{
    struct stat st;
    snprintf(ret_why, GIT_CONFIG_KEY, "%s", name);
    return fstatat(git, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Submodules bring a configuration each; a fresh clone with them is rare enough to be looked at by somebody.
 */
static bool is_armed(int git, char ret_why[GIT_CONFIG_KEY])
{
    return bad_config(git, "config", ret_why) || bad_hooks(git, ret_why) ||
           bad_name(git, "commondir", ret_why) || bad_name(git, "config.worktree", ret_why) ||
           bad_name(git, "modules", ret_why);
}

/* Git writes through links, and waits at pipes (mounts_git_links.c). */
static enum tree_step find_link(void *ctx, const char *path, int dir, const char *name, unsigned char type)
{
    (void)path;
    if (type == TREE_CLOSED)
        return mounts_open_up(dir, name) ? TREE_GO_ON : TREE_FAIL;
    if (type == DT_DIR && strcmp(name, "objects") == 0)
        return TREE_SKIP;
    if (type != DT_FIFO && type != DT_LNK && type != TREE_DEEP && type != TREE_MANY)
        return TREE_GO_ON;
    snprintf(ctx, GIT_CONFIG_KEY, "%s", name);
    return TREE_FAIL;
}

bool mounts_is_armed_bare(int dir)
{
    char why[GIT_CONFIG_KEY];
    return is_armed(dir, why);
}

static bool reads_as(int dir, const char *name, struct slice want)
{
    AUTO_BUF text = BUF_INIT(64);
    AUTO_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd >= 0 && io_read_all(fd, name, &text, NULL) == 0 && slice_eq(slice_trim(buf_slice(&text)), want);
}

/* Its hooks and scripts are the jail's where the configuration names them by a path in the work tree. */
static bool brings_nothing(struct mounts *m, const char *git, const char *tree, char ret_why[GIT_CONFIG_KEY])
{
    for (size_t i = 0; i < m->git_count; i++) {
        const struct mount_git *g = &m->gits[i];
        size_t len = strlen(git);
        if (strncmp(g->config, git, len) == 0 && strcmp(g->config + len, "/config") == 0)
            return !mounts_finds_named(m, g->config, g->before, tree, ret_why);
    }
    return false;
}

/* What `git worktree add` makes: "gitdir: " and the path of an entry in a repository that is protected, which
 * leads back to that repository and brings no configuration of its own. */
static bool is_plain_worktree(struct mounts *m, int dir, const char *tree, char ret_why[GIT_CONFIG_KEY])
{
    AUTO_BUF text = BUF_INIT(PATH_MAX);
    AUTO_FD int fd = openat(dir, ".git", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || io_read_all(fd, ".git", &text, NULL) < 0 || buf_append(&text, slice_of("", 1)) < 0 ||
        !slice_starts(buf_slice(&text), SLICE("gitdir: /")))
        return false;
    char *path = text.data + text.start + strlen("gitdir: "), why[GIT_CONFIG_KEY];
    path[strcspn(path, "\n")] = 0;
    char *entries = strstr(path, "/.git/worktrees/");
    AUTO_FD int entry = mounts_open(AT_FDCWD, path);
    if (!entries || strchr(entries + strlen("/.git/worktrees/"), '/') || entry < 0)
        return false;
    entries[strlen("/.git")] = 0;
    return mounts_find(m, path) && reads_as(entry, "commondir", SLICE("../..\n")) &&
           !bad_name(entry, "config.worktree", why) && brings_nothing(m, path, tree, ret_why);
}

/* git takes a folder with these for a repository without a work tree; objects and refs may lie elsewhere
 * (gitrepository-layout(5), commondir). */
bool mounts_is_bare(int dir)
{
    struct stat st;
    if (fstatat(dir, "HEAD", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return fstatat(dir, "commondir", &st, 0) == 0 ||
           (fstatat(dir, "objects", &st, 0) == 0 && fstatat(dir, "refs", &st, 0) == 0);
}

static void disarm(mounts_each_finding *each, void *ctx, const char *path, int dir, const char *name,
                   const char *why)
{
    char detail[GIT_CONFIG_KEY + NAME_MAX + 64], to[NAME_MAX + 1];
    if (mounts_disarm(dir, name, to))
        snprintf(detail, sizeof detail, "%s would take effect outside: renamed to %s", why, to);
    else
        snprintf(detail, sizeof detail, "%s would take effect outside: do not use git there", why);
    mounts_tell(each, ctx, MOUNTS_REPOSITORY, path, detail);
}

void mounts_report_repository(struct mounts *m, mounts_each_finding *each, void *ctx, const char *path,
                              int dir, unsigned char type)
{
    char why[GIT_CONFIG_KEY] = "what it points to", tree[PATH_MAX], git_path[PATH_MAX + 8];
    snprintf(tree, sizeof tree, "%.*s", (int)(strlen(path) - strlen("/.git")), path);
    snprintf(git_path, sizeof git_path, "%s/.git", tree);
    if (mounts_find(m, git_path)) /* was there before, and is protected */
        return;
    AUTO_FD int git = openat(dir, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (git < 0 && type == DT_DIR && mounts_open_up(dir, ".git"))
        git = openat(dir, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool linked = type == DT_REG && is_plain_worktree(m, dir, tree, why);
    if (!linked &&
        (type != DT_DIR || git < 0 || is_armed(git, why) || tree_walk(path, find_link, why, NULL) < 0))
        disarm(each, ctx, path, dir, ".git", why);
    else
        mounts_tell(each, ctx, MOUNTS_REPOSITORY, path, "");
}

void mounts_report_bare(mounts_each_finding *each, void *ctx, const char *path, int dir,
                        const struct mount_seen *seen)
{
    char why[GIT_CONFIG_KEY];
    if (!mounts_is_bare(dir) || (seen && seen->armed))
        return;
    if (is_armed(dir, why))
        disarm(each, ctx, path, dir, "HEAD", why);
    else if (!seen)
        mounts_tell(each, ctx, MOUNTS_REPOSITORY, path, "git would take the folder for a repository");
}

/* What lies where the jail does not write is none of its work, whatever link leads there. */
void mounts_report_missing(struct mounts *m, mounts_each_finding *each, void *ctx)
{
    for (size_t i = 0; i < m->missing_count; i++) {
        const char *real = mounts_real(m, m->missing[i], NULL), *slash = real ? strrchr(real, '/') : NULL;
        char to[NAME_MAX + 1], detail[NAME_MAX + 64];
        if (!real || !mounts_writable(m, real))
            continue;
        const char *folder = mounts_printf(m, NULL, "%.*s", (int)(slash - real), real);
        AUTO_FD int dir = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (dir >= 0 && mounts_disarm(dir, slash + 1, to))
            snprintf(detail, sizeof detail, "git, as its configuration says: renamed to %s", to);
        else
            snprintf(detail, sizeof detail, "git, as its configuration says: remove it");
        mounts_tell(each, ctx, MOUNTS_NEW, real, detail);
    }
}

/* Nothing of it was there at the start: such a project gets no jail. */
void mounts_report_deep(mounts_each_finding *each, void *ctx, const char *path, int dir, const char *name)
{
    char to[NAME_MAX + 1], detail[NAME_MAX + 64];
    if (mounts_put_aside(dir, name, "exeat-deep", to))
        snprintf(detail, sizeof detail, "too deep to look through: remove it; it is now %s", to);
    else
        snprintf(detail, sizeof detail, "too deep to look through: remove it before you use git here");
    mounts_tell(each, ctx, MOUNTS_DEEP, path, detail);
}
