#include "app/run_kept.h"

#include "app/runs.h"
#include "base/crypto.h"
#include "policy/jail.h"
#include "sandbox/mounts.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_CHARS = 16, CACHE_NAME_BYTES = 2 * NAME_CHARS + 2, SWEPT_MAX = 64 };

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

/* --- what becomes of caches --- */

int run_kept_claim(const char *cache, int *ret_lock)
{
    AUTO_FD int fd = open(cache, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0 || futimens(fd, NULL) < 0)
        return -1;
    *ret_lock = TAKE_FD(fd);
    return 0;
}

struct earlier {
    char name[CACHE_NAME_BYTES];
    struct timespec used;
};

static int latest_first(const void *a, const void *b)
{
    const struct timespec *x = &((const struct earlier *)a)->used, *y = &((const struct earlier *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? 1 : -1;
    return x->tv_nsec < y->tv_nsec ? 1 : x->tv_nsec > y->tv_nsec ? -1 : 0;
}

/* Of the same task: its name up to the dash. */
static bool is_earlier(const char *name, const char *own)
{
    return strlen(name) == CACHE_NAME_BYTES - 1 && strncmp(name, own, NAME_CHARS + 1) == 0 &&
           strcmp(name, own) != 0;
}

static size_t find_earlier(DIR *dir, const char *own, struct earlier all[SWEPT_MAX])
{
    size_t count = 0;
    struct stat st;
    for (const struct dirent *entry; count < SWEPT_MAX && (entry = readdir(dir));)
        if (is_earlier(entry->d_name, own) &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            memcpy(all[count].name, entry->d_name, sizeof all[count].name);
            all[count++].used = st.st_mtim;
        }
    return count;
}

void run_kept_sweep(const char *cache)
{
    struct earlier all[SWEPT_MAX];
    const char *slash = strrchr(cache, '/');
    char folder[PATH_MAX];
    if (!slash || (size_t)(slash - cache) >= sizeof folder)
        return;
    memcpy(folder, cache, (size_t)(slash - cache));
    folder[slash - cache] = '\0';
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    size_t count = find_earlier(dir, slash + 1, all);
    qsort(all, count, sizeof *all, latest_first);
    for (size_t i = KEPT_EARLIER; i < count; i++)
        if (runs_remove(dirfd(dir), all[i].name) < 0) {
            /* what is left of it goes with a later run */
        }
    closedir(dir);
}
