/* What a policy lets out, in one line: "3 hosts, 1 may be written to, at most 200 MiB a day; what the agent
 * reads can reach api.anthropic.com".  For show.c; others ask show_summary. */
#pragma once
#include "policy/cond.h"

/* A host of the allow rules, once. */
struct reach {
    const struct host_pattern *host;
    bool writable; /* a rule lets it have a body, or a method that is not for reading */
    bool opaque;   /* a rule does not look inside */
};

struct summary {
    struct reach *at;
    size_t count, writable, opaque;
    uint64_t body_max;                         /* of one request */
    struct policy_limit upload[LIMIT_WINDOWS]; /* of all requests together; none written: no such limit */
};

MUST_USE int summary_make(const struct policy *p, struct summary *ret);
void summary_clear(struct summary *s);
MUST_USE int summary_words(const struct policy *p, const struct summary *s, struct buf *out);
