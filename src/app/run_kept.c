#include "app/run_kept.h"

#include "base/crypto.h"
#include "policy/jail.h"
#include "sandbox/mounts.h"

#include <limits.h>
#include <stdio.h>

enum { NAME_CHARS = 16 };

/* A folder's name that says which, without a path or a task's name in it. */
static int name_of(const char *first, const char *second, uid_t uid, char ret[NAME_CHARS + 1])
{
    char text[2 * PATH_MAX], hex[SHA256_HEX + 1];
    uint8_t digest[SHA256_BYTES];
    int n = snprintf(text, sizeof text, "%s%c%s%c%u", first, '\0', second, '\0', (unsigned)uid);
    if (n < 0 || (size_t)n >= sizeof text || crypto_sha256(slice_of(text, (size_t)n), digest) < 0)
        return -1;
    crypto_hex(digest, sizeof digest, hex);
    snprintf(ret, NAME_CHARS + 1, "%.*s", NAME_CHARS, hex);
    return 0;
}

int run_kept_find(struct arena *a, const struct run_kept_inputs *in, struct run_kept *ret, struct err *e)
{
    const struct policy_jail *jail = policy_jail(in->policy);
    const char *base = in->drop ? RUN_SHARED : in->state, *agent = jail->files.agent;
    char task[NAME_CHARS + 1], project[NAME_CHARS + 1], path[PATH_MAX];
    struct run_kept kept = {0};
    snprintf(path, sizeof path, "%s/%s", in->project, in->policy_name[0] == '/' ? "" : in->policy_name);
    if (name_of(in->task, in->policy_name[0] == '/' ? in->policy_name : path, in->uid, task) < 0 ||
        name_of(in->project, "", in->uid, project) < 0)
        return err_set(e, "%s: the path is too long", in->project);
    if (jail->cache)
        kept.cache = arena_printf(a, "%s/cache/%s-%.*s", base, task, NAME_CHARS, policy_digest(in->policy));
    if (agent)
        kept.agent = arena_printf(a, "%s/agents/%s/%s", base, project, agent);
    if ((jail->cache && !kept.cache) || (agent && !kept.agent))
        return err_set(e, "no memory");
    *ret = kept;
    return 0;
}

int run_kept_check_agent(const struct policy *policy, struct err *e)
{
    const char *agent = policy_jail(policy)->files.agent;
    return agent ? mounts_check_agent(agent, e) : 0;
}
