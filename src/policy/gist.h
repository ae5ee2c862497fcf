/* What a rule asks, in one cache line: most requests are judged by it, without a look at the rule.
 *
 * With thousands of rules the cost of judging is memory that comes from far away; so the lines of all rules
 * about one host lie side by side (policy/index.h).  A line never says more than the rule: a condition that
 * does not fit in there whole stays in `ask` and judges as ever (cond.h).
 */
#pragma once
#include "http/target.h"
#include "policy/policy.h"

enum { GIST_LINE_BYTES = 64, GIST_TEXT_BYTES = 33 };

/* What the text of a line is. */
enum gist_path {
    GIST_STARTS, /* with it starts every path that fits */
    GIST_EXACT,  /* the path itself */
    GIST_BELOW,  /* a path: it, and all below it */
    GIST_GLOBS   /* any other patterns (policy/glob.h), with line feeds between them */
};

struct rule_gist {
    const struct policy_rule *rule;
    int64_t expires_ms; /* of an allow rule: the policy's own, where that comes first */
    uint32_t order;     /* as in the rule */
    uint16_t ask;       /* bits 1 << policy_part: the conditions that are not said here in full */
    uint16_t port;      /* 0: any */
    uint8_t schemes;    /* bits 1 << http_scheme */
    uint8_t methods;    /* as gist_method() has them */
    bool deny, passthrough, encoded_slash; /* of a deny rule: it speaks of %2F too */
    uint8_t path;                          /* enum gist_path */
    uint8_t len;
    char text[GIST_TEXT_BYTES];
};

_Static_assert(sizeof(struct rule_gist) == GIST_LINE_BYTES, "a rule is one line");
_Static_assert(PART_COUNT <= 16, "`ask` has a bit for each part");

/* The line of a rule that was read whole. */
void gist_make(const struct policy_rule *rule, struct rule_gist *ret);

/* A bit for each of the usual methods; one for all others together, which no list of methods may claim. */
enum { GIST_METHOD_OTHER = 1 << 7 };
uint8_t gist_method(struct slice method);

/* False, with nothing set, where there is no room for the text. */
bool gist_set_path(struct rule_gist *gist, enum gist_path kind, struct slice text);
/* Whether the line has nothing against a path of a request; canonical, from its "/". */
bool gist_path_fits(const struct rule_gist *gist, struct slice path);
