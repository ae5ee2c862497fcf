/* What of the file system a jail sees, as a list of operations that is printed, then applied (interfaces.md
 * 6; house model: bubblewrap's SetupOp list).
 *
 * Four steps, because they happen at four times:
 *  1. mounts_plan looks at the host as it is and writes the list.  It changes nothing (--dry-run ends here).
 *  2. mounts_prepare makes on the host what the mounts need: private copies of git's config, and mount points
 *     that are not there yet, each noted in a journal under the state directory before it is made.
 *  3. mounts_enter, in the process that becomes the jail, makes a mount namespace and builds the jail's root
 * in it. bubblewrap then only has to take that root (mounts_arguments) and to put /proc and /dev into it.
 *     Sources are opened again there without following links and must be the files that were judged, so that
 *     nobody can exchange one in between; bubblewrap 0.8 by itself takes paths only.
 *  4. mounts_watch and mounts_check, in the supervisor, see whether the mounts that protect something are
 * still there: a file's mount falls off when somebody outside replaces the file by rename(2). After the run:
 * mounts_finish removes what step 2 made; mounts_sweep does so after a run that was killed.
 *
 * Sources: mount_namespaces(7), open_tree(2), move_mount(2), mount_setattr(2), openat2(2), bwrap(1). */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <sys/types.h>

enum mount_kind {
#define MOUNT_KIND(name, id) MOUNT_##name,
#include "sandbox/mount_kinds.def"
    MOUNT_KINDS
};

struct mount_op {
    enum mount_kind kind;
    const char *to;   /* in the jail */
    const char *from; /* on the host; a link's target; NULL where there is none */
    int fd;           /* O_PATH of `from`, or of what is covered; -1 where there is none (yet) */
    const char *text; /* MOUNT_TEXT */
    size_t len;
    const char *reason; /* for --dry-run: "the project", "git: hooks", "files.read" */
    bool protects;      /* the jail is stopped when this mount goes */
    bool create;        /* `to` is not on the host yet: mounts_prepare makes it, mounts_finish removes it */
    bool settled;       /* of the system: a small file is copied, as it is at the start */
    bool make_from;     /* `from` is a folder of ours: mounts_prepare makes it where it is missing */
    bool directory;     /* what `create` makes; a file gets `text` */
};

struct mounts_text { /* a file of ours inside */
    const char *to;
    const char *text;
    size_t len;
};

/* All paths absolute; they need not be free of links.  Lists end with NULL or are NULL.  Everything stays the
 * caller's and must live as long as the plan. */
struct mounts_options {
    const char *project, *home; /* home: as it is outside; empty inside */
    const char *state;          /* exeat's own state directory: never visible */
    uid_t uid;
    gid_t gid;
    bool for_root;    /* root's files are shown as this user's (jail_user.h) */
    const char *user; /* login name, for the jail's passwd; NULL: "user" */
    const char *const *read, *const *write, *const *hide; /* of the policy and --ro, --rw */
    bool write_written;      /* the project as a whole is read-only but for `write` */
    const char *agent;       /* row of agents.def; NULL */
    const char *agent_state; /* folder outside that keeps this agent's and project's state; NULL */
    const char *kept;  /* folder outside for repositories that are made inside; NULL: STATE/repositories */
    const char *cache; /* folder outside with the private tool caches; NULL: none */
    const char *run;   /* private folder of this run (0700, exists): copies of git's config, mount point */
    const char
        *command;     /* executable, as found: bound where it, its interpreter or package lies under home */
    const char *path; /* PATH in which `#!/usr/bin/env NAME` is looked up; NULL: none */
    const char *const
        *never; /* audit log, configuration, presets, sockets: an error if a jail could write there */
    const struct mounts_text
        *texts; /* hosts, resolv.conf, nsswitch.conf, machine-id, hostname, CA bundles… */
    size_t text_count;
    const char *init; /* the inner stage's executable, bound at MOUNTS_INIT; NULL: none */
};
#define MOUNTS_INIT "/run/exeat/init"

struct mounts;
MUST_USE int mounts_plan(const struct mounts_options *o, struct mounts **ret, struct err *e);
void mounts_free(struct mounts *m); /* closes descriptors; removes nothing */
DEFINE_AUTO(mounts)
const struct mount_op *mounts_ops(const struct mounts *m, size_t *ret_count);
const char *mount_kind_id(enum mount_kind k);
/* "[{"kind","to","from","reason","protects"}]" */
void mounts_json(const struct mounts *m, struct json *j);

/* "NAME=value" for the jail, ending with NULL, in `a`: what git has to know of its user (GIT_CONFIG_COUNT and
 * its pairs), where caches and the agent's state are. */
MUST_USE int mounts_environment(const struct mounts *m, struct arena *a, const char *const **ret,
                                struct err *e);
/* The variables by which a known agent logs in, ending with NULL; NULL where it is not known. */
const char *const *mounts_agent_logins(const char *agent);
/* Whether there is such a row in agents.def; `e` names them all. */
MUST_USE int mounts_check_agent(const char *name, struct err *e);
/* For a path that was not found in the jail: -1, and e with the line that shows it, where it is outside but
 * not inside; else 0. */
int mounts_explain_missing(const struct mounts *m, const char *path, struct err *e);
/* Appends the folders of PATH that hold something outside and are not inside: "~/.cargo/bin, ~/.local/bin". */
MUST_USE int mounts_unseen_programs(const struct mounts *m, struct buf *out);

MUST_USE int mounts_prepare(struct mounts *m, struct err *e);
/* In a process with one thread that has CAP_SYS_ADMIN in its user namespace (network_enter leaves it). */
MUST_USE int mounts_enter(struct mounts *m, struct err *e);
/* The arguments for bubblewrap that say what of this it mounts, ending with NULL; of the plan. */
const char *const *mounts_arguments(const struct mounts *m);

/* pid: a process in the jail, once bubblewrap has made its mounts and before the agent runs. */
MUST_USE int mounts_watch(struct mounts *m, pid_t pid, struct err *e);
/* -1 when a protecting mount has gone, with its name: end the jail at once.  0 also when pid is no more. */
MUST_USE int mounts_check(const struct mounts *m, pid_t pid, struct err *e);

/* What a run leaves behind that somebody should look at: MOUNTS_NEW and MOUNTS_CHANGED: a file that programs
 * outside run or obey (runs.def), detail says who; MOUNTS_REPOSITORY: a repository that was made inside,
 * detail empty or what was done about it; MOUNTS_CONFIG: a change that git made to its private copy of
 * `path`, as "+key=value" or "-key=value"; MOUNTS_KEPT: a private repository, now at `path`;
 * MOUNTS_LINK: a link that was made in a repository, and is removed; MOUNTS_DEEP: a
 * folder that is too deep to look through, and is renamed.  No control characters in either text. */
enum mounts_finding {
    MOUNTS_NEW,
    MOUNTS_CHANGED,
    MOUNTS_REPOSITORY,
    MOUNTS_CONFIG,
    MOUNTS_KEPT,
    MOUNTS_LINK,
    MOUNTS_DEEP,
    MOUNTS_FINDINGS /* how many */
};
typedef void mounts_each_finding(void *ctx, enum mounts_finding f, const char *path, const char *detail);
/* After the jail has ended, before mounts_finish.  A repository that was made inside and whose configuration
 * would make git on the host run something is renamed to .git.disarmed: `git status` enters what the index
 * calls a submodule. */
MUST_USE int mounts_report(struct mounts *m, mounts_each_finding *each, void *ctx, struct err *e);
/* After the jail has ended: removes from the host what mounts_prepare made there, and what is left in `run`.
 */
void mounts_finish(struct mounts *m);
/* The same for runs that were killed; `state` as in the options.  Runs that still live keep theirs. */
void mounts_sweep(const char *state);
