/* The question whether a project's policy may take effect.
 *
 * Everything in the policy is text from outside: it is made printable, and nothing of it is a key. */
#pragma once
#include "app/trust.h"
#include "base/buf.h"
#include "cli/project.h"

/* What the policy allows, or, where an earlier one was trusted, what has changed since. */
MUST_USE int trust_describe(const struct project_policy *p, const struct trust_record *before, struct buf *out);

enum trust_answer { TRUST_YES, TRUST_NO, TRUST_NO_TERMINAL };
/* Shows `text` on the terminal and asks.  Only in the foreground of a terminal that somebody looks at: standard
 * input or error is one; whoever redirected both is a script. */
enum trust_answer trust_ask(const char *text, const char *question);
