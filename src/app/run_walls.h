/* What keeps a jail's command in, and what this kernel's version of each wall lacks: for --dry-run, the start
 * record and `exeat doctor`.  The network wall is never missing: without it there is no run. */
#pragma once
#include "app/run_user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run_walls_facts {
    bool explicit_only, debug;
    int32_t landlock;            /* the ABI to use at most */
    const struct run_user *user; /* NULL: not known yet */
};

struct run_wall {
    const char *name;
    bool holds;
    char note[160];    /* what it is made of here */
    char missing[160]; /* what is not there; "": nothing */
};

enum { RUN_WALLS_MAX = 8 };
size_t run_walls(const struct run_walls_facts *f, struct run_wall ret[RUN_WALLS_MAX]);
/* note and missing as one text: "ABI 2; missing: …" */
enum { RUN_WALL_TEXT_BYTES = 400 };
void run_wall_text(const struct run_wall *w, char ret[RUN_WALL_TEXT_BYTES]);
/* "the jail lacks landlock (…), user (…)", or "the jail lacks nothing" */
enum { RUN_WALLS_TEXT_BYTES = 600 };
void run_walls_text(const struct run_walls_facts *f, char ret[RUN_WALLS_TEXT_BYTES]);

/* The ABI to use at most: any; test builds may take an older kernel's for the best there is. */
int32_t run_walls_landlock(void);
