/* The program itself, where it lies under home: its folder, its interpreter and its package, read-only.
 *
 * A link, or a script's first line, that lies where the jail writes is the word of whoever wrote it there,
 * maybe in the last run: `#!/home/me/.ssh/id` must not show that folder.  What such a word names is shown
 * where it is a program, with the installation that it belongs to, or by itself. */
#include "sandbox/mounts_internal.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINK_HOPS = 16, INTERPRETERS = 4, SHEBANG_BYTES = 256 };

static bool there(const char *dir, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

/* What makes the folder above a `bin` one installation, that is of use only as a whole. */
static const char *const MARKS[] = {
    "pyvenv.cfg",       /* a Python environment (PEP 405) */
    "lib/node_modules", /* Node's own prefix: nvm, fnm, volta */
    "include/node",     /* the same, without packages */
    "bin/python3",      /* pyenv, uv, conda */
    "pkg/tool",         /* Go */
    "lib/rustlib",      /* a rustup toolchain */
    "lib/jvm.cfg",      /* Java, as SDKMAN lays it out */
    "release",
};

static bool is_prefix(const struct mounts *m, const char *dir)
{
    if (!path_within(dir, m->home) || strcmp(dir, m->home) == 0 || there(dir, "share/keyrings"))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(MARKS); i++)
        if (there(dir, MARKS[i]))
            return true;
    return false;
}

static char *parent_of(struct mounts *m, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    return slash && slash > path ? mounts_printf(m, e, "%.*s", (int)(slash - path), path) : NULL;
}

static int bind_folder(struct mounts *m, const char *dir, struct err *e)
{
    const char *real = mounts_real(m, dir, NULL);
    if (!real || path_within(m->home, real) || path_within(real, m->state))
        return 0;
    return mounts_add_path(m, MOUNT_READ, real, dir, "the command", false, e) < 0 ? -1 : 0;
}

/* Whether the jail may write in the folder of `path`, a link or file. */
static bool may_be_its_own(struct mounts *m, const char *path)
{
    const char *dir = parent_of(m, path, NULL), *real = dir ? mounts_real(m, dir, NULL) : NULL;
    if (!real || path_within(real, m->project))
        return true;
    for (size_t i = 0; m->o->write && m->o->write[i]; i++) {
        const char *root = mounts_real(m, m->o->write[i], NULL);
        if (root && path_within(real, root))
            return true;
    }
    return false;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The package that a file belongs to: what holds its outermost node_modules, or the installation around its
 * `bin`; else its folder, but never home itself. */
static int bind_package(struct mounts *m, const char *path, bool trusted, struct err *e)
{
    if (!trusted && !is_program(path))
        return 0;
    const char *modules = strstr(path, "/node_modules/");
    char *dir = modules ? mounts_printf(m, e, "%.*s/node_modules", (int)(modules - path), path)
                        : parent_of(m, path, e);
    if (!dir)
        return modules ? -1 : 0;
    const char *prefix = modules ? NULL : parent_of(m, dir, e);
    if (prefix && is_prefix(m, prefix))
        return bind_folder(m, prefix, e);
    if ((!trusted && !modules) || strcmp(dir, m->home) == 0)
        return mounts_add_path(m, MOUNT_READ, path, NULL, "the command", false, e) < 0 ? -1 : 0;
    return bind_folder(m, dir, e);
}

/* Without "." and ".." on the way: a mount point has none. */
static const char *plain(struct mounts *m, const char *path, struct err *e)
{
    if (!strstr(path, "/./") && !strstr(path, "/../") && !strstr(path, "//"))
        return path;
    const char *slash = strrchr(path, '/');
    const char *dir = mounts_printf(m, e, "%.*s/", (int)(slash - path), path);
    const char *real = dir ? mounts_real(m, dir, NULL) : NULL;
    return real ? mounts_printf(m, e, "%s%s", real, slash) : NULL;
}

/* A relative link starts at the folder of the link itself. */
static const char *follow(struct mounts *m, const char *path, struct err *e)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return NULL;
    target[n] = 0;
    const char *slash = strrchr(path, '/');
    const char *next = target[0] == '/' ? mounts_printf(m, e, "%s", target)
                                        : mounts_printf(m, e, "%.*s/%s", (int)(slash - path), path, target);
    return next ? plain(m, next, e) : NULL;
}

/* ~/bin/x -> ../lib/y -> …: each of the links must be there too. */
static int bind_chain(struct mounts *m, const char *path, bool *trusted, struct err *e)
{
    path = plain(m, path, e);
    for (int hop = 0; path && hop < LINK_HOPS; hop++) {
        if (path_within(path, m->home) && bind_package(m, path, *trusted, e) < 0)
            return -1;
        *trusted = *trusted && !may_be_its_own(m, path);
        path = follow(m, path, e);
    }
    return 0;
}

static char *find_in_path(struct mounts *m, struct slice name, struct err *e)
{
    struct slice rest = slice_str(m->o->path), dir;
    while (slice_next(&rest, ':', &dir)) {
        if (dir.len == 0 || dir.ptr[0] != '/')
            continue;
        char *path = mounts_printf(m, e, "%.*s/%.*s", SLICE_FMT(dir), SLICE_FMT(name));
        if (!path || access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}

/* `#!/usr/bin/env -S NAME …` runs the first NAME of PATH; any other line names the interpreter itself. */
static char *interpreter(struct mounts *m, const char *path, struct err *e)
{
    char head[SHEBANG_BYTES];
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? 0 : read(fd, head, sizeof head);
    struct slice rest = slice_of(head, n > 0 ? (size_t)n : 0), line, word;
    if (!slice_starts(rest, SLICE("#!")) || !slice_next(&rest, '\n', &line))
        return NULL;
    line = slice_trim(slice_skip(line, 2));
    if (!slice_next(&line, ' ', &word) || word.len == 0 || word.ptr[0] != '/')
        return NULL;
    if (!slice_ends(word, SLICE("/env")))
        return mounts_printf(m, e, "%.*s", SLICE_FMT(word));
    while (slice_next(&line, ' ', &word))
        if (word.len && word.ptr[0] != '-' && slice_find(word, '=') < 0)
            return find_in_path(m, word, e);
    return NULL;
}

int mounts_plan_command(struct mounts *m, struct err *e)
{
    const char *path = m->o->command;
    bool trusted = true; /* the user has named it */
    for (int i = 0; path && path[0] == '/' && i < INTERPRETERS; i++) {
        if (bind_chain(m, path, &trusted, e) < 0)
            return -1;
        path = interpreter(m, path, e);
    }
    return 0;
}
