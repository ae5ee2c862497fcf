#include "fetch/dial.h"

#include "base/caps.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    HAPPY_EYEBALLS_MS = 200, /* RFC 8305 5 recommends 250, and allows 100 to 2000 */
    SPARE_HANDLES = 8,
    NAME_BYTES = 48,
    ENTRY_BYTES = FETCH_ADDRESS_TEXT + 4,
};

struct dialler {
    struct loop *loop;
    CURLM *multi;
    struct loop_deadline timer;
    struct loop_soon at_once; /* libcurl's "in 0 ms", which may not be answered from within its callback */
    struct list sockets;
    struct curl_slist *stale; /* "-name:port" of entries in libcurl's shared table that have served */
    uint64_t serial;
    int adopting; /* the descriptor that is ours while its handle goes away, or -1 */
    unsigned spare_count;
    CURL *spare[SPARE_HANDLES];
};

struct watched {
    struct list node;
    struct loop_io io;
    int fd;
    struct dialler *dialler;
};

/* --- libcurl's sockets and timers on our loop (libcurl-multi(3)) --- */

static void finish_done(struct dialler *d);

static void act(struct dialler *d, int fd, int events)
{
    int running;

    curl_multi_socket_action(d->multi, fd, events, &running);
    finish_done(d);
}

static void on_ready(struct loop_io *io, int events)
{
    struct watched *w = CONTAINER_OF(io, struct watched, io);

    act(w->dialler, w->fd,
        (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_time(struct loop_deadline *timer)
{
    act(CONTAINER_OF(timer, struct dialler, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_soon(struct loop_soon *s)
{
    act(CONTAINER_OF(s, struct dialler, at_once), CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    struct dialler *d = arg;

    (void)multi;
    loop_soon_stop(&d->at_once);
    loop_deadline_pause(&d->timer);
    if (ms == 0)
        loop_soon_start(&d->at_once);
    else if (ms > 0)
        loop_deadline_after(&d->timer, (int64_t)ms * 1000000);
    return 0;
}

static void unwatch(struct watched *w)
{
    loop_io_stop(&w->io);
    list_remove(&w->node);
    free(w);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct dialler *d = arg;
    struct watched *w = socket_arg;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w)
            unwatch(w);
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w)
            return -1;
        w->fd = fd;
        w->dialler = d;
        loop_io_init(&w->io, d->loop, fd, on_ready);
        list_insert(&d->sockets, &w->node);
        curl_multi_assign(d->multi, fd, w);
    }
    loop_io_want(&w->io, (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0));
    return 0;
}

/* --- sockets --- */

/* The second wall: whatever libcurl believes to be the address, a socket is made only for a judged one. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct dial *d = arg;
    struct fetch_address a;

    if (purpose != CURLSOCKTYPE_IPCXN || fetch_address_from_sockaddr(&to->addr, to->addrlen, &a) < 0)
        return CURL_SOCKET_BAD;
    for (size_t i = 0; i < d->count; i++) {
        if (!fetch_address_same_host(&a, &d->at[i]) || a.port != d->at[i].port)
            continue;
        int fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
        d->open_errno = fd < 0 ? errno : 0;
        return fd < 0 ? CURL_SOCKET_BAD : fd;
    }
    return CURL_SOCKET_BAD;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    struct dialler *d = arg;

    return fd == d->adopting ? 0 : close(fd);
}

/* --- one dial --- */

static CURL *take_handle(struct dialler *d)
{
    return d->spare_count ? d->spare[--d->spare_count] : curl_easy_init();
}

static void put_handle(struct dialler *d, CURL *easy)
{
    if (d->spare_count == SPARE_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    d->spare[d->spare_count++] = easy;
}

static int append_entry(struct curl_slist **list, const char *entry)
{
    struct curl_slist *longer = curl_slist_append(*list, entry);

    if (!longer)
        return -1;
    *list = longer;
    return 0;
}

/* "name:port:address,[address]": how libcurl is told the judged addresses of a name that nothing else has
 * (CURLOPT_RESOLVE(3)).  The table is shared by a multi and is not ours to clean at once: this dial's entry
 * is removed by the next one. */
static int make_resolve(struct dialler *d, struct dial *dial, const char *name)
{
    size_t size = NAME_BYTES + dial->count * ENTRY_BYTES;
    AUTO_STR char *entry = malloc(size);

    if (!entry)
        return -1;
    int len = snprintf(entry, size, "%s:%u:", name, dial->at[0].port);
    for (size_t i = 0; i < dial->count; i++) {
        char text[FETCH_ADDRESS_TEXT];
        fetch_address_print(&dial->at[i], text);
        len += snprintf(entry + len, size - (size_t)len, dial->at[i].family == AF_INET6 ? "%s[%s]" : "%s%s",
                        i ? "," : "", text);
    }
    dial->resolve = TAKE(d->stale);
    return append_entry(&dial->resolve, entry);
}

static void note_stale(struct dialler *d, const char *name, uint16_t port)
{
    char entry[NAME_BYTES + 8];

    snprintf(entry, sizeof entry, "-%s:%u", name, port);
    if (append_entry(&d->stale, entry) < 0)
        return; /* one entry of a name that nobody else uses stays: no harm */
}

/* What a proxy says beside yes and no is nobody's. */
static size_t discard(char *from, size_t size, size_t count, void *arg)
{
    (void)from;
    (void)arg;
    return size * count;
}

/* libcurl's defaults leave much open that must be shut: environment proxies, other protocols, signals.
 * FORBID_REUSE is not set: libcurl would close the connection before we take its descriptor. */
static CURLcode set_options(struct dialler *d, struct dial *dial, const char *url, long timeout_ms)
{
    CURL *easy = dial->easy;
    CURLcode bad = 0;

#define SET(option, value) bad |= curl_easy_setopt(easy, CURLOPT_##option, value)
    SET(URL, url);
    SET(PROTOCOLS_STR, "http");
    SET(REDIR_PROTOCOLS_STR, "http");
    SET(CONNECT_ONLY, 1L);
    SET(PROXY, "");
    SET(NOPROXY, dial->proxy ? "" : "*");
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(NOSIGNAL, 1L);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(FRESH_CONNECT, 1L);
    SET(TCP_NODELAY, 1L);
    SET(HAPPY_EYEBALLS_TIMEOUT_MS, (long)HAPPY_EYEBALLS_MS);
    SET(CONNECTTIMEOUT_MS, timeout_ms);
    SET(RESOLVE, dial->resolve);
    SET(OPENSOCKETFUNCTION, open_socket);
    SET(OPENSOCKETDATA, dial);
    SET(CLOSESOCKETFUNCTION, close_socket);
    SET(CLOSESOCKETDATA, d);
    SET(PRIVATE, dial);
#undef SET
    return bad;
}

static CURLcode set_proxy(const struct dial *dial, const char *name)
{
    const struct fetch_proxy *p = dial->proxy;
    bool socks = p->kind == FETCH_PROXY_SOCKS5;
    CURL *easy = dial->easy;
    CURLcode bad = 0;

#define SET(option, value) bad |= curl_easy_setopt(easy, CURLOPT_##option, value)
    SET(PROXY, name);
    SET(PROXYPORT, (long)dial->at[0].port);
    SET(PROXYTYPE, socks ? (long)CURLPROXY_SOCKS5_HOSTNAME : (long)CURLPROXY_HTTP);
    SET(HTTPPROXYTUNNEL, 1L); /* http too: the proxy is to see where we go, not to rewrite what we say */
    SET(PROXYAUTH, (long)CURLAUTH_BASIC);
    SET(SOCKS5_AUTH, (long)CURLAUTH_BASIC);
    SET(WRITEFUNCTION, discard);
    SET(HEADERFUNCTION, discard);
    if (p->user) {
        SET(PROXYUSERNAME, p->user);
        SET(PROXYPASSWORD, p->password ? p->password : "");
    }
#undef SET
    return bad;
}

/* "http://name:port/": what libcurl is asked for. */
static int print_url(const struct dial *dial, const char *name, char *ret, size_t size)
{
    const struct http_authority *o = dial->origin;
    bool bracket = dial->proxy && o->kind == HTTP_HOST_IPV6;
    struct slice host = dial->proxy ? o->host : slice_str(name);
    unsigned port = dial->proxy ? o->port : dial->at[0].port;
    int n = snprintf(ret, size, "http://%s%.*s%s:%u/", bracket ? "[" : "", SLICE_FMT(host), bracket ? "]" : "", port);

    return n < 0 || (size_t)n >= size ? -1 : 0;
}

static void drop(struct dial *dial)
{
    if (dial->easy)
        put_handle(dial->dialler, TAKE(dial->easy));
    curl_slist_free_all(TAKE(dial->resolve));
}

int dial_start(struct dialler *d, struct dial *dial, int64_t timeout_ns)
{
    char name[NAME_BYTES], url[CAP_HOST_BYTES + NAME_BYTES];
    long timeout_ms =
        timeout_ns > 1000000 ? (long)(timeout_ns / 1000000) : 1; /* 0 would be libcurl's default */

    dial->dialler = d;
    dial->resolve = NULL;
    dial->open_errno = 0;
    dial->proxied = dial->proxy != NULL;
    dial->easy = take_handle(d);
    snprintf(name, sizeof name, "d%llu.exeat.invalid", (unsigned long long)++d->serial);
    if (!dial->easy || print_url(dial, name, url, sizeof url) < 0 || make_resolve(d, dial, name) < 0 ||
        set_options(d, dial, url, timeout_ms) || (dial->proxy && set_proxy(dial, name)) ||
        curl_multi_add_handle(d->multi, dial->easy) != CURLM_OK) {
        drop(dial);
        return -1;
    }
    note_stale(d, name, dial->at[0].port);
    return 0;
}

void dial_cancel(struct dial *dial)
{
    curl_multi_remove_handle(dial->dialler->multi, dial->easy);
    drop(dial);
}

static const char *socks_word(long code)
{
    switch (code) {
    case CURLPX_REPLY_GENERAL_SERVER_FAILURE:
        return "general failure";
    case CURLPX_REPLY_NOT_ALLOWED:
        return "not allowed";
    case CURLPX_REPLY_NETWORK_UNREACHABLE:
        return "network unreachable";
    case CURLPX_REPLY_HOST_UNREACHABLE:
        return "host unreachable";
    case CURLPX_REPLY_CONNECTION_REFUSED:
        return "connection refused";
    case CURLPX_REPLY_TTL_EXPIRED:
        return "time to live expired";
    default:
        return "no proper answer";
    }
}

static enum fetch_fault fault_of(const struct dial *dial, CURLcode code, long sys)
{
    switch (dial->open_errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return FETCH_OVERLOADED;
    default:
        break;
    }
    if (code == CURLE_OUT_OF_MEMORY)
        return FETCH_OVERLOADED;
    return code == CURLE_OPERATION_TIMEDOUT || sys == ETIMEDOUT ? FETCH_TIMEOUT : FETCH_REFUSED;
}

/* What the proxy answered, where it did: libcurl tells of CONNECT by status (0: none came), of SOCKS by a
 * code of its own (RFC 1928 6). */
static const char *proxy_refusal(struct dial *dial, CURLcode code)
{
    long status = 0, socks = 0;

    curl_easy_getinfo(dial->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    curl_easy_getinfo(dial->easy, CURLINFO_PROXY_ERROR, &socks);
    if (status == 407)
        return "the upstream proxy asks for other credentials (407): see upstream.proxy";
    if (code == CURLE_PROXY && (socks == CURLPX_USER_REJECTED || socks == CURLPX_NO_AUTH))
        return "the upstream proxy asks for other credentials (SOCKS5): see upstream.proxy";
    if (status >= 300)
        snprintf(dial->detail, sizeof dial->detail, "the upstream proxy answered CONNECT with %ld", status);
    else if (code == CURLE_PROXY)
        snprintf(dial->detail, sizeof dial->detail, "the upstream proxy did not open the way (SOCKS5, %s)",
                 socks_word(socks));
    else
        return NULL;
    return dial->detail;
}

/* libcurl's own messages are not used: they name addresses. */
static const char *refusal(struct dial *dial, CURLcode code, long sys)
{
    const char *answer = dial->proxied ? proxy_refusal(dial, code) : NULL;
    const char *why = sys ? strerror((int)sys) : "no connection";

    if (answer || !dial->proxied)
        return answer ? answer : why;
    snprintf(dial->detail, sizeof dial->detail, "the upstream proxy: %s", why);
    return dial->detail;
}

static struct dial_result failed(struct dial *dial, CURLcode code)
{
    long sys = 0;

    curl_easy_getinfo(dial->easy, CURLINFO_OS_ERRNO, &sys);
    struct dial_result result = {.fault = fault_of(dial, code, sys), .fd = -1};
    switch (result.fault) {
    case FETCH_OVERLOADED:
        result.detail = dial->open_errno ? strerror(dial->open_errno) : "no memory for a connection";
        break;
    case FETCH_TIMEOUT:
        result.detail = dial->proxied ? "no connection through the upstream proxy in time" : "no connection in time";
        break;
    default:
        result.detail = refusal(dial, code, sys);
        break;
    }
    return result;
}

static void finish(struct dialler *d, struct dial *dial, CURLcode code)
{
    struct dial_result result = {.fault = FETCH_REFUSED, .detail = "no connection", .fd = -1};
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (code != CURLE_OK)
        result = failed(dial, code);
    else if (curl_easy_getinfo(dial->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
        result = (struct dial_result){.fault = FETCH_OK, .fd = fd};
    /* Removing the handle closes its connection: all but the descriptor that we keep. */
    d->adopting = result.fd;
    curl_multi_remove_handle(d->multi, dial->easy);
    d->adopting = -1;
    drop(dial);
    dial->connected(dial, &result);
}

static void finish_done(struct dialler *d)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(d->multi, &left))) {
        struct dial *dial = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&dial);
        finish(d, dial, code);
    }
}

/* --- the dialler --- */

static struct {
    pthread_once_t once;
    CURLcode code;
} prepared = {.once = PTHREAD_ONCE_INIT};

/* Without SSL: TLS is tls/'s, and libcurl has none of it to do. */
static void prepare(void)
{
    prepared.code = curl_global_init(CURL_GLOBAL_NOTHING);
}

int dial_prepare(struct err *e)
{
    pthread_once(&prepared.once, prepare);
    return prepared.code == CURLE_OK
               ? 0
               : err_set(e, "cannot start libcurl: %s", curl_easy_strerror(prepared.code));
}

static int set_multi_options(struct dialler *d)
{
    CURLMcode bad = 0;

#define SET(option, value) bad |= curl_multi_setopt(d->multi, CURLMOPT_##option, value)
    SET(SOCKETFUNCTION, watch_socket);
    SET(SOCKETDATA, d);
    SET(TIMERFUNCTION, set_timer);
    SET(TIMERDATA, d);
    SET(MAXCONNECTS, 1L); /* no connection outlives its dial here */
    SET(PIPELINING, (long)CURLPIPE_NOTHING);
#undef SET
    return bad ? -1 : 0;
}

int dialler_new(struct loop *l, struct dialler **ret, struct err *e)
{
    if (dial_prepare(e) < 0)
        return -1;
    AUTO(dialler) *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, "no memory for the dialler");
    d->loop = l;
    d->adopting = -1;
    list_init(&d->sockets);
    loop_deadline_init(&d->timer, l, on_time);
    loop_soon_init(&d->at_once, l, on_soon);
    d->multi = curl_multi_init();
    if (!d->multi || set_multi_options(d) < 0)
        return err_set(e, "cannot start libcurl's multi interface");
    *ret = TAKE(d);
    return 0;
}

void dialler_free(struct dialler *d)
{
    if (!d)
        return;
    while (d->spare_count)
        curl_easy_cleanup(d->spare[--d->spare_count]);
    curl_multi_cleanup(d->multi);
    while (!list_empty(&d->sockets))
        unwatch(LIST_ENTRY(d->sockets.next, struct watched, node));
    loop_soon_stop(&d->at_once);
    loop_deadline_clear(&d->timer);
    curl_slist_free_all(d->stale);
    free(d);
}
