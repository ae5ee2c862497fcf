/* `addresses` of an allow rule: the networks that a name may lead to although the guard forbids them. */
#pragma once
#include "base/json.h"
#include "config/schema.h"

struct policy_net {
    uint8_t bytes[16]; /* network order; IPv4 in the first four; host bits are zero */
    uint8_t family;    /* 4 or 6 */
    uint8_t prefix;
};

struct policy_nets {
    struct policy_net *at;
    size_t count;
};

struct policy_rule;
/* NULL and 0 where none are written, or the rule is NULL. */
const struct policy_net *policy_rule_addresses(const struct policy_rule *r, size_t *ret_count);

schema_read nets_read; /* struct policy_nets */
/* "10.1.0.0/16, fd00::/8" */
MUST_USE int nets_show(const struct policy_nets *nets, struct buf *out);
/* Whether each address of `narrow` lies in `wide`; false also where only several networks together hold it. */
bool nets_within(const struct policy_nets *narrow, const struct policy_nets *wide);
void nets_json(const struct policy_nets *nets, struct json *j); /* a list of texts */
