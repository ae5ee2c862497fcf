#include "app/run_findings.h"

#include "base/log.h"

enum { TOLD_MAX = 40 }; /* of each kind */

static const char *const TEXTS[] = {
    [MOUNTS_NEW] = "new, and run outside",
    [MOUNTS_CHANGED] = "changed, and run outside",
    [MOUNTS_REPOSITORY] = "a repository that was made inside",
    [MOUNTS_CONFIG] = "git's configuration inside",
    [MOUNTS_KEPT] = "the repository of this run is kept",
    [MOUNTS_LINK] = "a link that was made inside",
    [MOUNTS_DEEP] = "folders that were made inside",
};
_Static_assert(ARRAY_LEN(TEXTS) == MOUNTS_FINDINGS, "a finding lacks its text");

void run_findings_tell(void *ctx, enum mounts_finding f, const char *path, const char *detail)
{
    struct run_findings *r = ctx;
    if (!r->quiet && r->told[f]++ < TOLD_MAX)
        log_info("look at %s: %s%s%s", path, TEXTS[f], detail[0] ? ": " : "", detail);
}

void run_findings_end(const struct run_findings *r)
{
    for (size_t f = 0; f < MOUNTS_FINDINGS; f++)
        if (r->told[f] > TOLD_MAX)
            log_info("look at %u more: %s", r->told[f] - TOLD_MAX, TEXTS[f]);
}
