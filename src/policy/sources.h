/* The files that a policy is made of: its own, and what it extends, by path or as presets.
 *
 *     extends: [npm, ./team.yaml, {git: github.com/acme/shop, push: false}]
 *
 * What has a "/" or ends in .yaml or .yml is a file, by its path from the folder of the file that extends it
 * (as text: "a/../b.yaml" is b.yaml); anything else is a preset.  The policy's own rules come first, then
 * those of each entry in its order, depth first.  A file, or a preset without arguments, counts once; with
 * arguments a preset may be there several times: "preset:git", "preset:git#2".
 */
#pragma once
#include "policy/model.h"

enum { SOURCES_MAX = 64, SOURCES_DEPTH = 8 };

/* The keys of one file. */
struct source_keys {
    uint64_t version;
    struct slice task;
    unsigned mode;
    struct expiry expires;
    struct policy_limits limits;
    struct policy_jail jail;
    struct policy_tests tests;
    const struct node *allow, *deny, *extends;
    const struct node *parameters, *main; /* of a preset */
    struct slice about;
};

struct source {
    struct policy_origin *origin;
    struct document *doc;
    struct source_keys keys; /* of a preset: `allow`, `deny` and `extends` as its parameters make them */
    bool bare;               /* a preset without arguments */
    struct source *next;
};

struct sources {
    struct source *first; /* the policy itself */
    struct source **tail;
    unsigned count;
    struct buf seen; /* a line for each text: what the policy's digest is made of beside its own */
};

/* -1 with problems added; *ret then holds what could be read, and must be cleared all the same. */
MUST_USE int sources_read(struct schema_ctx *ctx, const struct policy_source *from, struct sources *ret);
void sources_clear(struct sources *s);
