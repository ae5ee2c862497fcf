/* What lies in the jail's home, which is empty else: tool caches, an agent's state; and the variables that go
 * with it, with what git has to know of its user. */
#include "sandbox/mounts_internal.h"

#include "sandbox/git_config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *folder, *variable, *value;
} CACHES[] = {
#define CACHE(folder, variable, value) {folder, variable, value},
#include "sandbox/caches.def"
};

enum { AGENT_WORDS = 5 };

static const struct mounts_agent {
    const char *name;
    const char *folders[AGENT_WORDS], *logins[AGENT_WORDS];
    const char *variable, *value;
} AGENTS[] = {
#define FOLDERS(...)                                                                                         \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }
#define LOGINS(...)                                                                                          \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }
#define AGENT(name, folders, logins, variable, value) {name, folders, logins, variable, value},
#include "sandbox/agents.def"
};

static const struct mounts_agent *find_agent(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(AGENTS); i++)
        if (strcmp(AGENTS[i].name, name) == 0)
            return &AGENTS[i];
    return NULL;
}

const char *const *mounts_agent_logins(const char *agent)
{
    const struct mounts_agent *a = find_agent(agent);
    return a ? a->logins : NULL;
}

int mounts_check_agent(const char *name, struct err *e)
{
    char known[256];
    size_t n = 0;
    if (find_agent(name))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(AGENTS) && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", AGENTS[i].name);
    return err_set(e, "files.agent: \"%s\" is not known; there are %s", name, known);
}

/* `below` keeps in `outside` what the jail sees in its home. */
static int add_kept(struct mounts *m, const char *outside, const char *below, const char *reason,
                    struct err *e)
{
    char *from = mounts_printf(m, e, "%s/%s", outside, below),
         *to = mounts_printf(m, e, "%s/%s", m->home, below);
    if (!from || !to)
        return -1;
    return mounts_add(
        m,
        (struct mount_op){
            .kind = MOUNT_WRITE, .to = to, .from = from, .fd = -1, .reason = reason, .make_from = true},
        e);
}

int mounts_plan_home(struct mounts *m, struct err *e)
{
    const struct mounts_agent *agent = find_agent(m->o->agent);
    if (m->o->agent && mounts_check_agent(m->o->agent, e) < 0)
        return -1;
    for (size_t i = 0; m->o->cache && i < ARRAY_LEN(CACHES); i++)
        if (add_kept(m, m->o->cache, CACHES[i].folder, "tool cache", e) < 0)
            return -1;
    for (size_t i = 0; agent && m->o->agent_state && agent->folders[i]; i++)
        if (add_kept(m, m->o->agent_state, agent->folders[i], "the agent's state", e) < 0)
            return -1;
    return 0;
}

/* ---- variables ---- */

enum { VARIABLES_MAX = 64, IDENTITY_MAX = 3 };

struct variables {
    struct arena *arena;
    const char *rows[VARIABLES_MAX + 1];
    size_t count, pairs; /* pairs: of GIT_CONFIG_KEY_n and GIT_CONFIG_VALUE_n */
    bool failed;
};

static void set(struct variables *v, const char *name, const char *value)
{
    char *row = v->count < VARIABLES_MAX ? arena_printf(v->arena, "%s=%s", name, value) : NULL;
    v->failed |= !row;
    if (row)
        v->rows[v->count++] = row;
}

static void set_git(struct variables *v, const char *key, const char *value)
{
    char name[64];
    snprintf(name, sizeof name, "GIT_CONFIG_KEY_%zu", v->pairs);
    set(v, name, key);
    snprintf(name, sizeof name, "GIT_CONFIG_VALUE_%zu", v->pairs++);
    set(v, name, value);
}

/* The few variables of the user's own configuration that git asks for by itself, and that name nothing to
 * run. */
static const char *const IDENTITY[IDENTITY_MAX] = {"user.name", "user.email", "init.defaultbranch"};

struct identity {
    char *values[IDENTITY_MAX];
};

static int keep_identity(void *ctx, const char *key, const char *value)
{
    struct identity *id = ctx;
    for (size_t i = 0; i < IDENTITY_MAX; i++)
        if (strcmp(key, IDENTITY[i]) == 0) {
            str_auto_free(&id->values[i]);
            id->values[i] = strdup(value);
        }
    return 0;
}

/* ~/.config/git/config, then ~/.gitconfig, which is stronger (git-config(1), FILES).  Their includes are not
 * read. */
static void read_identity(const struct mounts *m, struct identity *ret)
{
    static const char *const files[] = {".config/git/config", ".gitconfig"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        AUTO_BUF text = BUF_INIT(CAP_GIT_CONFIG_BYTES);
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", m->home, files[i]);
        if (n > 0 && (size_t)n < sizeof path && mounts_read_file(m, path, &text, NULL) == 0 &&
            git_config_read(buf_slice(&text), keep_identity, ret) < 0)
            continue; /* git on the host complains about it; what was readable counts */
    }
}

static void add_git(struct variables *v, const struct mounts *m)
{
    struct identity id = {0};
    char count[24];
    read_identity(m, &id);
    for (size_t i = 0; i < IDENTITY_MAX; i++) {
        if (id.values[i])
            set_git(v, IDENTITY[i], id.values[i]);
        str_auto_free(&id.values[i]);
    }
    set_git(v, "safe.directory", m->project);
    snprintf(count, sizeof count, "%zu", v->pairs);
    set(v, "GIT_CONFIG_COUNT", count);
}

int mounts_environment(const struct mounts *m, struct arena *a, const char *const **ret, struct err *e)
{
    struct variables v = {.arena = a};
    const struct mounts_agent *agent = find_agent(m->o->agent);
    char path[PATH_MAX];
    add_git(&v, m);
    for (size_t i = 0; m->o->cache && i < ARRAY_LEN(CACHES); i++) {
        snprintf(path, sizeof path, "%s/%s", m->home, CACHES[i].value ? CACHES[i].value : "");
        bool again = i > 0 && CACHES[i].variable == CACHES[i - 1].variable;
        if (CACHES[i].variable && !again)
            set(&v, CACHES[i].variable, path);
    }
    if (agent && agent->variable) {
        snprintf(path, sizeof path, "%s/%s", m->home, agent->value);
        set(&v, agent->variable, path);
    }
    const char **rows = arena_array(a, v.count + 1, sizeof *rows);
    if (v.failed || !rows)
        return err_set(e, "no memory");
    memcpy(rows, v.rows, v.count * sizeof *rows);
    *ret = rows;
    return 0;
}
