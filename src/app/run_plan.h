/* What a run will do, before it does any of it: who the command is, where it starts, what it may see.
 * --dry-run prints it. */
#pragma once
#include "app/run.h"
#include "app/run_user.h"
#include "app/run_walls.h"
#include "app/trustfiles.h"
#include "base/arena.h"
#include "sandbox/jail.h"
#include "sandbox/mounts.h"

enum { RUN_TEXTS_MAX = 24, RUN_PATH_BYTES = 4096 };

struct run_plan {
    const struct run_options *o;
    const struct policy_jail *jail;
    struct arena arena; /* of every text below */
    struct run_user who; /* runs the command */
    int32_t landlock;    /* the ABI to use at most */
    const char *user, *home;
    const char *directory; /* where the command starts */
    const char *path;      /* its executable */
    const char *init;      /* pid 1's, outside */
    const char *state, *run;
    const char *const *environment, *const *dropped;
    const char *const *write; /* folders that Landlock lets it write */
    struct buf bundle, java, ca, chromium, firefox;
    struct mounts_text texts[RUN_TEXTS_MAX];
    size_t text_count;
    const char *never[8]; /* where no jail may write */
    struct mounts_options mounts_options;
    struct mounts *mounts;
};

/* Finds out who and where; *ret_status is 126 or 127 where the command cannot be executed or found.
 * Nothing is made.  `p` must not move. */
MUST_USE int run_plan_find(struct run_plan *p, const struct run_options *o, int *ret_status, struct err *e);
/* Where exeat keeps what a jail must not reach. */
struct run_places {
    const char *state, *run;        /* run: private, of this run */
    const char *log;                /* NULL: below state */
    const char *trusted;            /* the user's own state folder, which `state` need not be: of trust, orders */
    const struct trustfiles *trust; /* NULL (--dry-run): they have no content yet */
};
/* Decides what the command may see. */
MUST_USE int run_plan_mounts(struct run_plan *p, const struct run_places *places, struct err *e);
void run_plan_clear(struct run_plan *p);
/* After run_plan_find. */
struct run_walls_facts run_plan_facts(const struct run_plan *p);

/* Why execve(2) failed inside, with what to do. */
void run_plan_explain_exec(const struct run_plan *p, int why, struct err *e);

/* The jail's options, as far as the plan knows them. */
void run_plan_jail(const struct run_plan *p, struct jail_options *ret);
/* As text or JSON on standard output. */
MUST_USE int run_plan_print(const struct run_plan *p, bool json, struct err *e);
