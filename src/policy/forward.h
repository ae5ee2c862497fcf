/* Whether a connection to a service, or of a published port, may be under a policy: for who relays them, at
 * their beginning and after a reload.  Pure. */
#pragma once
#include "policy/jail.h"
#include "policy/policy.h"

enum forward_kind { FORWARD_SERVICE, FORWARD_PUBLISHED };

/* REASON_NONE where the policy lists the very same: both ports, and a service's address in any spelling. Else
 * REASON_PORT_NOT_ALLOWED; REASON_RULE_EXPIRED where the policy as a whole has expired.  Modes relax nothing
 * here. */
MUST_USE enum reason forward_judge(const struct policy *p, enum forward_kind kind,
                                   const struct policy_forward *f, int64_t now_ms);
