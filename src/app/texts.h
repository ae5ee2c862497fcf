/* The texts that policies extend, each read once: files by path, presets by name, and what the package
 * managers of this machine are set up for.
 *
 * Presets are found in the installed folder only (in a build tree: the source's conf/presets), never in the
 * project; registries outside it (app/registries.h). */
#pragma once
#include "policy/policy.h"

/* A file that is given as text: a configuration that `exeat run` writes, a policy it has found. */
struct files_given {
    const char *path;
    struct slice text;
};

struct texts_source {
    const char *base; /* folder that the names of files start from; NULL: the working directory */
    const struct files_given *given;
    size_t given_count;
    bool alone;      /* files are no links and have one (base/io.h) */
    bool only_given; /* files are read from nowhere else: nothing is read again that was read and judged */
};

struct text_entry {
    enum policy_text_kind kind;
    const char *name;
    struct slice text;
    const char *error; /* why there is none; NULL: there is */
};

struct texts;
/* `from` and what it points to must outlive *ret. */
MUST_USE int texts_new(const struct texts_source *from, struct texts **ret, struct err *e);
void texts_free(struct texts *t);
DEFINE_AUTO(texts)

policy_lookup texts_lookup; /* arg: the struct texts */
/* From now on files are taken from there, given or not: policies of one configuration differ in that. */
void texts_only_given(struct texts *t, bool only_given);
/* What was looked up so far, in that order. */
const struct text_entry *texts_all(const struct texts *t, size_t *ret_count);
