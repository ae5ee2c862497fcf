/* What two rules are compared by: each thing that a rule says, as a person reads it, and whether another rule
 * opens more by it.  Pure. */
#pragma once
#include "policy/model.h"

enum { DIFF_THINGS = PART_COUNT + 6 };

const char *diff_thing_name(size_t i); /* "method", "limits"; i < DIFF_THINGS */
MUST_USE int diff_thing_show(const struct policy_rule *r, size_t i, struct buf *out);
/* What such a thing says of: which connections the rule speaks of, which requests, or neither. */
enum diff_scope { DIFF_CONNECTIONS, DIFF_REQUESTS, DIFF_TERMS };
enum diff_scope diff_thing_scope(size_t i);
/* "none" where nothing is limited. */
MUST_USE int diff_show_limits(const struct policy_limits *l, struct buf *out);
/* Both are allow, or both are deny rules.  Whether more may leave by what `after` says of this thing than by
 * what `before` says; true also where that cannot be told. */
bool diff_thing_opens(const struct policy_rule *before, const struct policy_rule *after, size_t i);
