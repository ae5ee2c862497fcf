#include "app/run_config.h"

#include "base/json.h"
#include "config/document.h"

/* What a run's proxy may be told.  To add one: a row; what is in no row is the daemon's alone. */
static const char *const allowed[] = {"exeat", "audit",    "blocked_connect", "limits",
                                      "state", "timeouts", "upstream",        "workers"};

/* Ours, where F says nothing: text that belongs behind F's. */
static const struct {
    const char *key, *text;
} defaults[] = {
    {"exeat", "exeat: 1\n"},
    {"timeouts", "timeouts: {shutdown: 2s}\n"},
    {"limits", "limits: {task_heads: 16MiB}\n"},
};

/* A JSON string is a double-quoted YAML scalar (YAML 1.2, section 1.3). */
static void key(struct buf *out, struct json *j, const char *before, const char *value)
{
    j->failed |= buf_printf(out, "%s", before) < 0;
    j->comma = false;
    json_str(j, value);
    j->failed |= buf_printf(out, "\n") < 0;
}

static bool has(const struct document *d, const char *name)
{
    return d && d->root && node_get(d->root, slice_str(name));
}

static bool is_allowed(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        if (slice_eq(slice_str(allowed[i]), name))
            return true;
    return false;
}

/* Our keys follow F's, so F has to be what keys can follow. */
static int check(const struct document *d, struct problems *problems)
{
    unsigned before = problems->count;
    if (!d->root)
        return 0;
    if (d->root->kind != NODE_MAPPING || (d->root->first && d->root->first->key->column != 1))
        return problems_add(problems, d->root->line, d->root->column, "expected keys, one a line");
    NODE_FOREACH(child, d->root)
    if (!is_allowed(child->key->text))
        problems_add(problems, child->key->line, child->key->column,
                     "`%.*s` is for the daemon: a run has one task, its own CA and no address",
                     (int)child->key->text.len, child->key->text.ptr);
    return problems->count == before ? 0 : -1;
}

static int write_ours(const struct run_config *c, const struct document *d, struct buf *out)
{
    struct json j = JSON_INIT(out);
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (!has(d, defaults[i].key))
            j.failed |= buf_printf(out, "%s", defaults[i].text) < 0;
    j.failed |= buf_printf(out, "listen: none\n") < 0;
    if (!has(d, "state"))
        key(out, &j, "state: ", c->state);
    if (!has(d, "audit"))
        key(out, &j, "audit:\n  file: ", c->audit_file);
    key(out, &j, "tasks:\n  - task: ", c->task);
    key(out, &j, "    policy: ", c->policy);
    j.failed |= buf_printf(out, "    given: true\n    jail: true\n") < 0;
    if (c->mode)
        key(out, &j, "    mode: ", c->mode);
    return j.failed ? -1 : 0;
}

int run_config_write(const struct run_config *c, struct problems *problems, struct buf *out)
{
    AUTO(document) *d = NULL;
    if (c->given.len && (document_parse(c->given, problems, &d) < 0 || check(d, problems) < 0))
        return -1;
    if (buf_append(out, c->given) < 0 || (c->given.len && buf_append(out, SLICE("\n")) < 0) ||
        write_ours(c, d, out) < 0)
        return problems_add(problems, 0, 0, "the configuration of this run is too long");
    return 0;
}
