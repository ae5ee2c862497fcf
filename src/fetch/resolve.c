#include "fetch/resolve.h"

#include "base/caps.h"
#include "base/lru.h"

#include <ares.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TRY_MS = 1500, /* doubled with each round over the servers */
    TRIES = 3,
    NAME_SERVERS_BYTES = 1024,
};

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct list asked;    /* look-ups that c-ares has */
    struct list answered; /* … and those whose waiters are about to hear */
    struct list sockets;
    struct loop_deadline timer;
    bool closing;
};

struct lookup {
    struct resolver *resolver;
    struct list node;
    struct list waiters;
    struct loop_soon soon;
    const char *failure;
    struct fetch_address *at;
    size_t count;
    uint64_t hash;
    size_t task_len, name_len;
    char text[]; /* task, then the name with its final dot and a NUL */
};

/* One of c-ares' descriptors. */
struct watched {
    struct list node;
    struct loop_io io;
    int fd;
    struct resolver *resolver;
};

/* --- c-ares' sockets and timers on our loop --- */

static void rearm(struct resolver *r)
{
    struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);

    if (next)
        loop_deadline_after(&r->timer, (int64_t)next->tv_sec * 1000000000 + (int64_t)next->tv_usec * 1000);
    else
        loop_deadline_pause(&r->timer);
}

static void on_ready(struct loop_io *io, int events)
{
    struct watched *w = CONTAINER_OF(io, struct watched, io);
    struct resolver *r = w->resolver;
    int fd = w->fd;

    ares_process_fd(r->channel, events & LOOP_READ ? fd : ARES_SOCKET_BAD,
                    events & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
    rearm(r);
}

static void on_time(struct loop_deadline *d)
{
    struct resolver *r = CONTAINER_OF(d, struct resolver, timer);

    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    rearm(r);
}

static struct watched *find_watched(struct resolver *r, int fd)
{
    LIST_FOREACH(node, &r->sockets)
    {
        struct watched *w = LIST_ENTRY(node, struct watched, node);
        if (w->fd == fd)
            return w;
    }
    return NULL;
}

static void unwatch(struct watched *w)
{
    loop_io_stop(&w->io);
    list_remove(&w->node);
    free(w);
}

/* Without memory the socket is not watched; its query then ends by time. */
static struct watched *watch(struct resolver *r, int fd)
{
    struct watched *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->fd = fd;
    w->resolver = r;
    loop_io_init(&w->io, r->loop, fd, on_ready);
    list_insert(&r->sockets, &w->node);
    return w;
}

static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    struct watched *w = find_watched(r, fd);

    if (!readable && !writable) {
        if (w)
            unwatch(w);
        return;
    }
    if (!w)
        w = watch(r, fd);
    if (w)
        loop_io_want(&w->io, (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0));
}

/* --- look-ups --- */

static struct slice lookup_task(const struct lookup *l)
{
    return slice_of(l->text, l->task_len);
}

static struct slice lookup_name(const struct lookup *l)
{
    return slice_of(l->text + l->task_len, l->name_len);
}

static void lookup_free(struct lookup *l)
{
    while (!list_empty(&l->waiters))
        list_remove(l->waiters.next);
    list_remove(&l->node);
    loop_soon_stop(&l->soon);
    free(l->at);
    free(l);
}

static void tell_waiters(struct loop_soon *s)
{
    struct lookup *l = CONTAINER_OF(s, struct lookup, soon);
    struct resolve_answer answer = {.failure = l->failure, .at = l->at, .count = l->count};

    while (!list_empty(&l->waiters)) {
        struct resolve_wait *w = LIST_ENTRY(l->waiters.next, struct resolve_wait, node);
        list_remove(&w->node);
        w->answered(w, &answer);
    }
    lookup_free(l);
}

static size_t collect(const struct ares_addrinfo *info, int family, struct fetch_address *ret)
{
    size_t count = 0;

    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
        struct fetch_address a;
        if (n->ai_family != family || fetch_address_from_sockaddr(n->ai_addr, n->ai_addrlen, &a) < 0)
            continue;
        if (ret)
            ret[count] = a;
        count++;
    }
    return count;
}

/* Every address of the answer: a name is as bad as its worst address, wherever that stands in the list. */
static const char *keep_addresses(struct lookup *l, const struct ares_addrinfo *info)
{
    size_t six = collect(info, AF_INET6, NULL), four = collect(info, AF_INET, NULL);

    if (six + four == 0)
        return "the name has no address";
    l->at = calloc(six + four, sizeof *l->at);
    if (!l->at)
        return "no memory for the answer";
    collect(info, AF_INET6, l->at);
    collect(info, AF_INET, l->at + six);
    l->count = six + four;
    return NULL;
}

static const char *failure_text(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
        return "no such name";
    case ARES_ENODATA:
        return "the name has no address";
    case ARES_ETIMEOUT:
        return "the name server did not answer";
    case ARES_ECONNREFUSED:
        return "the name server cannot be reached";
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
        return "the name server failed or refused";
    case ARES_EBADRESP:
    case ARES_EFORMERR:
        return "the name server's answer makes no sense";
    case ARES_EBADNAME:
        return "not a name for DNS";
    default:
        return "the look-up failed";
    }
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct lookup *l = arg;

    (void)timeouts;
    if (!l->resolver->closing) {
        l->failure = status == ARES_SUCCESS ? keep_addresses(l, info) : failure_text(status);
        /* Off the list of those to join: who asks from now on asks anew. */
        list_remove(&l->node);
        list_insert(&l->resolver->answered, &l->node);
        loop_soon_start(&l->soon);
    } else {
        lookup_free(l);
    }
    if (info)
        ares_freeaddrinfo(info);
}

static struct lookup *lookup_new(struct resolver *r, struct slice task, struct slice name, uint64_t hash)
{
    struct lookup *l = calloc(1, sizeof *l + task.len + name.len + 2);

    if (!l)
        return NULL;
    l->resolver = r;
    l->hash = hash;
    l->task_len = task.len;
    l->name_len = name.len;
    if (task.len)
        memcpy(l->text, task.ptr, task.len);
    memcpy(l->text + task.len, name.ptr, name.len);
    l->text[task.len + name.len] = '.';
    list_init(&l->waiters);
    list_insert(&r->asked, &l->node);
    loop_soon_init(&l->soon, r->loop, tell_waiters);
    return l;
}

/* The look-up of that name under way for that task, if any; counts all of the task's. */
static struct lookup *find_lookup(struct resolver *r, struct slice task, struct slice name, uint64_t hash,
                                  unsigned *ret_count)
{
    struct lookup *found = NULL;
    unsigned count = 0;

    LIST_FOREACH(node, &r->asked)
    {
        struct lookup *l = LIST_ENTRY(node, struct lookup, node);
        if (l->hash != hash || !slice_eq(lookup_task(l), task))
            continue;
        count++;
        if (slice_eq(lookup_name(l), name))
            found = l;
    }
    *ret_count = count;
    return found;
}

int resolver_ask(struct resolver *r, struct slice task, struct slice name, struct resolve_wait *w)
{
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, /* sorting opens a socket for each address to see routes */
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    uint64_t hash = hash_bytes(task);
    unsigned count;
    struct lookup *l = find_lookup(r, task, name, hash, &count);

    if (l) {
        list_insert(&l->waiters, &w->node);
        return 0;
    }
    if (name.len == 0 || name.len > CAP_HOST_BYTES || count >= CAP_LOOKUPS_PER_TASK)
        return -1;
    l = lookup_new(r, task, name, hash);
    if (!l)
        return -1;
    list_insert(&l->waiters, &w->node);
    ares_getaddrinfo(r->channel, l->text + l->task_len, NULL, &hints, on_answer, l);
    rearm(r);
    return 0;
}

void resolve_forget(struct resolve_wait *w)
{
    list_remove(&w->node);
}

/* --- the channel --- */

/* Everything is set, so that neither RES_OPTIONS and LOCALDOMAIN nor options of resolv.conf are left to
 * have a say; lookups "b" is name servers only. */
static int open_channel(struct resolver *r, ares_channel *ret)
{
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = TRY_MS,
        .tries = TRIES,
        .ndots = 1,
        .lookups = (char[]){"b"},
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = r,
    };
    int set = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_LOOKUPS |
              ARES_OPT_DOMAINS | ARES_OPT_NOROTATE | (r ? ARES_OPT_SOCK_STATE_CB : 0);

    return ares_init_options(ret, &options, set);
}

static struct {
    pthread_once_t once;
    int status;
    char servers[NAME_SERVERS_BYTES]; /* the system's; empty where it has none */
} prepared = {.once = PTHREAD_ONCE_INIT};

static void print_servers(const struct ares_addr_port_node *first)
{
    size_t len = 0;

    for (const struct ares_addr_port_node *n = first; n; n = n->next) {
        char host[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
        if (!ares_inet_ntop(n->family, &n->addr, host, sizeof host))
            continue;
        int size = snprintf(text, sizeof text, n->family == AF_INET6 ? "%s[%s]:%d" : "%s%s:%d",
                            len ? "," : "", host, n->udp_port ? n->udp_port : 53);
        if (size < 0 || len + (size_t)size >= sizeof prepared.servers)
            return;
        memcpy(prepared.servers + len, text, (size_t)size + 1);
        len += (size_t)size;
    }
}

static void prepare(void)
{
    ares_channel channel;
    struct ares_addr_port_node *servers = NULL;

    prepared.status = ares_library_init(ARES_LIB_INIT_ALL);
    if (prepared.status == ARES_SUCCESS)
        prepared.status = open_channel(NULL, &channel);
    if (prepared.status != ARES_SUCCESS)
        return;
    if (ares_get_servers_ports(channel, &servers) == ARES_SUCCESS) {
        print_servers(servers);
        ares_free_data(servers);
    }
    ares_destroy(channel);
}

int resolve_prepare(struct err *e)
{
    pthread_once(&prepared.once, prepare);
    if (prepared.status != ARES_SUCCESS)
        return err_set(e, "cannot start c-ares: %s", ares_strerror(prepared.status));
    return 0;
}

int resolver_set_servers(struct resolver *r, const char *csv, struct err *e)
{
    int status = ares_set_servers_ports_csv(r->channel, csv);

    if (status != ARES_SUCCESS)
        return err_set(e, "name servers \"%s\": %s", csv, ares_strerror(status));
    return 0;
}

static int create_channel(struct resolver *r, struct err *e)
{
    /* Opened, not asked about: access(2) knows nothing of Landlock. */
    AUTO_FD int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "cannot read /dev/urandom, from which query ids come");
    int status = open_channel(r, &r->channel);
    if (status != ARES_SUCCESS)
        return err_set(e, "cannot start c-ares: %s", ares_strerror(status));
    return prepared.servers[0] ? resolver_set_servers(r, prepared.servers, e) : 0;
}

int resolver_new(struct loop *l, struct resolver **ret, struct err *e)
{
    if (resolve_prepare(e) < 0)
        return -1;
    AUTO(resolver) *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, "no memory for the resolver");
    r->loop = l;
    list_init(&r->asked);
    list_init(&r->answered);
    list_init(&r->sockets);
    loop_deadline_init(&r->timer, l, on_time);
    if (create_channel(r, e) < 0)
        return -1;
    *ret = TAKE(r);
    return 0;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    r->closing = true;
    if (r->channel)
        ares_destroy(
            r->channel); /* answers all that is asked with ARES_EDESTRUCTION and closes the sockets */
    while (!list_empty(&r->answered))
        lookup_free(LIST_ENTRY(r->answered.next, struct lookup, node));
    while (!list_empty(&r->sockets))
        unwatch(LIST_ENTRY(r->sockets.next, struct watched, node));
    loop_deadline_clear(&r->timer);
    free(r);
}
