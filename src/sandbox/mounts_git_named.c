/* What git's configuration names in the project: folders of hooks, included files, scripts.  Git on the host
 * runs or obeys them, so they are read-only.  An included file names things as well; so do the configurations
 * of the user and of the system, which hold for this repository too (`core.hooksPath = .githooks`). */
#include "sandbox/mounts_internal.h"

#include "base/io.h"
#include "sandbox/git_config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* git's own depth (config.c, MAX_INCLUDE_DEPTH); files that include each other many times are no reason to
 * read for hours. */
enum { INCLUDE_DEPTH = 10, FILES_MAX = 200 };

struct reading {
    unsigned files;
    bool failed;     /* with an error told; else what a reader says is about the text */
    char *ret_found; /* only look what is there (GIT_CONFIG_KEY bytes); NULL: protect it */
};

struct named {
    struct mounts *m;
    const char *config, *worktree; /* worktree: relative paths of commands start there; NULL: unknown */
    int depth;                     /* of includes */
    struct reading *reading;
    struct err *e;
};

/* Without links, also where its last parts are missing; NULL where what is missing cannot be told. */
static const char *settle(struct named *n, const char *path)
{
    const char *real = mounts_real(n->m, path, NULL);
    for (const char *end = path + strlen(path); !real && end > path;) {
        while (--end > path && *end != '/')
            ;
        char *above = mounts_printf(n->m, NULL, "%.*s", (int)(end - path), path);
        const char *known = above && above[0] ? mounts_real(n->m, above, NULL) : NULL;
        if (!known)
            continue;
        bool plain = !strstr(end, "/..") && !strstr(end, "/./") && !strstr(end, "//");
        return plain ? mounts_printf(n->m, NULL, "%s%s", known, end) : NULL;
    }
    return real;
}

/* No file stands in for a missing one, as `git add` would take it along; at the end it is looked for. */
static int note_missing(struct named *n, const char *path)
{
    struct mounts *m = n->m;
    if (m->missing_count == ARRAY_LEN(m->missing))
        return err_set(n->e, "%s: git's configuration names too many files that are not there", n->config);
    m->missing[m->missing_count++] = path;
    return 0;
}

/* missing: what to do where nothing is, since the jail could make it: folders are made before, of files it is
 * looked whether they are there at the end. */
static int protect_named(struct named *n, const char *written, bool folder, bool missing)
{
    struct stat st;
    const char *path = settle(n, written);
    if (!path || !mounts_writable(n->m, path))
        return 0;
    bool there = lstat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode) != folder)
        return 0;
    if (n->reading->ret_found) {
        if (there && path_within(path, n->worktree))
            snprintf(n->reading->ret_found, GIT_CONFIG_KEY, "%s", path);
        return 0;
    }
    if (!there && !folder)
        return missing ? note_missing(n, path) : 0;
    const struct mount_pin pin = {
        .kind = MOUNT_READ,
        .reason = "git: named in its configuration",
        .create = folder,
        .directory = folder,
    };
    return mounts_pin(n->m, path, &pin, n->e);
}

/* %(prefix) and other users' homes lead out of what a jail writes. */
static const char *resolve(struct named *n, const char *base, struct slice word)
{
    if (slice_starts(word, SLICE("~/")))
        return mounts_printf(n->m, n->e, "%s/%.*s", n->m->home, (int)word.len - 2, word.ptr + 2);
    if (word.len == 0 || word.ptr[0] == '~')
        return NULL;
    if (word.ptr[0] == '/')
        return mounts_printf(n->m, n->e, "%.*s", SLICE_FMT(word));
    if (slice_starts(word, SLICE("./")))
        word = slice_skip(word, 2);
    return base ? mounts_printf(n->m, n->e, "%s/%.*s", base, SLICE_FMT(word)) : NULL;
}

/* husky's `.husky/_/pre-commit` runs `.husky/pre-commit`: the folder above counts too. */
static int protect_hooks(struct named *n, const char *value)
{
    struct slice path = slice_str(value);
    while (path.len > 1 && (slice_ends(path, SLICE("/")) || slice_ends(path, SLICE("/_"))))
        path.len--;
    const char *hooks = resolve(n, n->worktree, path);
    return hooks ? protect_named(n, hooks, true, true) : 0;
}

/* A file that is clearly meant, not a part of a branch's name. */
static bool is_path(struct slice word)
{
    return slice_starts(word, SLICE("./")) || slice_starts(word, SLICE("../")) ||
           slice_starts(word, SLICE("/"));
}

/* Commands name scripts by path: each word that is a file of the project, or could be made one, is read-only.
 */
static int protect_words(struct named *n, const char *value)
{
    static const char between[] = " \t!;|&()<>{}`'\"=,";
    for (const char *at = value + strspn(value, between); *at; at += strspn(at, between)) {
        struct slice word = slice_of(at, strcspn(at, between));
        const char *path = slice_find(word, '/') < 0 ? NULL : resolve(n, n->worktree, word);
        bool there = path && access(path, F_OK) == 0;
        if (path && (there || is_path(word)) && protect_named(n, path, false, true) < 0)
            return -1;
        at += word.len;
    }
    return 0;
}

static int judge_variable(struct named *n, const char *key, const char *value);

static int each_variable(void *ctx, const char *key, const char *value)
{
    struct named *n = ctx;
    int result = judge_variable(n, key, value);
    n->reading->failed |= result < 0;
    return result;
}

/* A file that is missing, or that git would refuse, names nothing. */
static int read_file(const struct named *above, const char *path)
{
    AUTO_BUF text = BUF_INIT(CAP_GIT_CONFIG_BYTES);
    struct named n = *above;
    struct stat st;
    n.config = path;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || ++n.depth > INCLUDE_DEPTH)
        return 0;
    if (++n.reading->files > FILES_MAX)
        return err_set(n.e, "%s: git's configuration includes more than %d files", path, FILES_MAX);
    if (io_read_file(path, &text, NULL) < 0)
        return 0;
    return git_config_read(buf_slice(&text), each_variable, &n) < 0 && n.reading->failed ? -1 : 0;
}

static int protect_include(struct named *n, const char *value)
{
    const char *slash = strrchr(n->config, '/');
    const char *base = mounts_printf(n->m, n->e, "%.*s", (int)(slash - n->config), n->config);
    const char *path = base ? resolve(n, base, slice_str(value)) : NULL;
    if (!path)
        return base ? 0 : -1;
    return protect_named(n, path, false, false) < 0 ? -1 : read_file(n, path);
}

/* Whether includeIf's condition holds is not asked: what it names is protected in any case. */
static int judge_variable(struct named *n, const char *key, const char *value)
{
    if (strcmp(key, "core.hookspath") == 0)
        return protect_hooks(n, value);
    if (strcmp(key, "include.path") == 0 ||
        (strncmp(key, "includeif.", 10) == 0 && slice_ends(slice_str(key), SLICE(".path"))))
        return protect_include(n, value);
    return protect_words(n, value);
}

/* git-config(1), FILES. */
static int read_others(const struct named *n)
{
    static const char *const below_home[] = {".config/git/config", ".gitconfig"};
    if (read_file(n, "/etc/gitconfig") < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(below_home); i++) {
        const char *path = mounts_printf(n->m, n->e, "%s/%s", n->m->home, below_home[i]);
        if (!path || read_file(n, path) < 0)
            return -1;
    }
    return 0;
}

static int read_all(struct named *n, struct slice text)
{
    if (git_config_read(text, each_variable, n) < 0)
        return n->reading->failed ? -1
                                  : err_set(n->e, "%s: git would refuse it: correct it first", n->config);
    return n->worktree ? read_others(n) : 0;
}

int mounts_plan_named(struct mounts *m, const char *config, struct slice text, const char *worktree,
                      struct err *e)
{
    struct reading reading = {0};
    struct named n = {.m = m, .config = config, .worktree = worktree, .reading = &reading, .e = e};
    return read_all(&n, text);
}

bool mounts_finds_named(struct mounts *m, const char *config, struct slice text, const char *worktree,
                        char ret_found[GIT_CONFIG_KEY])
{
    char found[GIT_CONFIG_KEY] = "";
    struct reading reading = {.ret_found = found};
    struct named n = {.m = m, .config = config, .worktree = worktree, .reading = &reading};
    if (read_all(&n, text) < 0)
        snprintf(found, sizeof found, "%s", "what its configuration names");
    if (found[0])
        snprintf(ret_found, GIT_CONFIG_KEY, "%s", found);
    return found[0] != '\0';
}
