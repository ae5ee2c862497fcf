#include "app/udp_watch.h"

#include "base/log.h"

enum { LOOK_NS = 2000000000, SEEN = 2 * NETWORK_UDP_TRIED_MAX };

static void tell(struct udp_watch *w)
{
    if (w->message.count)
        w->tell(w->arg, &w->message);
    w->message.count = 0;
}

static void add_tried(void *arg, const struct network_udp *tried)
{
    static char told[1];
    struct udp_watch *w = arg;
    char key[19];
    key[0] = tried->family == AF_INET6;
    memcpy(key + 1, &tried->port, sizeof tried->port);
    memcpy(key + 3, tried->address, sizeof tried->address);
    struct slice known = slice_of(key, sizeof key);
    if (lru_get(w->seen, known) || lru_put(w->seen, known, told) < 0)
        return;
    struct ipc_udp *to = &w->message.at[w->message.count++];
    *to =
        (struct ipc_udp){.datagrams = tried->datagrams, .port = tried->port, .v6 = tried->family == AF_INET6};
    memcpy(to->address, tried->address, sizeof to->address);
    if (w->message.count == IPC_UDP_MAX)
        tell(w);
}

static void look(struct udp_watch *w)
{
    struct err e;
    if (network_udp_tried(w->nft, add_tried, w, &e) < 0)
        log_warn("%s", e.text);
    tell(w);
}

static void look_again(struct loop_deadline *d)
{
    look(CONTAINER_OF(d, struct udp_watch, look));
    loop_deadline_after(d, LOOK_NS);
}

static void nothing(void *value UNUSED)
{
}

int udp_watch_start(struct udp_watch *w, struct loop *loop, int nft,
                    void (*each)(void *arg, struct ipc_jail_udp *tried), void *arg)
{
    *w = (struct udp_watch){.nft = nft, .tell = each, .arg = arg};
    if (nft < 0)
        return 0;
    w->seen = lru_new(SEEN, nothing);
    if (!w->seen)
        return -1;
    loop_deadline_init(&w->look, loop, look_again);
    loop_deadline_after(&w->look, LOOK_NS);
    return 0;
}

void udp_watch_stop(struct udp_watch *w)
{
    if (!w->seen)
        return;
    look(w);
    loop_deadline_clear(&w->look);
    lru_free(w->seen);
    w->seen = NULL;
}
