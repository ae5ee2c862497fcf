/* What a snapshot says about itself. */
#include "policy/cond.h"

const char *const policy_mode_words[] = {
    [POLICY_ENFORCE] = "enforce", [POLICY_MONITOR] = "monitor", [POLICY_ASK] = "ask", NULL};

const char *policy_task(const struct policy *p)
{
    return p->task;
}

enum policy_mode policy_mode(const struct policy *p)
{
    return p->mode;
}

const char *policy_file(const struct policy *p)
{
    return p->file;
}

const char *policy_digest(const struct policy *p)
{
    return p->digest;
}

size_t policy_rule_count(const struct policy *p)
{
    return p->rule_count;
}

const struct policy_rule *policy_rule_at(const struct policy *p, size_t i)
{
    return p->rules[i];
}

bool policy_needs_headers(const struct policy *p)
{
    return p->needs_headers;
}

int64_t policy_next_expiry(const struct policy *p, int64_t now_ms)
{
    int64_t next = p->expires.ms > now_ms ? p->expires.ms : INT64_MAX;
    for (size_t i = 0; i < p->rule_count; i++) {
        int64_t ms = p->rules[i]->expires.ms;
        if (ms > now_ms && ms < next)
            next = ms;
    }
    return next;
}

void policy_rule_info(const struct policy_rule *r, struct policy_rule_info *ret)
{
    *ret = (struct policy_rule_info){
        .name = r->name, .file = r->origin->file, .line = r->line, .message = r->message, .deny = r->deny};
}

uint64_t policy_rule_body_max(const struct policy_rule *r)
{
    return cond_body_max(r);
}
