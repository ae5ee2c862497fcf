/* What a run leaves in the project that somebody should look at, as lines of its end: bounded, since a
 * command can make any number of them. */
#pragma once
#include "sandbox/mounts.h"

struct run_findings {
    bool quiet;
    unsigned told[MOUNTS_FINDINGS];
};

/* A mounts_each_finding; ctx: struct run_findings. */
void run_findings_tell(void *ctx, enum mounts_finding f, const char *path, const char *detail);
/* How many of each kind were not told. */
void run_findings_end(const struct run_findings *r);
