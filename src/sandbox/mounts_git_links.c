/* Links in a repository.  Git itself makes none there, but it writes through those that are there: a commit's
 * message to COMMIT_EDITMSG, with what the jail has left in MERGE_MSG, lines to logs/.  A link to ~/.bashrc
 * in their place, and the next `git commit` on the host writes what a shell then runs.  So at the end of a
 * run those that were not there before go.  A rebase that was left half done is named: `git rebase
 * --continue` runs its `exec` lines. */
#include "sandbox/mounts_internal.h"
#include "sandbox/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char TODO[] = "git-rebase-todo";

/* One walk through the repositories of a plan: before the run to note, after it to compare. */
struct links {
    struct mounts *m;
    struct err *e;
    mounts_each_finding *each; /* NULL: note */
    void *ctx;
};

/* Repositories are walked each by itself; objects are found by their content, whatever they are. */
static bool is_other(const struct links *l, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < l->m->git_count; i++) {
        const char *config = l->m->gits[i].config, *slash = strrchr(config, '/');
        size_t git = (size_t)(slash - config);
        if (strncmp(path, config, git) == 0 && (len == git || strcmp(path + git, "/objects") == 0))
            return true;
    }
    return false;
}

static bool matches(const struct mount_seen *seen, const struct stat *st)
{
    return seen->inode == st->st_ino && seen->changed_ns == mounts_changed_ns(st);
}

static int note(struct mounts *m, const char *path, const struct stat *st, struct err *e)
{
    if (m->link_count == CAP_NOTED_LINKS)
        return err_set(e, "%s: more than %d links in repositories", path, CAP_NOTED_LINKS);
    struct mount_seen *links = reallocarray(m->links, m->link_count + 1, sizeof *links);
    if (!links)
        return err_set(e, "no memory");
    m->links = links;
    const char *copy = mounts_printf(m, e, "%s", path);
    if (!copy)
        return -1;
    m->links[m->link_count++] = (struct mount_seen){copy, st->st_ino, mounts_changed_ns(st)};
    return 0;
}

static const struct mount_seen *find(const struct mounts *m, const char *path)
{
    for (size_t i = 0; i < m->link_count; i++)
        if (strcmp(m->links[i].path, path) == 0)
            return &m->links[i];
    return NULL;
}

/* With core.preferSymlinkRefs HEAD is a link, which git reads as a name and does not follow. */
static bool is_symbolic_ref(int dir, const char *name)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    return strcmp(name, "HEAD") == 0 && strncmp(target, "refs/", 5) == 0 && !strstr(target, "..");
}

static void judge(const struct links *l, const char *path, int dir, const char *name, const struct stat *st)
{
    const struct mount_seen *seen = find(l->m, path);
    if (seen && matches(seen, st))
        return;
    if (S_ISREG(st->st_mode))
        mounts_tell(l->each, l->ctx, seen ? MOUNTS_CHANGED : MOUNTS_NEW, path, "git rebase --continue");
    else if (!is_symbolic_ref(dir, name))
        mounts_tell(l->each, l->ctx, MOUNTS_LINK, path,
                    mounts_unlink(dir, name) ? "git outside would write through it: removed"
                                             : "git outside would write through it: remove it");
}

/* Before the run what cannot be looked through is an error, or closed to the jail's user as well. */
static enum tree_step look_at_limit(const struct links *l, const char *path, int dir, const char *name,
                                    unsigned char limit)
{
    if (!l->each)
        return TREE_GO_ON;
    if (limit == TREE_DEEP)
        mounts_report_deep(l->each, l->ctx, path, dir, name);
    return limit == TREE_CLOSED && mounts_open_up(dir, name) ? TREE_GO_ON : TREE_SKIP;
}

static enum tree_step look(void *ctx, const char *path, int dir, const char *name, unsigned char type)
{
    const struct links *l = ctx;
    struct stat st;
    if (type >= TREE_CLOSED)
        return look_at_limit(l, path, dir, name, type);
    if (type == DT_DIR)
        return is_other(l, path) ? TREE_SKIP : TREE_GO_ON;
    bool pipe = type == DT_FIFO; /* who opens it waits for ever */
    if ((type != DT_LNK && !pipe && strcmp(name, TODO) != 0) ||
        fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return TREE_GO_ON;
    if (l->each)
        judge(l, path, dir, name, &st);
    else if (note(l->m, path, &st, l->e) < 0)
        return TREE_FAIL;
    return TREE_GO_ON;
}

static int walk_all(struct links *l)
{
    for (size_t i = 0; i < l->m->git_count; i++) {
        const char *config = l->m->gits[i].config, *slash = strrchr(config, '/');
        const char *git = mounts_printf(l->m, l->e, "%.*s", (int)(slash - config), config);
        if (!git || tree_walk(git, look, l, l->e) < 0)
            return -1;
    }
    return 0;
}

int mounts_note_links(struct mounts *m, struct err *e)
{
    struct links l = {.m = m, .e = e};
    return walk_all(&l);
}

int mounts_remove_links(struct mounts *m, mounts_each_finding *each, void *ctx, struct err *e)
{
    struct links l = {.m = m, .e = e, .each = each, .ctx = ctx};
    return walk_all(&l);
}
