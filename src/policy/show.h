/* A policy as people read it: a plain summary, then each rule with the numbers in force. */
#pragma once
#include "base/json.h"
#include "policy/policy.h"

/* "3 hosts, 1 may be written to, at most 200 MiB a day; what the agent reads can reach …" */
MUST_USE int show_summary(const struct policy *p, struct buf *out);
/* The whole policy with its summary, for a terminal or a file. */
MUST_USE int show_text(const struct policy *p, struct buf *out);
/* {"file","task","mode","digest","summary","hosts","writable","opaque","limits","heads_default","extends","jail","rules":[{"name","file","line","action",…}]}
 */
MUST_USE int show_json(const struct policy *p, struct buf *out);
