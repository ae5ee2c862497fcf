/* A request as text, judged by a policy: what `check`, `policy test` and `--replay` share. */
#pragma once
#include "base/buf.h"
#include "base/caps.h"
#include "http/target.h"
#include "policy/policy.h"

enum { JUDGED_URL_BYTES = 2 * CAP_TARGET_BYTES + 512 };

struct judging {
    const struct policy *policy;
    bool absent;                /* there is no policy file: nothing is available */
    struct request_facts facts; /* of every request: all but the method */
};

struct judgement {
    struct slice method, url;
    struct http_target target;
    struct buf canonical; /* empty where there is none */
    const char *detail;   /* of a malformed request; else NULL */
    bool malformed;       /* it has no target to speak of */
    struct verdict verdict;
};

/* What the proxy would say.  `arena` holds the target; judgement_clear frees the rest. */
void judge_request(const struct judging *c, struct arena *arena, struct slice method, struct slice url,
                   struct judgement *ret);
void judgement_clear(struct judgement *j);
/* "GET https://…": what has no canonical form is shown as JSON text, since it may hold anything. */
MUST_USE int judgement_print(const struct judgement *j, struct buf *out);

/* Whether the policy, without its mode, lets it pass. */
static inline bool verdict_passes(const struct verdict *v)
{
    return v->kind == VERDICT_ALLOW && !v->would_block;
}
