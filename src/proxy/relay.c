#include "base/clock.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/jail.h"
#include "proxy/relay_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { URL_BYTES = 80, RECORDS_BYTES = 1400 /* two, as they mostly are */ };

static bool leads_out(const struct relay_order *o)
{
    return o->kind == RELAY_SERVICE;
}

static enum duplex_side side_inside(const struct relay *r)
{
    return leads_out(&r->order) ? DUPLEX_CLIENT : DUPLEX_TARGET;
}

static enum duplex_side side_outside(const struct relay *r)
{
    return leads_out(&r->order) ? DUPLEX_TARGET : DUPLEX_CLIENT;
}

/* --- records --- */

static const char *detail_of(const struct relay_order *o, enum reason reason)
{
    if (reason == REASON_UPSTREAM_REFUSED)
        return leads_out(o) ? "not inspected; nothing listens there on this machine"
                            : "not inspected; nothing listens on that port in the jail";
    return leads_out(o) ? "not inspected; a service of this machine"
                        : "not inspected; published to this machine";
}

static struct audit_event event_of(const struct relays *all, const struct relay_order *o, const char *verdict,
                                   enum reason reason, char url[URL_BYTES])
{
    snprintf(url, URL_BYTES, "tcp://127.0.0.1:%u", leads_out(o) ? o->port : o->host_port);
    return (struct audit_event){
        .kind = AUDIT_SERVICE,
        .task = all->jail->task,
        .verdict = verdict,
        .reason = reason,
        .url = slice_str(url),
        .protocol = "tcp",
        .ns = -1,
        .detail = detail_of(o, reason),
    };
}

static int queue(struct worker *w, const struct audit_event *ev, struct audit_ticket *ticket)
{
    if (audit_queue(w->audit, ev, ticket) < 0)
        return -1;
    w->queued++;
    return 0;
}

static int record(struct relay *r, enum audit_kind kind, const char *verdict, enum reason reason,
                  const char *outcome)
{
    char address[FETCH_ADDRESS_TEXT], url[URL_BYTES];
    struct audit_event ev = event_of(r->all, &r->order, verdict, reason, url);
    fetch_address_print(&r->target, address);
    ev.kind = kind;
    ev.id = r->id;
    ev.sent = r->duplex.moved[side_inside(r)];
    ev.received = r->duplex.moved[side_outside(r)];
    ev.ns = kind == AUDIT_OPEN ? -1 : clock_mono_ns() - r->began;
    ev.upstream_address = address;
    ev.upstream_port = r->target.port;
    ev.upstream_protocol = "tcp";
    ev.client_address = r->peer_text[0] ? r->peer_text : NULL;
    ev.begun = r->state == RELAY_OPEN;
    ev.outcome = outcome;
    client_note(r->client, &ev);
    return queue(r->all->worker, &ev, kind == AUDIT_OPEN ? &r->ticket : NULL);
}

/* --- the end of one --- */

static void note_refusal(struct relays *all, const struct relay_order *o, enum reason reason)
{
    char url[URL_BYTES];
    const struct audit_event ev = event_of(all, o, "block", reason, url);
    if (queue(all->worker, &ev, NULL) < 0) {
        /* The log cannot be written: its recovery counts what was refused meanwhile. */
    }
}

static void forget(struct relay *r)
{
    struct relays *all = r->all;
    struct worker *w = all->worker;
    loop_deadline_clear(&r->late);
    audit_ticket_forget(&r->ticket);
    client_free(r->client);
    duplex_clear(&r->duplex);
    for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++) {
        loop_io_stop(&r->io[s]);
        close(r->duplex.stream[s].fd);
    }
    list_remove(&r->node);
    free(r);
    task_connection_end(all->task);
    relays_one_gone(all);
    worker_conn_gone(w);
}

static void end(struct relay *r, const char *verdict, enum reason reason, const char *outcome)
{
    if (record(r, AUDIT_SERVICE, verdict, reason, outcome) < 0 && r->state == RELAY_OPEN)
        log_error("the end of a connection to port %u of jail %u is not on record", r->order.port,
                  r->all->jail->id);
    forget(r);
}

void relay_cut(struct relay *r, const char *verdict, enum reason reason)
{
    for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++)
        stream_reset_on_close(r->duplex.stream[s].fd);
    end(r, verdict, reason, "aborted");
}

/* --- while it is open --- */

/* A side that has ended, and another that never does, hold two descriptors: not for ever.  While both may
 * still speak, silence is their own affair. */
static void watch_time(struct relay *r)
{
    const struct duplex *d = &r->duplex;
    if (r->all->leaving)
        return;
    if (d->passed_on[DUPLEX_CLIENT] || d->passed_on[DUPLEX_TARGET])
        loop_deadline_after(&r->late, snapshot_timeouts(r->all->worker->snapshot)->idle);
    else
        loop_deadline_clear(&r->late);
}

static void move(struct relay *r)
{
    if (!audit_available(r->all->worker->log)) {
        relay_cut(r, "block", REASON_AUDIT_UNAVAILABLE);
        return;
    }
    enum duplex_state state = duplex_move(&r->duplex);
    bool nobody_hears = r->all->leaving && r->duplex.passed_on[side_inside(r)];
    if (state == DUPLEX_CUT) {
        relay_cut(r, "allow", REASON_NONE);
    } else if (state == DUPLEX_ENDED || nobody_hears) {
        end(r, "allow", REASON_NONE, NULL);
    } else {
        for (enum duplex_side s = DUPLEX_CLIENT; s < DUPLEX_SIDES; s++)
            loop_io_want(&r->io[s], duplex_wants(&r->duplex, s));
        watch_time(r);
    }
}

void relay_leave(struct relay *r)
{
    loop_deadline_after(&r->late, snapshot_timeouts(r->all->worker->snapshot)->shutdown);
    if (r->state == RELAY_OPEN)
        move(r);
}

/* --- its beginning --- */

static void on_recorded(struct audit_ticket *t, bool ok)
{
    struct relay *r = CONTAINER_OF(t, struct relay, ticket);
    if (!ok) {
        relay_cut(r, "block", REASON_AUDIT_UNAVAILABLE);
        return;
    }
    r->state = RELAY_OPEN;
    move(r);
}

static void go_on(struct relay *r)
{
    if (r->failure != REASON_NONE)
        relay_cut(r, "allow", r->failure);
    else if (record(r, AUDIT_OPEN, "allow", REASON_NONE, NULL) < 0)
        relay_cut(r, "block", REASON_AUDIT_UNAVAILABLE);
}

static void on_client_known(void *arg)
{
    struct relay *r = arg;
    if (r->state == RELAY_WAITS)
        go_on(r);
}

/* It is connected, or never will be: the record waits for who asked, and the connection for the record. */
static void dialled(struct relay *r, enum reason failure)
{
    r->state = RELAY_WAITS;
    r->failure = failure;
    loop_deadline_clear(&r->late);
    loop_io_want(&r->io[DUPLEX_TARGET], 0);
    if (!client_is_awaited(r->client))
        go_on(r);
}

/* A socket of IPv6 reaches 127.0.0.1 as ::ffff:127.0.0.1 (ipv6(7)). */
static struct fetch_address as_family(const struct fetch_address *a, int family)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct fetch_address ret = *a;
    if (family == AF_INET6 && a->family == AF_INET) {
        memcpy(ret.bytes, mapped, sizeof mapped);
        memcpy(ret.bytes + sizeof mapped, a->bytes, 4);
        ret.family = AF_INET6;
    }
    return ret;
}

static int dial(struct relay *r, int family)
{
    struct sockaddr_storage sa;
    const struct fetch_address to = as_family(&r->target, family);
    socklen_t len = fetch_address_to_sockaddr(&to, &sa);
    loop_io_want(&r->io[DUPLEX_TARGET], LOOP_WRITE);
    return connect(r->duplex.stream[DUPLEX_TARGET].fd, (struct sockaddr *)&sa, len) < 0 &&
                   errno != EINPROGRESS
               ? -1
               : 0;
}

static int family_of(int fd)
{
    int family = AF_INET;
    socklen_t len = sizeof family;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 ? family : AF_INET;
}

/* Servers listen on ::1, on 127.0.0.1 or on both.  Programs that say `localhost` try them in this order (RFC
 * 6724), and only in this one can a socket be used twice: once it has tried a mapped address, Linux sends
 * IPv4 from it. */
static const struct fetch_address loopback6 = {.family = AF_INET6, .bytes = {[15] = 1}},
                                  loopback4 = {.family = AF_INET, .bytes = {127, 0, 0, 1}};

static bool dial_other_loopback(struct relay *r)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    if (leads_out(&r->order) || r->target.family == AF_INET)
        return false;
    r->target = loopback4;
    r->target.port = r->order.port;
    return connect(r->duplex.stream[DUPLEX_TARGET].fd, &none, sizeof none) == 0 && dial(r, AF_INET6) == 0;
}

static void on_connected(struct relay *r)
{
    int why = 0;
    socklen_t len = sizeof why;
    if (getsockopt(r->duplex.stream[DUPLEX_TARGET].fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
        why = errno;
    if (why != 0 && dial_other_loopback(r))
        return;
    dialled(r, why == 0 ? REASON_NONE : REASON_UPSTREAM_REFUSED);
}

static void on_ready(struct relay *r)
{
    if (r->state == RELAY_OPEN)
        move(r);
    else if (r->state == RELAY_DIALS)
        on_connected(r);
}

static void on_client(struct loop_io *io, int events UNUSED)
{
    on_ready(CONTAINER_OF(io, struct relay, io[DUPLEX_CLIENT]));
}

static void on_target(struct loop_io *io, int events UNUSED)
{
    on_ready(CONTAINER_OF(io, struct relay, io[DUPLEX_TARGET]));
}

static void on_late(struct loop_deadline *d)
{
    struct relay *r = CONTAINER_OF(d, struct relay, late);
    if (r->state == RELAY_DIALS)
        dialled(r, REASON_UPSTREAM_TIMEOUT);
    else
        relay_cut(r, "allow", REASON_UPSTREAM_TIMEOUT);
}

/* Who asks from outside is none of the jail's: its process is not looked for. */
static void ask_who(struct relay *r)
{
    struct fetch_address peer, remote;
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int fd = r->duplex.stream[DUPLEX_CLIENT].fd;
    if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0 ||
        fetch_address_from_sockaddr((struct sockaddr *)&sa, len, &peer) < 0 ||
        stream_own_address(fd, &remote) < 0)
        return; /* it has gone again */
    fetch_address_print(&peer, r->peer_text);
    if (leads_out(&r->order))
        r->client = client_ask(r->all->worker, r->all->ask, &peer, &remote, on_client_known, r);
}

static struct relay *relay_new(struct relays *all, const struct relay_order *o, int client, int target)
{
    struct worker *w = all->worker;
    struct relay *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct relay){.all = all, .order = *o, .target = o->target, .began = clock_mono_ns()};
    r->ticket.written = on_recorded;
    ulid_make(clock_wall_ms(), r->id);
    duplex_init(&r->duplex, &w->blocks, client, target);
    loop_io_init(&r->io[DUPLEX_CLIENT], w->loop, client, on_client);
    loop_io_init(&r->io[DUPLEX_TARGET], w->loop, target, on_target);
    loop_deadline_init(&r->late, w->loop, on_late);
    list_insert(&all->relays, &r->node);
    all->count++;
    w->conn_count++;
    return r;
}

/* As requests do: what is allowed takes its share of the log, what is refused is paid from the audit budget.
 */
static enum reason count_in(struct relays *all)
{
    const struct proxy_limits *limits = snapshot_limits(all->worker->snapshot);
    if (!task_record(all->task, clock_mono_ns(), RECORDS_BYTES, limits->task_records))
        return REASON_REQUEST_RATE;
    if (all->count >= RELAYS_MAX)
        return REASON_TOO_MANY_CONNECTIONS;
    return task_connection_begin(all->task, limits->connections_per_task) ? REASON_NONE
                                                                          : REASON_TOO_MANY_CONNECTIONS;
}

static void start(struct relay *r)
{
    int family = family_of(r->duplex.stream[DUPLEX_TARGET].fd);
    loop_deadline_after(&r->late, snapshot_timeouts(r->all->worker->snapshot)->connect);
    if (!leads_out(&r->order)) {
        r->target = family == AF_INET6 ? loopback6 : loopback4;
        r->target.port = r->order.port;
    }
    ask_who(r);
    if (dial(r, family) < 0 && !dial_other_loopback(r))
        dialled(r, REASON_UPSTREAM_REFUSED);
}

static struct relay *relay_admit(struct relays *all, const struct relay_order *o, int client, int target,
                                 enum reason *ret_reason)
{
    enum reason reason = audit_available(all->worker->log) ? relays_judge(all, o) : REASON_AUDIT_UNAVAILABLE;
    if (reason == REASON_NONE)
        reason = count_in(all);
    struct relay *r = reason == REASON_NONE ? relay_new(all, o, client, target) : NULL;
    if (!r && reason == REASON_NONE) {
        task_connection_end(all->task);
        reason = REASON_OVERLOADED;
    }
    *ret_reason = reason;
    return r;
}

void relay_begin(struct relays *all, const struct relay_order *o, int client, int target)
{
    enum reason reason;
    struct relay *r = relay_admit(all, o, client, target, &reason);
    if (r) {
        start(r);
        return;
    }
    if (task_may_note(all->task, clock_mono_ns()))
        note_refusal(all, o, reason);
    stream_reset_on_close(client); /* a refusal must not look like an answer without a word */
    close(client);
    close(target);
}
