/* Which parts of a request a policy asks about: who judges without knowing all of one must know what it misses. */
#pragma once
#include "policy/policy.h"

bool policy_rule_asks(const struct policy_rule *r, enum policy_part part);
/* Whether any rule does. */
bool policy_asks(const struct policy *p, enum policy_part part);
