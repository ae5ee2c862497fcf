/* Whether one rule leaves nothing to another. */
#pragma once
#include "policy/model.h"

/* Whether of one thing that two rules of one kind ask for `wide` takes all that fits `narrow`; false also where that
 * cannot be told. */
bool policy_rule_covers_part(const struct policy_rule *wide, const struct policy_rule *narrow, enum policy_part p);
/* Whether there may be a host that both speak of. */
bool policy_rules_meet(const struct policy_rule *a, const struct policy_rule *b);
/* The first of the deny (or the allow) rules that covers `r` and holds at `now_ms`, of its own kind only one that
 * stands before it; NULL where there is none.  Looks at the first few thousand rules that speak of its host. */
const struct policy_rule *policy_rule_covered_by(const struct policy_rule *r, bool deny, int64_t now_ms);
