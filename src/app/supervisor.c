#include "app/supervisor_internal.h"

#include "app/carotate.h"
#include "app/folders.h"
#include "app/notify.h"
#include "audit/inflight.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "tls/roots.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { INFLIGHT_PER_WORKER = 4096, SAVE_NS = 1000000000 };

int supervisor_make_run(char ret[RUN_ID_BYTES])
{
    static const char letters[33] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t random[6];
    char tail[7] = "";
    struct tm tm;
    time_t now = (time_t)(clock_wall_ms() / 1000);
    if (crypto_random(random, sizeof random) < 0 || !gmtime_r(&now, &tm))
        return -1;
    for (size_t i = 0; i < sizeof random; i++)
        tail[i] = letters[random[i] % 32];
    char time_text[20];
    if (strftime(time_text, sizeof time_text, "%Y%m%dT%H%M%SZ", &tm) == 0)
        return -1;
    snprintf(ret, RUN_ID_BYTES, "%.16s-%s", time_text, tail);
    return 0;
}

static unsigned count_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > IPC_WORKERS_MAX ? IPC_WORKERS_MAX : (unsigned)n;
}

/* --- start --- */

/* Returns the bundle's descriptor, after compiling all of it here: errors are found and printed by the
 * command itself, and a broken configuration never reaches the proxy. */
int supervisor_read_configuration(struct supervisor *s, struct load **ret, struct err *e)
{
    AUTO_FD int fd = files_pack(&s->files, e);
    AUTO(bundle) *bundle = NULL;
    if (fd < 0 || bundle_open(fd, &bundle, e) < 0 ||
        load_bundle(bundle, LOAD_CHECK, s->o.files.report, s->o.files.arg, ret, e) < 0)
        return -1;
    return TAKE_FD(fd);
}

static int open_places(struct supervisor *s, struct err *e)
{
    const struct config *c = s->load->config;
    const char *name;
    snprintf(s->audit_path, sizeof s->audit_path, "%s", c->audit.file);
    if (folders_make(c->state, e) < 0)
        return err_wrap(e, "`state` of the configuration");
    s->audit_dir = folders_open_parent(s->audit_path, &name, e);
    if (s->audit_dir < 0)
        return err_wrap(e, "`audit.file` of the configuration");
    s->audit_name = name;
    s->workers = c->workers ? c->workers : count_cores();
    if (listeners_open(c, &s->listeners, e) < 0)
        return -1;
    s->inflight = inflight_create(s->workers * INFLIGHT_PER_WORKER, e);
    /* A run's budgets are for the run (interfaces: limits). */
    return s->inflight < 0 ? -1 : budget_store_open(s->o.ephemeral_ca ? NULL : c->state, &s->budgets, e);
}

int supervisor_write_trust(struct supervisor *s, struct slice ca_pem, int bundle_fd, struct err *e)
{
    const char *folder = s->o.trust_dir ? s->o.trust_dir : s->load->config->state;
    AUTO(bundle) *bundle = NULL;
    AUTO_BUF others = BUF_INIT(2 * ROOTS_BYTES_MAX);
    if (!s->o.ephemeral_ca && carotate_read_former(s->load->config->ca.cert, &others, e) < 0)
        return -1;
    if (bundle_fd < 0 && roots_read_system(&others, e) < 0)
        return -1;
    if (bundle_fd >= 0 && (bundle_open(bundle_fd, &bundle, e) < 0 ||
                           buf_append(&others, bundle_find(bundle, BUNDLE_ROOTS, NULL, NULL)) < 0))
        return err_wrap(e, "the system's roots");
    if (trustfiles_paths(folder, &s->trust, e) < 0)
        return -1;
    return trustfiles_write(folder, ca_pem, buf_slice(&others), e);
}

/* The keeper is ready: *ret_ca is its certificate, in `text`; the key of its seals is kept. */
int supervisor_await_keeper(struct supervisor *s, struct buf *text, struct slice *ret_ca, struct err *e)
{
    const struct config *c = s->load->config;
    if (supervisor_await(&s->keeper, text, e) < 0)
        return s->o.ephemeral_ca ? -1 : err_wrap(e, "%s, %s", c->ca.cert, c->ca.key);
    struct slice ca = buf_slice(text);
    if (seal_keys_cut(&ca, s->seal_key, e) < 0)
        return -1;
    *ret_ca = ca;
    return s->o.ephemeral_ca ? 0 : seal_keys_add(c->state, s->seal_key, e);
}

static int launch(struct supervisor *s, int bundle_fd, struct err *e)
{
    int sockets[KEEPER_SOCKETS_MAX];
    AUTO_BUF ca_pem = BUF_INIT(CA_PEM_BYTES);
    if (supervisor_setup_keeper(s, sockets, e) < 0)
        return -1;
    int result = supervisor_setup_proxy(s, bundle_fd, sockets, e);
    for (size_t i = 0; i < keeper_sockets(s); i++)
        close(sockets[i]);
    if (result < 0)
        return -1;
    struct slice ca;
    if (supervisor_await_keeper(s, &ca_pem, &ca, e) < 0)
        return -1;
    return supervisor_write_trust(s, ca, bundle_fd, e);
}

static void on_proxy_end(struct loop_child *child, int status);
static void on_proxy_message(struct loop_io *io, int events);

static void save_budgets(struct loop_deadline *d)
{
    struct supervisor *s = CONTAINER_OF(d, struct supervisor, save);
    budget_store_save(s->budgets, false);
    loop_deadline_after(d, SAVE_NS);
}

static void watch(struct supervisor *s)
{
    loop_deadline_init(&s->save, s->loop, save_budgets);
    loop_deadline_after(&s->save, SAVE_NS);
    loop_child_init(&s->keeper_end, s->loop, s->keeper.pid, supervisor_keeper_ended);
    loop_child_init(&s->proxy_end, s->loop, s->proxy.pid, on_proxy_end);
    loop_io_init(&s->proxy_io, s->loop, s->proxy.ipc.fd, on_proxy_message);
    loop_io_want(&s->proxy_io, LOOP_READ);
    s->watching = true;
}

static int start(struct supervisor *s, struct err *e)
{
    /* First, since executing and linking them takes as long as reading and compiling here. */
    if (role_spawn("proxy", IPC_PROXY, &s->proxy, e) < 0 ||
        role_spawn("keeper", IPC_KEEPER, &s->keeper, e) < 0)
        return -1;
    AUTO_FD int bundle = supervisor_read_configuration(s, &s->load, e);
    if (bundle < 0)
        return -1;
    if (s->o.run)
        snprintf(s->run, sizeof s->run, "%s", s->o.run);
    else if (supervisor_make_run(s->run) < 0)
        return err_set(e, "no randomness for the run's id");
    return open_places(s, e) < 0 ? -1 : launch(s, bundle, e);
}

int supervisor_serve(struct supervisor *s, struct err *e)
{
    if (supervisor_await(&s->proxy, NULL, e) < 0)
        return -1;
    watch(s);
    return supervisor_hear(s, e);
}

bool supervisor_serves(const struct supervisor *s)
{
    return s->watching;
}

int supervisor_start(struct loop *loop, const struct supervisor_options *o, struct supervisor **ret,
                     struct err *e)
{
    AUTO(supervisor) *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, "no memory");
    s->o = *o;
    s->files = o->files;
    s->loop = loop;
    list_init(&s->jails);
    list_init(&s->jails_asked);
    s->audit_dir = s->inflight = -1;
    s->place = RELOAD_PLACE_NONE;
    if (start(s, e) < 0)
        return -1;
    *ret = TAKE(s);
    return 0;
}

void supervisor_free(struct supervisor *s)
{
    if (!s)
        return;
    supervisor_hear_no_more(s);
    if (s->watching) {
        loop_deadline_clear(&s->save);
        loop_io_stop(&s->proxy_io);
        loop_child_stop(&s->proxy_end);
        loop_child_stop(&s->keeper_end);
    }
    supervisor_free_jails(s);
    role_kill(&s->proxy);
    role_kill(&s->keeper);
    listeners_close(&s->listeners);
    if (s->audit_dir >= 0)
        close(s->audit_dir);
    if (s->inflight >= 0)
        close(s->inflight);
    budget_store_free(s->budgets);
    load_free(s->pending);
    load_free(s->load);
    free(s);
}

/* --- events --- */

bool supervisor_read(struct supervisor *s, int timeout_ms)
{
    struct ipc_message m;
    struct err e = {0};
    switch (ipc_recv(&s->proxy.ipc, timeout_ms, &m, &e)) {
    case IPC_TIMEOUT:
        return false;
    case IPC_END:
        loop_io_stop(&s->proxy_io); /* its end as a child follows */
        return false;
    case IPC_BROKEN:
        log_error("the proxy breaks the protocol (%s) and is stopped", e.text);
        loop_io_stop(&s->proxy_io);
        kill(s->proxy.pid, SIGKILL);
        return false;
    case IPC_GOT:
        break;
    }
    if (m.type == IPC_STOPPED)
        s->stopped_said = ipc_payload(&m, &s->head, sizeof s->head) == 0;
    else if (m.type == IPC_JAIL_READY || m.type == IPC_JAIL_REFUSED || m.type == IPC_GUEST_LEFT)
        supervisor_jail_answered(s, &m);
    else
        supervisor_reloaded(s, &m);
    s->head.hash[sizeof s->head.hash - 1] = '\0';
    ipc_message_close(&m);
    return true;
}

static void on_proxy_message(struct loop_io *io, int events UNUSED)
{
    supervisor_read(CONTAINER_OF(io, struct supervisor, proxy_io), 0);
}

void supervisor_keeper_ended(struct loop_child *child, int status)
{
    struct supervisor *s = CONTAINER_OF(child, struct supervisor, keeper_end);
    loop_child_stop(child);
    s->keeper.pid = 0;
    ipc_close(&s->keeper.ipc);
    /* It ends by itself only when the workers' sockets are closed: then the proxy is what has ended. */
    if (s->stopping || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return;
    log_error("the keeper has ended (%s %d): names without a certificate get 503 keeper-unavailable until %s",
              WIFSIGNALED(status) ? "signal" : "status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
              s->o.ephemeral_ca ? "the next start" : "SIGHUP or a restart");
    if (s->o.keeper_lost)
        s->o.keeper_lost(s->o.arg);
}

static void on_proxy_end(struct loop_child *child, int status)
{
    struct supervisor *s = CONTAINER_OF(child, struct supervisor, proxy_end);
    loop_child_stop(child);
    while (supervisor_read(s, 0))
        ; /* what it still said */
    loop_io_stop(&s->proxy_io);
    s->proxy.pid = 0;
    loop_deadline_clear(&s->save);
    budget_store_save(s->budgets, true);
    bool clean = s->stopping && s->stopped_said && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!clean)
        supervisor_recover(s, status);
    s->stopping = true;
    s->o.ended(s->o.arg, clean ? SUPERVISOR_STOPPED : SUPERVISOR_PROXY_LOST);
}

void supervisor_stop(struct supervisor *s, bool now)
{
    const struct ipc_stop order = {.grace_ns = now ? 0 : s->load->config->timeouts.shutdown};
    if (s->proxy.pid == 0)
        return;
    if (!s->stopping)
        notify_state("STOPPING=1");
    if (supervisor_tell_proxy(s, IPC_STOP, slice_of((const char *)&order, sizeof order), NULL) < 0)
        kill(s->proxy.pid, SIGKILL);
    s->stopping = true;
}

/* --- what others ask --- */

const struct load *supervisor_load(const struct supervisor *s)
{
    return s->load;
}

const struct listeners *supervisor_listeners(const struct supervisor *s)
{
    return &s->listeners;
}

const struct trustfiles *supervisor_trust(const struct supervisor *s)
{
    return &s->trust;
}

const char *supervisor_run(const struct supervisor *s)
{
    return s->run;
}

const char *supervisor_seal_key(const struct supervisor *s)
{
    return s->seal_key;
}

void supervisor_head(const struct supervisor *s, uint64_t *ret_seq, char ret_hash[65])
{
    *ret_seq = s->head.seq;
    memcpy(ret_hash, s->head.hash, sizeof s->head.hash);
}
