#include "cli/judging.h"

#include "base/json.h"
#include "http/chars.h"
#include "http/fields.h"

static void refuse(struct judgement *j, enum reason reason, const char *detail)
{
    j->verdict = (struct verdict){.kind = VERDICT_BLOCK, .reason = reason};
    j->detail = detail;
    j->malformed = true;
}

/* What the proxy refuses whatever the policy says: another Host, an upgrade. */
static enum reason judge_fields(const struct http_headers *headers, struct arena *arena,
                                const struct http_target *target)
{
    struct http_authority named;
    if (!headers)
        return REASON_NONE;
    const struct http_header *host = http_headers_find(headers, HTTP_H_HOST);
    if (host && (http_authority_parse(arena, host->value, http_scheme_port(target->scheme), &named, NULL) < 0 ||
                 !http_authority_eq(&named, &target->authority)))
        return REASON_AUTHORITY_MISMATCH;
    return http_headers_find(headers, HTTP_H_UPGRADE) ? REASON_UPGRADE_DENIED : REASON_NONE;
}

static void judge(const struct judging *c, struct arena *arena, struct judgement *j)
{
    struct http_problem problem = {0};
    struct request_facts facts = c->facts;
    facts.method = j->method;
    if (j->method.len == 0 || j->method.len > CAP_METHOD_BYTES || !http_all(j->method, CH_TOKEN)) {
        refuse(j, REASON_MALFORMED_REQUEST, "the method is not a token");
        return;
    }
    if (http_url_parse(arena, j->url, &j->target, &problem) < 0) {
        refuse(j, reason_of_fault(problem.fault), problem.detail);
        return;
    }
    if (http_target_print(&j->target, &j->canonical) < 0) {
        refuse(j, REASON_MALFORMED_REQUEST, "the URL is too long");
        return;
    }
    enum reason denied = judge_fields(facts.headers, arena, &j->target);
    if (c->absent)
        j->verdict = (struct verdict){.kind = VERDICT_BLOCK, .reason = REASON_POLICY_UNAVAILABLE};
    else
        policy_match(c->policy, &j->target, &facts, &j->verdict);
    if (denied != REASON_NONE && j->verdict.kind == VERDICT_ALLOW)
        j->verdict = (struct verdict){.kind = VERDICT_BLOCK, .reason = denied};
}

void judge_request(const struct judging *c, struct arena *arena, struct slice method, struct slice url,
                   struct judgement *ret)
{
    struct judgement j = {.method = method, .url = url, .canonical = BUF_INIT(JUDGED_URL_BYTES)};
    judge(c, arena, &j);
    *ret = j;
}

void judgement_clear(struct judgement *j)
{
    buf_free(&j->canonical);
}

int judgement_print(const struct judgement *r, struct buf *out)
{
    if (!r->malformed)
        return buf_printf(out, "%.*s %.*s", SLICE_FMT(r->method), SLICE_FMT(buf_slice(&r->canonical)));
    struct json j = JSON_INIT(out);
    json_slice(&j, r->method);
    json_slice(&j, r->url);
    return j.failed ? -1 : 0;
}
