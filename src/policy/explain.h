/* Why a verdict is what it is, in words.
 *
 * The agent reads a rule's name and the message of a deny rule, never a rule's content; the person who
 * may read the policy sees what the nearest rule allows.  Texts have no newline at the end.
 */
#pragma once
#include "base/buf.h"
#include "policy/policy.h"

/* "The host is allowed, but not this method. Nearest rule: "read our issues"." */
MUST_USE int explain_agent(const struct verdict *v, struct buf *out);
/* Also the place of the rule, and a line for each part that does not fit:
 *
 *     The host is allowed, but not this method.
 *     nearest rule: "read our issues" (.exeat.yaml:6)
 *       method: allows GET, HEAD; the request has POST */
MUST_USE int explain_person(const struct http_target *target, const struct request_facts *facts,
                            const struct verdict *v, struct buf *out);
