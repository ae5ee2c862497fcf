/* A condition: one thing that a rule may ask of a request.  Rows in conds.def. */
#pragma once
#include "base/buf.h"
#include "base/caps.h"
#include "base/json.h"
#include "config/schema.h"
#include "policy/model.h"

/* A request while it is judged. */
struct judged {
    const struct http_target *target;
    const struct request_facts *facts; /* NULL: a CONNECT */
    int64_t now_ms;
    uint8_t method;                 /* gist_method() */
    unsigned moot;                  /* bits 1 << policy_part: whatever an allow rule asks there, it has … */
    unsigned asked;                 /* … and what each is asked, whatever it says */
    bool terminated;                /* a rule that is not passthrough opens such connections */
    size_t decoded_len;             /* SIZE_MAX: not made yet */
    char decoded[CAP_TARGET_BYTES]; /* the path for deny rules: see cond_path.c */
};

struct cond {
    /* After all keys of the rule were read: fills the default of an allow rule, refuses what is missing.
     * -1 with a problem added.  `at` is where the rule stands.  NULL: nothing to do. */
    int (*finish)(struct schema_ctx *ctx, const struct node *at, struct policy_rule *rule);
    /* REASON_NONE where the request fits.  `what` is rule->cond[…], not NULL. */
    enum reason (*judge)(const struct policy_rule *rule, const void *what, struct judged *q);
    /* Appends what the condition asks for, as a person reads it: "GET, HEAD". */
    int (*show)(const void *what, struct buf *out);
    /* Writes the keys of the rule with their values. */
    void (*json)(const void *what, struct json *j);
    /* Whether all that fits `narrow` fits `wide`, neither NULL; false where that cannot be told.  NULL: only
     * where both are shown alike. */
    bool (*covers)(const void *wide, const void *narrow);
    /* Says it in the rule's line (policy/gist.h), which is open to everything so far.  True where the line
     * then says all, so that judge() need not be asked; false where it says less, or nothing.  NULL: nothing.
     */
    bool (*gist)(const struct policy_rule *rule, const void *what, struct rule_gist *line);
};

/* Indexed by enum policy_part. */
extern const struct cond *const conds[PART_COUNT];

/* Readers of a rule's keys: `field` is the struct policy_rule. */
#define COND(constant, name)  extern const struct cond cond_##name;
#define COND_KEY(key, reader) schema_read reader;
#include "policy/conds.def"

/* What conditions say about each other. */

enum host_kind { HOST_EXACT, HOST_BELOW, HOST_APEX_AND_BELOW };

struct host_pattern {
    enum host_kind kind;
    struct slice name; /* canonical: A-labels in lower case, or an address as http/target.h writes it */
    enum http_host_kind literal;
};

struct host_patterns {
    struct host_pattern *at;
    size_t count;
};

enum http_scheme cond_scheme_of(const struct policy_rule *r);
/* Only GET, HEAD and OPTIONS: the rule reads. */
bool cond_method_only_reads(const struct policy_rule *r);
uint64_t cond_body_max(const struct policy_rule *r);
/* Whether there is a body that rules could ask something of. */
bool cond_body_is_there(const struct request_facts *f);
/* The hosts of a rule; the index is built of them. */
const struct host_patterns *cond_host_of(const struct policy_rule *r);

/* The i-th of the globs of a rule, canonical; ptr NULL behind the last.  A rule may have expressions besides.
 */
struct slice cond_path_glob(const struct policy_rule *r, size_t i);
size_t cond_path_regexes(const struct policy_rule *r);
/* Whether one of its expressions most likely matches every path; for hints only. */
bool cond_path_any_regex(const struct policy_rule *r);
/* Whether the rule asks something of this field, in lower case. */
bool cond_headers_lists(const struct policy_rule *r, struct slice name);
/* Whether a field that is sent overrides method or path (http/overrides.def); with `r` not NULL, one that this
 * rule does not list. */
bool cond_headers_override(const struct policy_rule *r, const struct http_headers *headers);
size_t cond_method_count(const struct policy_rule *r); /* SIZE_MAX: any */
/* Whether the rule lists this method; false where it says `any`. */
bool cond_method_lists(const struct policy_rule *r, struct slice method);

/* Appends "a, b, c"; for show. */
MUST_USE int cond_show_texts(const struct schema_texts *texts, struct buf *out);
void cond_json_texts(const struct schema_texts *texts, struct json *j);
