/* A repository in a folder that the jail writes: git works in it, but nothing that git on the host runs or
 * obeys can be written there (interfaces.md 6).
 *
 *  - .git and each folder above it is a mount, so that none can be renamed and made anew.
 *  - config is a link into a private folder, mounted over the file: git follows links when it writes
 * (lockfile.c, resolve_symlink), so `git remote add` and `push -u` work on a copy, and nobody can replace a
 * mount point.
 *  - What git_parts.def lists is read-only, also where it does not exist yet.
 *  - modules: the git directories of submodules that are there are protected in the same way; new ones go to
 * a private folder.  worktrees: those that are there are protected; new ones concern no command that runs
 * elsewhere.
 *  - What config names in the project (core.hooksPath, include.path, a filter's script) is read-only. */
#include "sandbox/mounts_internal.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GIT_FILE_BYTES = 8192, MODULE_DEPTH = 6 };

static const struct {
    const char *name;
    enum mount_kind kind;
    enum { PLACEHOLDER_NONE, PLACEHOLDER_DIRECTORY, PLACEHOLDER_FILE } placeholder;
    const char *text;
    const char *reason;
} PARTS[] = {
#define PART(name, kind, placeholder, text, reason) {name, MOUNT_##kind, PLACEHOLDER_##placeholder, text, reason},
#include "sandbox/git_parts.def"
};

static bool is_folder(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int mounts_content(const char *path)
{
    DIR *d = opendir(path);
    int names = 0;
    if (!d)
        return -1;
    while (names < 3 && readdir(d)) /* . and .. */
        names++;
    closedir(d);
    return names == 3;
}

static bool is_git_dir(struct mounts *m, const char *path)
{
    const char *head = mounts_printf(m, NULL, "%s/HEAD", path),
               *refs = mounts_printf(m, NULL, "%s/refs", path);
    const char *common = mounts_printf(m, NULL, "%s/commondir", path);
    struct stat st;
    return head && refs && common && lstat(head, &st) == 0 && (is_folder(refs) || access(common, F_OK) == 0);
}

static bool is_planned(struct mounts *m, const char *git)
{
    size_t len = strlen(git);
    for (size_t i = 0; i < m->git_count; i++)
        if (strncmp(m->gits[i].config, git, len) == 0 && strcmp(m->gits[i].config + len, "/config") == 0)
            return true;
    return false;
}

static int pin_part(struct mounts *m, const char *git, size_t i, struct err *e)
{
    const char *path = mounts_printf(m, e, "%s/%s", git, PARTS[i].name);
    struct mount_pin pin = {
        .kind = PARTS[i].kind,
        .reason = PARTS[i].reason,
        .create = PARTS[i].placeholder != PLACEHOLDER_NONE,
        .directory = PARTS[i].placeholder == PLACEHOLDER_DIRECTORY,
        .text = PARTS[i].text,
    };
    if (!path || mounts_pin(m, path, &pin, e) < 0)
        return -1;
    /* a link is held in place itself, and what it points to is protected where that is in the jail */
    const char *real = mounts_real(m, path, NULL);
    pin.create = false;
    return real && strcmp(real, path) != 0 ? mounts_pin(m, real, &pin, e) : 0;
}

/* ---- config ---- */

static int cover_config(struct mounts *m, struct mount_git *g, struct err *e)
{
    size_t i = m->git_count;
    char *outside = mounts_printf(m, e, "%s/git/%zu", m->run, i);
    char *inside = mounts_printf(m, e, "/run/exeat/git/%zu", i),
         *link = mounts_printf(m, e, "%s/config", inside);
    if (!outside || !inside || !link)
        return -1;
    struct mount_op folder = {.kind = MOUNT_WRITE,
                              .to = inside,
                              .from = outside,
                              .fd = -1,
                              .reason = "git: private configuration",
                              .make_from = true};
    if (mounts_add(m, folder, e) < 0)
        return -1;
    struct mount_op *op = mounts_find(m, g->config);
    if (!op)
        return err_set(e, "%s: cannot be protected", g->config);
    op->kind = MOUNT_LINK_OVER;
    op->from = link;
    g->folder = outside;
    m->gits[m->git_count++] = *g;
    return 0;
}

static int read_config(struct mounts *m, struct mount_git *g, const char *worktree, struct err *e)
{
    AUTO_BUF text = BUF_INIT(CAP_GIT_CONFIG_BYTES);
    if (access(g->config, F_OK) < 0)
        return 0;
    if (mounts_read_file(m, g->config, &text, e) < 0)
        return -1;
    g->before = arena_slice(&m->arena, buf_slice(&text));
    return mounts_plan_named(m, g->config, g->before, worktree, e);
}

static int plan_config(struct mounts *m, const char *git, const char *worktree, struct err *e)
{
    static const struct mount_pin pin = {
        .kind = MOUNT_READ, .reason = "git: configuration", .create = true, .text = ""};
    struct mount_git g = {.config = mounts_printf(m, e, "%s/config", git)};
    if (m->git_count == CAP_REPOSITORIES)
        return err_set(e, "more than %d repositories: show the jail a smaller folder", CAP_REPOSITORIES);
    if (!g.config || mounts_pin(m, g.config, &pin, e) < 0 || read_config(m, &g, worktree, e) < 0)
        return -1;
    return cover_config(m, &g, e);
}

/* ---- submodules and work trees ---- */

/* `modules` itself becomes a private folder, in which those that are there lie again: so nothing new of it
 * reaches the host, where `git status` would read a new submodule's configuration. */
static int plan_modules(struct mounts *m, const char *path, int depth, bool top, struct err *e);

static int plan_module(struct mounts *m, const char *path, int depth, struct err *e)
{
    if (is_git_dir(m, path))
        return mounts_plan_git_dir(m, path, NULL, e);
    return depth < MODULE_DEPTH ? plan_modules(m, path, depth + 1, false, e) : 0;
}

static int add_private(struct mounts *m, const char *path, struct err *e)
{
    char *from = mounts_printf(m, e, "%s/git/%zu.modules", m->run, m->count);
    struct mount_op op = {
        .kind = MOUNT_WRITE,
        .to = path,
        .from = from,
        .fd = -1,
        .reason = "git: new submodules, private",
        .make_from = true,
        .protects = true,
        .create = !is_folder(path),
        .directory = true,
    };
    return from ? mounts_add(m, op, e) : -1;
}

static int plan_modules(struct mounts *m, const char *path, int depth, bool top, struct err *e)
{
    if (top && add_private(m, path, e) < 0)
        return -1;
    DIR *d = opendir(path);
    int rc = 0;
    for (struct dirent *entry; d && rc == 0 && (entry = readdir(d));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        const char *sub = mounts_printf(m, e, "%s/%s", path, entry->d_name);
        rc = !sub ? -1 : is_folder(sub) ? plan_module(m, sub, depth, e) : 0;
    }
    if (d)
        closedir(d);
    return rc;
}

static int plan_linked(struct mounts *m, const char *git, struct err *e)
{
    const char *path = mounts_printf(m, e, "%s/worktrees", git);
    DIR *d = path ? opendir(path) : NULL;
    int rc = path ? 0 : -1;
    for (struct dirent *entry; d && rc == 0 && (entry = readdir(d));) {
        const char *sub = entry->d_name[0] == '.' ? NULL : mounts_printf(m, e, "%s/%s", path, entry->d_name);
        for (size_t i = 0; sub && is_folder(sub) && rc == 0 && i < ARRAY_LEN(PARTS); i++)
            if (PARTS[i].kind == MOUNT_READ && PARTS[i].placeholder != PLACEHOLDER_DIRECTORY &&
                !strchr(PARTS[i].name, '/'))
                rc = pin_part(m, sub, i, e);
    }
    if (d)
        closedir(d);
    return rc;
}

int mounts_plan_git_dir(struct mounts *m, const char *git, const char *worktree, struct err *e)
{
    static const struct mount_pin pin = {.kind = MOUNT_WRITE, .reason = "git: the repository"};
    const char *modules = mounts_printf(m, e, "%s/modules", git);
    if (!modules || mounts_pin(m, git, &pin, e) < 0 || plan_config(m, git, worktree, e) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++)
        if (pin_part(m, git, i, e) < 0)
            return -1;
    if (plan_modules(m, modules, 0, true, e) < 0)
        return -1;
    return plan_linked(m, git, e);
}

/* ---- the four things that `.git` can be ---- */

/* The path that a file like `.git`, `gitdir` or `commondir` holds; relative ones start at `base`. */
static const char *read_pointer(struct mounts *m, const char *file, struct slice prefix, const char *base)
{
    AUTO_BUF text = BUF_INIT(GIT_FILE_BYTES);
    if (io_read_file(file, &text, NULL) < 0 || !slice_starts(buf_slice(&text), prefix))
        return NULL;
    struct slice path = slice_skip(buf_slice(&text), prefix.len);
    while (path.len && (path.ptr[path.len - 1] == '\n' || path.ptr[path.len - 1] == '\r'))
        path.len--;
    if (path.len == 0 || memchr(path.ptr, 0, path.len))
        return NULL;
    const char *full = path.ptr[0] == '/' ? mounts_printf(m, NULL, "%.*s", SLICE_FMT(path))
                                          : mounts_printf(m, NULL, "%s/%.*s", base, SLICE_FMT(path));
    return full ? mounts_real(m, full, NULL) : NULL;
}

/* The repository of a linked work tree, writable beside the project.  It is believed only where that
 * repository names this work tree itself and is this user's: the file may have come with the project. */
static int plan_elsewhere(struct mounts *m, const char *git, struct err *e)
{
    struct stat st;
    const char *own = read_pointer(m, git, SLICE("gitdir: "), m->project);
    const char *back = own ? mounts_printf(m, e, "%s/gitdir", own) : NULL;
    const char *pointer = own ? mounts_printf(m, e, "%s/commondir", own) : NULL;
    const char *named = back ? read_pointer(m, back, SLICE(""), own) : NULL;
    const char *common = pointer ? read_pointer(m, pointer, SLICE(""), own) : NULL;
    if (!named || !common || strcmp(named, git) != 0 || !path_within(own, common) ||
        mounts_writable(m, common) || stat(common, &st) < 0 || st.st_uid != mounts_owner(m) ||
        m->writable_count == CAP_MOUNT_ROOTS)
        return 0;
    m->writable[m->writable_count++] = common;
    return mounts_plan_git_dir(m, common, m->project, e);
}

/* What the repository's configuration names in this one of its work trees. */
static int plan_names(struct mounts *m, const char *git, const char *worktree, struct err *e)
{
    AUTO_BUF text = BUF_INIT(CAP_GIT_CONFIG_BYTES);
    const char *config = mounts_printf(m, e, "%s/config", git);
    if (!config)
        return -1;
    if (access(config, F_OK) < 0)
        return 0;
    return io_read_file(config, &text, e) < 0 ? -1
                                              : mounts_plan_named(m, config, buf_slice(&text), worktree, e);
}

/* A submodule, a linked work tree; or `git init --separate-git-dir`, or work trees beside a bare repository:
 * then it lies in the project under another name.  What is below a `.git` is found there. */
static int plan_pointed(struct mounts *m, const char *git, const char *worktree, struct err *e)
{
    const char *own = read_pointer(m, git, SLICE("gitdir: "), worktree);
    const char *pointer = own ? mounts_printf(m, e, "%s/commondir", own) : NULL;
    const char *common = pointer ? read_pointer(m, pointer, SLICE(""), own) : NULL;
    const char *real = common ? common : own;
    if (!real || !mounts_writable(m, real) || !is_git_dir(m, real))
        return 0;
    bool found = strstr(real, "/.git/") || slice_ends(slice_str(real), SLICE("/.git")) || is_planned(m, real);
    return found ? plan_names(m, real, worktree, e) : mounts_plan_git_dir(m, real, worktree, e);
}

static int plan_git_file(struct mounts *m, const char *git, const char *worktree, struct err *e)
{
    static const struct mount_pin pin = {.kind = MOUNT_READ, .reason = "git: where the repository is"};
    if (mounts_pin(m, git, &pin, e) < 0 || plan_pointed(m, git, worktree, e) < 0)
        return -1;
    return strcmp(worktree, m->project) == 0 ? plan_elsewhere(m, git, e) : 0;
}

static int plan_git_link(struct mounts *m, const char *git, const char *worktree, struct err *e)
{
    static const struct mount_pin pin = {.kind = MOUNT_READ, .reason = "git: where the repository is"};
    if (mounts_pin(m, git, &pin, e) < 0)
        return -1;
    const char *real = mounts_real(m, git, NULL);
    return real && mounts_writable(m, real) && is_folder(real) ? mounts_plan_git_dir(m, real, worktree, e)
                                                               : 0;
}

/* `git init` in the jail makes a private repository: a real one would bring a configuration with it that the
 * host's git obeys at once. */
static int plan_no_git(struct mounts *m, const char *git, bool create, struct err *e)
{
    char *from = mounts_printf(m, e, "%s/git/%zu.init", m->run, m->count);
    struct mount_op op = {
        .kind = MOUNT_WRITE,
        .to = git,
        .from = from,
        .fd = -1,
        .reason = "git: a new repository, private",
        .make_from = true,
        .protects = true,
        .create = create,
        .directory = true,
    };
    return from ? mounts_add(m, op, e) : -1;
}

int mounts_plan_repository(struct mounts *m, const char *dir, struct err *e)
{
    struct stat st;
    const char *git = mounts_printf(m, e, "%s/.git", dir);
    if (!git)
        return -1;
    if (!mounts_writable(m, git) || mounts_find(m, git))
        return 0;
    if (lstat(git, &st) < 0)
        return errno == ENOENT ? plan_no_git(m, git, true, e) : err_sys(e, "%s", git);
    if (S_ISREG(st.st_mode))
        return plan_git_file(m, git, dir, e);
    if (S_ISLNK(st.st_mode))
        return plan_git_link(m, git, dir, e);
    if (!S_ISDIR(st.st_mode))
        return 0;
    bool empty = mounts_content(git) == 0; /* made by another run, or by hand: no repository */
    return empty ? plan_no_git(m, git, false, e) : mounts_plan_git_dir(m, git, dir, e);
}
