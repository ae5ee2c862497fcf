/* Reads one rule of a policy: the keys of rules and what they mean together. */
#pragma once
#include "policy/cond.h"

/* Fills *rule, whose policy, deny and order are set.  -1 with every problem of the rule added. */
MUST_USE int rule_read(struct schema_ctx *ctx, const struct node *value, struct policy_rule *rule);
