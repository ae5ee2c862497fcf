#include "audit/tally.h"

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

void audit_tally_add(struct audit_tally *t, const struct audit_event *ev)
{
    bool judged = ev->kind == AUDIT_REQUEST || ev->kind == AUDIT_CONNECT || ev->kind == AUDIT_TUNNEL;
    if (!judged || !ev->verdict)
        return;
    add(&t->sent, ev->sent);
    if (ev->kind == AUDIT_TUNNEL) {
        add(&t->tunnels, 1);
        add(&t->tunnels_out, ev->sent);
        add(&t->tunnels_in, ev->received);
    }
    if (ev->would_block)
        add(&t->would_block, 1);
    if (strcmp(ev->verdict, "block") != 0) {
        add(&t->allowed, 1);
        return;
    }
    add(&t->blocked, 1);
    add(&t->by_reason[ev->reason], 1);
}
