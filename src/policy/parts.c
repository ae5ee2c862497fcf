#include "policy/parts.h"

#include "policy/model.h"

bool policy_rule_asks(const struct policy_rule *r, enum policy_part part)
{
    return r->cond[part] != NULL;
}

bool policy_asks(const struct policy *p, enum policy_part part)
{
    for (size_t i = 0; i < p->rule_count; i++)
        if (policy_rule_asks(p->rules[i], part))
            return true;
    return false;
}
