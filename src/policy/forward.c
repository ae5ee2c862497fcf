#include "policy/forward.h"

#include "policy/model.h"

#include <arpa/inet.h>

static bool is_same_address(const char *a, const char *b)
{
    uint8_t one[16], other[16];
    int family = strchr(a, ':') ? AF_INET6 : AF_INET;
    return inet_pton(family, a, one) == 1 && inet_pton(family, b, other) == 1 &&
           memcmp(one, other, family == AF_INET6 ? 16 : 4) == 0;
}

static bool is_same(const struct policy_forward *a, const struct policy_forward *b)
{
    if (a->port != b->port || a->host_port != b->host_port)
        return false;
    return !a->address || (b->address && is_same_address(a->address, b->address));
}

enum reason forward_judge(const struct policy *p, enum forward_kind kind, const struct policy_forward *f,
                          int64_t now_ms)
{
    const struct policy_jail *jail = policy_jail(p);
    const struct policy_forward *at = kind == FORWARD_SERVICE ? jail->services : jail->publish;
    size_t count = kind == FORWARD_SERVICE ? jail->service_count : jail->publish_count;
    if (p->expires.ms <= now_ms)
        return REASON_RULE_EXPIRED;
    for (size_t i = 0; i < count; i++)
        if (is_same(&at[i], f))
            return REASON_NONE;
    return REASON_PORT_NOT_ALLOWED;
}
