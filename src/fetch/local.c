/* This machine's own addresses, for the guard. */
#include "fetch/guard.h"

#include <ifaddrs.h>
#include <stdlib.h>

static socklen_t sockaddr_size(const struct sockaddr *sa)
{
    return sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static size_t collect(const struct ifaddrs *first, struct fetch_address *ret)
{
    size_t count = 0;

    for (const struct ifaddrs *i = first; i; i = i->ifa_next) {
        struct fetch_address a;
        if (!i->ifa_addr || fetch_address_from_sockaddr(i->ifa_addr, sockaddr_size(i->ifa_addr), &a) < 0)
            continue;
        if (ret)
            ret[count] = a;
        count++;
    }
    return count;
}

int guard_local_read(struct guard_local *local, int64_t now_ns, struct err *e)
{
    struct ifaddrs *found;

    if (getifaddrs(&found) < 0)
        return err_sys(e, "cannot read this machine's addresses");
    size_t count = collect(found, NULL);
    struct fetch_address *at = calloc(count + 1, sizeof *at);
    if (at)
        collect(found, at);
    freeifaddrs(found);
    if (!at)
        return err_set(e, "no memory for this machine's addresses");
    free(local->at);
    *local = (struct guard_local){.at = at, .count = count, .read_at = now_ns};
    return 0;
}

/* Failure is no reason to stop: the list is asked for again at the next use, and what was this machine's
 * address a moment ago stays forbidden. */
void guard_local_refresh(struct guard_local *local, int64_t now_ns)
{
    if (now_ns - local->read_at > GUARD_LOCAL_NS && guard_local_read(local, now_ns, NULL) < 0)
        return;
}

void guard_local_free(struct guard_local *local)
{
    free(local->at);
    *local = (struct guard_local){0};
}
