#include "app/run_env.h"

#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARIABLES_MAX = 4000, GIT_PAIRS_MAX = 64 };

static const char *const dropped_names[] = {
#define DROP(pattern, why) pattern,
#define DROP_VALUE(prefix, why)
#define SET(name, value)
#define FORGE(host)
#include "app/run_env.def"
#undef DROP
#undef DROP_VALUE
};

static const char *const dropped_values[] = {
#define DROP(pattern, why)
#define DROP_VALUE(prefix, why) prefix,
#include "app/run_env.def"
#undef DROP_VALUE
#undef SET
};

static const struct policy_variable settings[] = {
#define DROP_VALUE(prefix, why)
#define SET(name, value) {name, value},
#include "app/run_env.def"
#undef SET
#undef FORGE
};

static const char *const forges[] = {
#define SET(name, value)
#define FORGE(host) host,
#include "app/run_env.def"
#undef FORGE
#undef SET
#undef DROP
#undef DROP_VALUE
};

struct maker {
    struct arena *arena;
    const struct run_env_inputs *in;
    const char **list, **dropped;
    size_t count, dropped_count;
    struct {
        const char *key, *value;
    } git[GIT_PAIRS_MAX];
    size_t git_count;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* `*` is any run of characters.  The last star is where to go on: no pattern takes more than len * len steps.
 */
static bool fits(const char *pattern, struct slice text)
{
    const char *star = NULL;
    size_t at = 0, back = 0;
    while (at < text.len) {
        if (*pattern == '*') {
            star = ++pattern;
            back = at;
        } else if (*pattern && lower(*pattern) == lower(text.ptr[at])) {
            pattern++;
            at++;
        } else if (star) {
            pattern = star;
            at = ++back;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool is_listed(const char *const *list, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(slice_str(list[i]), name))
            return true;
    return false;
}

static bool is_kept(const struct run_env_inputs *in, struct slice name)
{
    size_t count = 0;
    while (in->keep && in->keep[count])
        count++;
    return is_listed(in->jail->keep, in->jail->keep_count, name) || is_listed(in->keep, count, name);
}

static bool is_dropped(struct slice name, const char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(dropped_names); i++)
        if (fits(dropped_names[i], name))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(dropped_values); i++)
        if (strncmp(value, dropped_values[i], strlen(dropped_values[i])) == 0)
            return true;
    return false;
}

static int put_text(struct maker *m, const char *text)
{
    size_t name = strcspn(text, "=") + 1;
    for (size_t i = 0; i < m->count; i++)
        if (strncmp(m->list[i], text, name) == 0) {
            m->list[i] = text;
            return 0;
        }
    if (m->count == VARIABLES_MAX)
        return -1;
    m->list[m->count++] = text;
    return 0;
}

static int put(void *arg, const char *name, const char *value)
{
    struct maker *m = arg;
    const char *text = arena_printf(m->arena, "%s=%s", name, value);
    return text ? put_text(m, text) : -1;
}

static int put_caller(struct maker *m)
{
    for (char *const *p = m->in->caller; *p; p++) {
        const char *equals = strchr(*p, '=');
        struct slice name = slice_of(*p, equals ? (size_t)(equals - *p) : 0);
        if (name.len == 0)
            continue;
        bool keep = is_kept(m->in, name) || !is_dropped(name, equals + 1);
        if (keep && put_text(m, *p) < 0)
            return -1;
        if (keep || m->dropped_count == VARIABLES_MAX)
            continue;
        m->dropped[m->dropped_count] = arena_slice(m->arena, name).ptr;
        if (!m->dropped[m->dropped_count++])
            return -1;
    }
    return 0;
}

static int put_settings(struct maker *m)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (put(m, settings[i].name, settings[i].value) < 0)
            return -1;
    return put(m, "HOME", m->in->home) < 0 || put(m, "USER", m->in->user) < 0 ||
                   put(m, "LOGNAME", m->in->user) < 0 || put(m, "PWD", m->in->directory) < 0
               ? -1
               : 0;
}

/* --- git's configuration by environment: GIT_CONFIG_COUNT, GIT_CONFIG_KEY_n, GIT_CONFIG_VALUE_n
 * (git-config(1)) --- */

static int put_pair(struct maker *m, const char *key, const char *value)
{
    if (!key || !value || m->git_count == GIT_PAIRS_MAX)
        return -1;
    m->git[m->git_count].key = key;
    m->git[m->git_count++].value = value;
    return 0;
}

static int add_forges(struct maker *m)
{
    for (size_t i = 0; i < ARRAY_LEN(forges); i++) {
        const char *key = arena_printf(m->arena, "url.https://%s/.insteadOf", forges[i]);
        if (put_pair(m, key, arena_printf(m->arena, "git@%s:", forges[i])) < 0 ||
            put_pair(m, key, arena_printf(m->arena, "ssh://git@%s/", forges[i])) < 0)
            return -1;
    }
    return 0;
}

static int put_more(struct maker *m)
{
    for (const char *const *p = m->in->more; p && *p; p++)
        if (put_text(m, *p) < 0)
            return -1;
    return 0;
}

/* Continues at the count that `more` may have set. */
static int put_git(struct maker *m)
{
    unsigned long first = 0;
    char name[40], number[24];
    for (size_t i = 0; i < m->count; i++)
        if (strncmp(m->list[i], "GIT_CONFIG_COUNT=", 17) == 0)
            first = strtoul(m->list[i] + 17, NULL, 10);
    if (first > GIT_PAIRS_MAX || add_forges(m) < 0)
        return -1;
    for (size_t i = 0; i < m->git_count; i++) {
        snprintf(name, sizeof name, "GIT_CONFIG_KEY_%lu", first + i);
        if (put(m, name, m->git[i].key) < 0)
            return -1;
        snprintf(name, sizeof name, "GIT_CONFIG_VALUE_%lu", first + i);
        if (put(m, name, m->git[i].value) < 0)
            return -1;
    }
    snprintf(number, sizeof number, "%lu", first + m->git_count);
    return put(m, "GIT_CONFIG_COUNT", number);
}

static int put_policy(struct maker *m)
{
    const struct policy_jail *jail = m->in->jail;
    for (size_t i = 0; i < jail->set_count; i++)
        if (put(m, jail->set[i].name, jail->set[i].value) < 0)
            return -1;
    return 0;
}

int run_environment(struct arena *a, const struct run_env_inputs *in, const char *const **ret,
                    const char *const **ret_dropped, struct err *e)
{
    struct maker m = {.arena = a,
                      .in = in,
                      .list = arena_array(a, VARIABLES_MAX + 1, sizeof(char *)),
                      .dropped = arena_array(a, VARIABLES_MAX + 1, sizeof(char *))};
    if (!m.list || !m.dropped || put_caller(&m) < 0 || put_settings(&m) < 0 || put_more(&m) < 0 ||
        put_git(&m) < 0)
        return err_set(e, "the environment is too large");
    if (env_each(in->proxy, put, &m, e) < 0)
        return -1;
    if (put_policy(&m) < 0)
        return err_set(e, "the environment is too large");
    *ret = m.list;
    if (ret_dropped)
        *ret_dropped = m.dropped;
    return 0;
}
