#include "policy/source_keys.h"

enum { TASK_BYTES = 63, ABOUT_BYTES = 1000 };

static int read_mode(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    const struct schema_key word = {key->name, .words = policy_mode_words};
    unsigned mode;
    if (schema_word(ctx, &word, value, &mode) < 0)
        return -1;
    if (mode == POLICY_ASK)
        return schema_fail(ctx, value, "mode `ask` is not supported by this version yet");
    *(unsigned *)field = mode;
    return 0;
}

static int read_version(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                        void *field)
{
    const struct schema_key number = {key->name};
    uint64_t version;
    if (schema_number(ctx, &number, value, &version) < 0)
        return -1;
    if (version != 1)
        return schema_fail(ctx, value, "format %llu is not known; this version of exeat reads format 1",
                           (unsigned long long)version);
    *(uint64_t *)field = version;
    return 0;
}

/* It stands in credentials, records and file names. */
static int read_task(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    const struct schema_key text = {key->name, .max = TASK_BYTES};
    struct slice task;
    if (schema_text(ctx, &text, value, &task) < 0)
        return -1;
    for (size_t i = 0; i < task.len; i++) {
        char c = ascii_lower(task.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !strchr("._-", c))
            return schema_fail(ctx, value, "`task` has letters, digits, \".\", \"_\" and \"-\" only");
    }
    *(struct slice *)field = task;
    return 0;
}

static int read_about(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                      void *field)
{
    const struct schema_key text = {key->name, .max = ABOUT_BYTES};
    return schema_text(ctx, &text, value, field);
}

/* What widens, or speaks of the whole: it counts only from the policy itself (interfaces.md 1, Trust). */
static int only_top(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                    void *field)
{
    (void)field;
    return schema_fail(ctx, value->key, "`%s` counts only in the policy itself, not in what it extends",
                       key->name);
}

/* The operator forbids and limits; what is allowed, each task says itself. */
static int no_site_key(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    (void)field;
    return schema_fail(ctx, value->key, "`%s` is for the policies of tasks: a site's has `deny` and `limits`", key->name);
}

#define KEY(key, reader, field)                                                                              \
    {                                                                                                        \
        key, reader, offsetof(struct source_keys, field)                                                     \
    }
/* What every file may say.  Only the policy itself has to say its format (interfaces.md 1, `extends`). */
#define SHARED_KEYS(version_required)                                                                        \
    {"exeat", read_version, offsetof(struct source_keys, version), .required = (version_required)},          \
        KEY("allow", schema_node, allow), KEY("deny", schema_node, deny),                                    \
        KEY("limits", limits_read, limits), KEY("extends", schema_node, extends)
#define TOP_KEYS(read)                                                                                       \
    KEY("task", read(read_task), task), KEY("mode", read(read_mode), mode),                                  \
        KEY("expires", read(expires_read), expires), KEY("files", read(jail_read_files), jail),              \
        KEY("environment", read(jail_read_environment), jail),                                               \
        KEY("services", read(jail_read_services), jail), KEY("publish", read(jail_read_publish), jail),      \
        KEY("cache", read(jail_read_cache), jail), KEY("network", read(jail_read_network), jail),            \
        KEY("jail", read(jail_read_jail), jail), KEY("tests", read(tests_read), tests)
#define AS_IT_IS(reader) reader
#define REFUSED(reader)  only_top

static const struct schema_key top_keys[] = {
    SHARED_KEYS(true),
    TOP_KEYS(AS_IT_IS),
    KEY("hold", schema_later, version),
};
static const struct schema_key file_keys[] = {
    SHARED_KEYS(false),
    TOP_KEYS(REFUSED),
};
static const struct schema_key preset_keys[] = {
    SHARED_KEYS(true),
    KEY("about", read_about, about),
    KEY("parameters", schema_node, parameters),
    KEY("main", schema_node, main),
};
#define NOT_OF_SITES(reader) no_site_key
static const struct schema_key site_keys[] = {
    {"exeat", read_version, offsetof(struct source_keys, version), .required = true},
    KEY("deny", schema_node, deny),
    KEY("limits", limits_read, limits),
    KEY("allow", no_site_key, allow),
    KEY("extends", no_site_key, extends),
    TOP_KEYS(NOT_OF_SITES),
};
static const struct schema schemas[] = {
    [ORIGIN_TOP] = SCHEMA("a policy", struct source_keys, top_keys),
    [ORIGIN_FILE] = SCHEMA("an extended file", struct source_keys, file_keys),
    [ORIGIN_PRESET] = SCHEMA("a preset", struct source_keys, preset_keys),
    [ORIGIN_SITE] = SCHEMA("a site's policy", struct source_keys, site_keys),
};

int source_keys_read(struct schema_ctx *ctx, const struct node *root, enum origin_kind kind,
                     struct source_keys *ret)
{
    return schema_decode(ctx, &schemas[kind], root, ret);
}
