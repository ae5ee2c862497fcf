#include "app/run_walls.h"

#include "base/slice.h"
#include "sandbox/agent_filter.h"
#include "sandbox/jail.h"
#include "sandbox/landlock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int32_t run_walls_landlock(void)
{
    uint64_t abi = JAIL_LANDLOCK_BEST;
#ifdef EXEAT_TEST_HOOKS
    const char *text = getenv("EXEAT_TEST_LANDLOCK");
    if (text && slice_to_u64(slice_str(text), JAIL_LANDLOCK_BEST, &abi) < 0)
        abi = 0;
#endif
    return (int32_t)abi;
}

#define NOTE(w, ...)    snprintf((w)->note, sizeof(w)->note, __VA_ARGS__)
#define MISSING(w, ...) snprintf((w)->missing, sizeof(w)->missing, __VA_ARGS__)

static void describe_network(const struct run_walls_facts *f, struct run_wall *w)
{
    NOTE(w, "a namespace without an interface to the outside; %s",
         f->explicit_only ? "only what asks the proxy" : "every TCP connection is captured");
}

static void describe_namespaces(const struct run_walls_facts *f UNUSED, struct run_wall *w)
{
    bool cgroup = access("/proc/self/ns/cgroup", F_OK) == 0;
    NOTE(w, "user, mount, pid, ipc, uts, network%s", cgroup ? ", cgroup" : "");
    if (!cgroup)
        MISSING(w, "a cgroup namespace: /proc/self/cgroup tells how the host arranges its processes");
}

static size_t count_calls(void)
{
    const char *why, *last = "", *name;
    size_t rows = 0, calls = 0;
    int refused;
    while ((name = agent_filter_row(rows++, &why, &refused))) {
        calls += strcmp(name, last) != 0;
        last = name;
    }
    return calls;
}

static void describe_seccomp(const struct run_walls_facts *f, struct run_wall *w)
{
    NOTE(w, "%zu system calls limited", count_calls());
    w->holds = prctl(PR_GET_SECCOMP) >= 0;
    if (!w->holds)
        MISSING(w, "this kernel has no CONFIG_SECCOMP_FILTER: no run starts");
    else if (f->debug)
        MISSING(w, "the limit on ptrace (`jail: {debug: true}`)");
}

/* In order; what the first newer ABI than this kernel's adds, and all behind it, is missing. */
static const struct {
    long abi;
    const char *adds;
} landlock_adds[] = {
    {3, "truncation (ABI 3)"},
    {5, "devices' ioctl (ABI 5)"},
    {6, "signals and abstract sockets (ABI 6)"},
};

static void list_landlock(long abi, struct run_wall *w)
{
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(landlock_adds) && used < sizeof w->missing; i++)
        if (abi < landlock_adds[i].abi)
            used += (size_t)snprintf(w->missing + used, sizeof w->missing - used, "%s%s",
                                     used ? ", " : "limits for ", landlock_adds[i].adds);
}

/* Debian 12 has ABI 2, Ubuntu 22.04 has 1 and 24.04 has 4. */
static void describe_landlock(const struct run_walls_facts *f, struct run_wall *w)
{
    struct err e;
    long abi = landlock_abi(&e);
    if (abi > f->landlock)
        abi = f->landlock;
    w->holds = abi >= LANDLOCK_AGENT_LEAST_ABI;
    if (w->holds)
        NOTE(w, "ABI %ld", abi);
    if (abi <= 0)
        MISSING(w, "the second wall around files: this kernel has no Landlock, or it is switched off");
    else if (!w->holds)
        MISSING(w, "the second wall around files: ABI %ld forbids renaming between folders", abi);
    else
        list_landlock(abi, w);
}

static void describe_user(const struct run_walls_facts *f, struct run_wall *w)
{
    const struct run_user *u = f->user;
    w->holds = !u || u->uid != 0;
    if (!u)
        NOTE(w, "never root outside");
    else if (!w->holds)
        MISSING(w, "another user than root (--as-root)");
    else if (u->for_root)
        NOTE(w, "uid %u stands for root, whose files are shown as this user's", u->uid);
    else
        NOTE(w, "uid %u%s", u->uid, u->drop ? ", the project's owner" : "");
}

/* To add one: a row, and its function. */
static const struct {
    const char *name;
    void (*describe)(const struct run_walls_facts *f, struct run_wall *w);
} walls[] = {
    {"network", describe_network}, {"namespaces", describe_namespaces},
    {"seccomp", describe_seccomp}, {"landlock", describe_landlock},
    {"user", describe_user},
};
_Static_assert(ARRAY_LEN(walls) <= RUN_WALLS_MAX, "room for all");

size_t run_walls(const struct run_walls_facts *f, struct run_wall ret[RUN_WALLS_MAX])
{
    for (size_t i = 0; i < ARRAY_LEN(walls); i++) {
        ret[i] = (struct run_wall){.name = walls[i].name, .holds = true};
        walls[i].describe(f, &ret[i]);
    }
    return ARRAY_LEN(walls);
}

void run_wall_text(const struct run_wall *w, char ret[RUN_WALL_TEXT_BYTES])
{
    bool both = w->note[0] && w->missing[0];
    snprintf(ret, RUN_WALL_TEXT_BYTES, "%s%s%s%s", w->note, both ? "; " : "",
             w->missing[0] ? "missing: " : "", w->missing);
}

void run_walls_text(const struct run_walls_facts *f, char ret[RUN_WALLS_TEXT_BYTES])
{
    struct run_wall all[RUN_WALLS_MAX];
    size_t count = run_walls(f, all), used = 0;
    for (size_t i = 0; i < count && used < RUN_WALLS_TEXT_BYTES; i++)
        if (all[i].missing[0])
            used += (size_t)snprintf(ret + used, RUN_WALLS_TEXT_BYTES - used, "%s%s (%s)",
                                     used ? ", " : "the jail lacks ", all[i].name, all[i].missing);
    if (used == 0)
        snprintf(ret, RUN_WALLS_TEXT_BYTES, "the jail lacks nothing");
}
