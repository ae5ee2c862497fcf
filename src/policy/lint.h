/* What is allowed in a policy and yet most likely not meant: `exeat policy lint`.
 *
 * Pure: a function of the compiled policy and the time.  Whether a policy loads at all is found out by compiling
 * it; what is found here never makes it fail. */
#pragma once
#include "policy/policy.h"

enum lint_level { LINT_ERROR, LINT_WARNING };
const char *lint_level_name(enum lint_level level);

struct lint_finding {
    const char *file;
    unsigned line, column; /* from 1; 0 and 0: the policy as a whole */
    enum lint_level level;
    const char *id; /* "write-whole-host"; the list is in lint.c */
    const char *message;
};

/* Texts live as long as the call. */
typedef void lint_report(void *arg, const struct lint_finding *f);
void policy_lint(const struct policy *p, int64_t now_ms, lint_report *report, void *arg);
