/* Patterns for the values of query parameters and header fields, and maps of names to them:
 *
 *     page: "*"                      any value: `*` is any run of characters
 *     state: [open, closed]          one of these
 *     per_page: {regex: "[0-9]{1,2}"}  PCRE2, matches the whole value
 *
 * An allow rule compares as written; a deny rule ignores ASCII case, and an expression that meets its limit
 * matches there.
 */
#pragma once
#include "policy/cond.h"
#include "regex/regex.h"

enum { CAP_NAMED_PATTERNS = 64 }; /* names of one map: a bit of a uint64_t each */

struct pattern {
    struct slice text;   /* as written */
    struct slice folded; /* what is compared; in a deny rule in lower case */
    struct regex *regex; /* NULL: text with `*` */
};

struct named_patterns {
    struct slice name;
    bool optional; /* a header field that may be absent */
    struct pattern *at;
    size_t count;
    unsigned line, column;
};

struct pattern_map {
    struct named_patterns *at; /* in the order of the file */
    size_t count;
};

/* Judges a name and brings it into the form that is compared; -1 with a problem added. */
typedef int pattern_name(struct schema_ctx *ctx, const struct policy_rule *rule, const struct node *key,
                         struct named_patterns *named);

/* A mapping of names to patterns into rule->cond[part]; -1 with a problem added.  `what` is what a deny rule
 * must name: "fields". */
MUST_USE int patterns_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                           struct policy_rule *rule, enum policy_part part, const char *what,
                           pattern_name *name);
/* An expression of a rule: it ends with the snapshot. */
MUST_USE int patterns_compile(struct schema_ctx *ctx, const struct schema_item *item,
                              const struct policy_rule *rule, struct regex **ret);
/* Whether any of the patterns matches the whole text. */
bool patterns_match(const struct named_patterns *named, struct slice text, bool deny);
/* "page=*, state=open|closed"; "none" for an empty map. */
MUST_USE int patterns_show(const struct pattern_map *map, struct buf *out);
/* {"page":["*"],"per_page":[{"regex":"[0-9]+"}]} */
void patterns_json(const struct pattern_map *map, struct json *j);
