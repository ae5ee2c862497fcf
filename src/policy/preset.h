/* A preset: a file of rules with parameters, by name.
 *
 *     exeat: 1
 *     about: Installing packages from npm's registry.
 *     main: registry                    # what `{npm: packages.corp.example}` sets
 *     parameters:
 *       registry: {kind: url, from: npm, about: where packages come from}
 *       publish: {kind: bool, default: false, about: whether packages may be published}
 *     allow:
 *       - GET ${registry}/-/v1/search
 *       - {rule: "PUT ${registry}/-/package", when: publish}
 *
 * `${name}` is replaced in the values that YAML has read, never in its text: a value cannot become a key or a
 * list.  A parameter of kind `url` or `text` may have several values; a rule that names one is there once for
 * each value, and a rule that names two that have several is an error, so that nothing multiplies.  Of a URL
 * also `${name.scheme}`, `.host`, `.port` and `.path` (without the last "/", empty for none) can be written.
 * `when` and `unless` name a bool parameter: without it, or with it, the rule is not there.
 * A `url` may say `cut: .git`, an end of its path that does not count.
 * `from` names a tool whose own configuration holds the value where none is given (app/registries.h); else
 * `default` counts, else whoever extends the preset is told to name one.
 */
#pragma once
#include "policy/model.h"

enum { PRESET_PARAMETERS = 32, PRESET_VALUES = 64, PRESET_NAME_BYTES = 63 };

enum preset_kind { PRESET_URL, PRESET_TEXT, PRESET_BOOL };

struct preset_value {
    struct slice text;                     /* as `${name}` stands for it; a URL without its last "/" */
    struct slice scheme, host, port, path; /* of a URL; IPv6 in brackets */
};

struct preset_parameter {
    struct slice name;
    enum preset_kind kind;
    struct slice from, cut;           /* ptr NULL: not written */
    const struct node *default_value; /* NULL: none */
    struct preset_value *values;      /* after preset_bind */
    size_t count;
    bool bound, yes; /* a value is there; of a bool: which */
};

struct preset {
    const char *name;
    struct preset_parameter *at;
    size_t count;
    const struct preset_parameter *main; /* NULL: a scalar argument has no meaning */
};

/* Lower-case letters, digits, "-" and "_", so that it can be a file's name.  Presets and parameters. */
bool preset_name_fits(struct slice name);

/* Reads the keys `parameters` and `main`, where they are written (else NULL). */
MUST_USE int preset_declare(struct schema_ctx *ctx, const char *name, const struct node *parameters,
                            const struct node *main, struct preset *ret);

/* What a tool's configuration says: lines of URL, tab, where it was found; "" for nothing. */
typedef int preset_from(void *arg, const char *tool, struct slice *ret, struct err *e);

/* Gives each parameter its values.  `entry` is the entry of `extends`: the preset's name, or a mapping whose
 * first key is the name.  Problems stand in the file that extends. */
MUST_USE int preset_bind(struct schema_ctx *ctx, struct preset *preset, const struct node *entry,
                         preset_from *from, void *from_arg);

/* A copy of a list of rules (or of entries of `extends`) with one for each value.  What is no list comes back
 * as it is. */
MUST_USE int preset_expand(struct schema_ctx *ctx, const struct preset *preset, const struct node *list,
                           const struct node **ret);

/* "registry https://packages.corp.example, push false"; NULL for no parameters. */
const char *preset_describe(struct arena *arena, const struct preset *preset);

/* preset_values.c: one value, judged; what of it is wrong stands in *e. */
MUST_USE int preset_parse_value(struct arena *arena, const struct preset_parameter *p, struct slice text,
                                struct preset_value *ret, struct err *e);
