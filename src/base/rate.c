#include "base/rate.h"

bool rate_take(_Atomic int64_t *bucket, int64_t now_ns, int64_t cost_ns, int64_t burst_ns)
{
    int64_t at = atomic_load(bucket), next;
    do {
        next = (at > now_ns ? at : now_ns) + cost_ns;
        if (next - now_ns > burst_ns)
            return false;
    } while (!atomic_compare_exchange_weak(bucket, &at, next));
    return true;
}
