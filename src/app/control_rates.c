#include "app/control_rates.h"

#include "base/lru.h"
#include "base/rate.h"

#include <stdlib.h>

struct control_rates {
    struct lru *users;
};

struct user {
    _Atomic int64_t starts_at, udp_at;
};

static const int64_t second_ns = 1000000000;

struct control_rates *control_rates_new(void)
{
    struct control_rates *r = calloc(1, sizeof *r);
    if (r && !(r->users = lru_new(CONTROL_RATES_USERS, free))) {
        free(r);
        return NULL;
    }
    return r;
}

void control_rates_free(struct control_rates *r)
{
    if (!r)
        return;
    lru_free(r->users);
    free(r);
}

static struct user *user_of(struct control_rates *r, uid_t uid)
{
    struct slice key = slice_of((const char *)&uid, sizeof uid);
    struct user *u = lru_get(r->users, key);
    if (u || !(u = calloc(1, sizeof *u)))
        return u;
    return lru_put(r->users, key, u) < 0 ? NULL : u;
}

bool control_rates_start(struct control_rates *r, uid_t uid, int64_t now_ns)
{
    const int64_t cost = second_ns / CONTROL_STARTS_PER_SECOND;
    struct user *u = user_of(r, uid);
    return u && rate_take(&u->starts_at, now_ns, cost, cost * CONTROL_STARTS_BURST);
}

bool control_rates_udp(struct control_rates *r, uid_t uid, unsigned records, int64_t now_ns)
{
    const int64_t cost = second_ns / CONTROL_UDP_PER_SECOND;
    struct user *u = user_of(r, uid);
    return u && rate_take(&u->udp_at, now_ns, cost * records, cost * CONTROL_UDP_BURST);
}
