/* What the files of a mount plan share; nobody else includes it. */
#pragma once
#include "base/buf.h"
#include "base/caps.h"
#include "sandbox/git_config.h"
#include "sandbox/mounts.h"

#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>

/* A repository in the jail: its config is a private copy, which git there may change. */
struct mount_git {
    const char *config;  /* on the host */
    const char *folder;  /* on the host, of this run: the copy lies in it */
    struct slice before; /* what both held at the start */
};

/* A file that programs outside run or obey, as it was at the start; see runs.def. */
struct mount_seen {
    const char *path;
    uint64_t inode;
    int64_t changed_ns; /* ctime: a program in the jail cannot set it */
    bool armed;         /* a repository without a work tree in which git would run something already */
};

struct mounts {
    struct arena arena;
    const struct mounts_options *o;
    const char *project, *home, *state, *run; /* of the options, without links */
    struct mount_op *ops;
    size_t count, size;
    const char *writable[CAP_MOUNT_ROOTS + 1]; /* folders that the jail writes */
    size_t writable_count;
    struct mount_git gits[CAP_REPOSITORIES];
    size_t git_count;
    struct mount_seen *seen;
    size_t seen_count, seen_size;
    struct mount_seen *links; /* in repositories, as they were at the start */
    size_t link_count;
    const char *missing[CAP_NAMED_MISSING]; /* files that git's configuration names, and that were not there */
    size_t missing_count;
    const char **arguments;
    uint64_t *watched; /* mount ids, one for each op; 0: not watched */
    int journal;       /* the locked file that names what was made on the host; -1 */
};

/* Copies nothing but the op itself: its texts live in the plan's arena or are literals.  Closes op.fd on
 * failure. */
MUST_USE int mounts_add(struct mounts *m, struct mount_op op, struct err *e);
/* A text in the plan's arena; NULL is reported in e. */
char *mounts_printf(struct mounts *m, struct err *e, const char *fmt, ...) PRINTF(3, 4);
/* An op of `kind` for what is at `path` on the host, opened without following links; to == path where to is
 * NULL. What is not there is no error: 1 is returned and nothing added. */
MUST_USE int mounts_add_path(struct mounts *m, enum mount_kind kind, const char *path, const char *to,
                             const char *reason, bool protects, struct err *e);

/* The op that mounts on `to`; NULL. */
struct mount_op *mounts_find(struct mounts *m, const char *to);
/* The mount that decides about a path: the one on the longest way to it; strictly: not one on the path
 * itself. */
const struct mount_op *mounts_above(const struct mounts *m, const char *path, bool strictly);
/* What lies at `path`, mounted on itself: it can be neither written nor replaced (MOUNT_READ), or not
 * replaced (MOUNT_WRITE).  So that nobody can rename a folder above it either, each folder between it and the
 * writable folder that holds it becomes a mount as well.  What is not there is made for the time of the run:
 * `directory`, or a file with `text`. */
struct mount_pin {
    enum mount_kind kind;
    const char *reason;
    bool create, directory;
    const char *text;
};
MUST_USE int mounts_pin(struct mounts *m, const char *path, const struct mount_pin *pin, struct err *e);
/* Whether the jail writes at `path`. */
bool mounts_writable(const struct mounts *m, const char *path);

/* The writable folder with the first link on the way of `path` that lies in one: the jail may have made it.
 * NULL. */
const char *mounts_root_of_link(const struct mounts *m, const char *path);

/* O_PATH, closed on exec; no component may be a link.  -1 with errno. */
int mounts_open(int dir, const char *path);
/* realpath(3) into the arena; NULL with errno in e->sys where it does not exist. */
const char *mounts_real(struct mounts *m, const char *path, struct err *e);
/* A regular file whose text the jail will see, which its user may read outside as well. */
MUST_USE int mounts_read_file(const struct mounts *m, const char *path, struct buf *ret, struct err *e);
/* Whose files are the jail's user's own, on the disk. */
uid_t mounts_owner(const struct mounts *m);
/* Whether path is dir or lies below it; both without links. */
bool path_within(const char *path, const char *dir);
/* Of a folder: 0: empty, 1: something lies in it, -1: nobody can look. */
int mounts_content(const char *path);

/* The parts of a plan, in the order of mounts.c's table. */
MUST_USE int mounts_plan_system(struct mounts *m, struct err *e);
MUST_USE int mounts_plan_files(struct mounts *m, struct err *e);
MUST_USE int mounts_plan_command(struct mounts *m, struct err *e);
MUST_USE int mounts_plan_home(struct mounts *m, struct err *e);
MUST_USE int mounts_plan_kernel(struct mounts *m, struct err *e);
MUST_USE int mounts_plan_texts(struct mounts *m, struct err *e);
/* What needs protection below a folder that the jail sees: repositories, secrets, sockets, devices. */
MUST_USE int mounts_plan_tree(struct mounts *m, const char *dir, struct err *e);
/* The other links of files that are protected, where the jail writes. */
MUST_USE int mounts_plan_twins(struct mounts *m, struct err *e);
/* Notes a file that runs.def lists, or a HEAD of a repository, as it is now; `dir` holds `name`. */
MUST_USE int mounts_note(struct mounts *m, const char *path, int dir, const char *name, struct err *e);
/* The repository whose work tree is dir: `.git` there is a directory, a file, a link, or (the project)
 * missing. */
MUST_USE int mounts_plan_repository(struct mounts *m, const char *dir, struct err *e);
/* A repository itself, wherever it lies; worktree: paths in its configuration start there; NULL. */
MUST_USE int mounts_plan_git_dir(struct mounts *m, const char *git, const char *worktree, struct err *e);

/* What the configuration `config`, whose text this is, names, with what the user's and the system's name. */
MUST_USE int mounts_plan_named(struct mounts *m, const char *config, struct slice text, const char *worktree,
                               struct err *e);
/* Whether something is there, in a work tree that was made inside, that these configurations name. */
bool mounts_finds_named(struct mounts *m, const char *config, struct slice text, const char *worktree,
                        char ret_found[GIT_CONFIG_KEY]);

/* Links in the repositories of the plan: as they are now; and those that are new, removed and told. */
MUST_USE int mounts_note_links(struct mounts *m, struct err *e);
MUST_USE int mounts_remove_links(struct mounts *m, mounts_each_finding *each, void *ctx, struct err *e);
int64_t mounts_changed_ns(const struct stat *st);
/* A finding without control characters: names and values come from the jail. */
void mounts_tell(mounts_each_finding *each, void *ctx, enum mounts_finding f, const char *path,
                 const char *detail);

/* Whether `name` in `dir` is what git looks for as ".git". */
bool mounts_is_git_name(int dir, const char *name);
/* git takes a folder with HEAD, objects and refs for a repository; armed: it would run something there. */
bool mounts_is_bare(int dir);
bool mounts_is_armed_bare(int dir);
/* What is told, and done, about a `.git` at `path`, in `dir`; about a HEAD there that was `seen` at the
 * start, or not (NULL); about a folder that is too deep to look through. */
void mounts_report_repository(struct mounts *m, mounts_each_finding *each, void *ctx, const char *path,
                              int dir, unsigned char type);
void mounts_report_bare(mounts_each_finding *each, void *ctx, const char *path, int dir,
                        const struct mount_seen *seen);
/* Files that were missing when git's configuration named them, and are there now. */
void mounts_report_missing(struct mounts *m, mounts_each_finding *each, void *ctx);
void mounts_report_deep(mounts_each_finding *each, void *ctx, const char *path, int dir, const char *name);

/* Whatever modes the jail gave `dir`; false with errno.  To a name that nobody could have prepared: what git
 * itself would look for, or follow, must not be there again.  mounts_disarm: `name`.disarmed, where it is
 * free. */
bool mounts_open_up(int dir, const char *name);
bool mounts_unlink(int dir, const char *name);
bool mounts_put_aside(int dir, const char *name, const char *to, char ret_to[NAME_MAX + 1]);
bool mounts_disarm(int dir, const char *name, char ret_to[NAME_MAX + 1]);

/* Moves what the jail made in private git folders to where it is kept. */
MUST_USE int mounts_keep_repositories(struct mounts *m, mounts_each_finding *each, void *ctx, struct err *e);
void mounts_remove_private(const struct mounts *m);

/* Whether bubblewrap makes this one: /proc and /dev, and what lies on /proc. */
bool mounts_of_bubblewrap(const struct mount_op *op);
MUST_USE int mounts_make_arguments(struct mounts *m, const char *root, struct err *e);
