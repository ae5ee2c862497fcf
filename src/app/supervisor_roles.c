/* Handing the roles what they work with, and what is left to do when the proxy has died. */
#include "app/cafiles.h"
#include "app/supervisor_internal.h"
#include "audit/audit.h"
#include "base/log.h"
#include "base/version.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_TIMEOUT_MS = 60000, CA_RUN_DAYS = 7, SIGNATURES_PER_SECOND = 200 };

size_t keeper_sockets(const struct supervisor *s)
{
    return s->workers + 1;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

/* ret_ours for the keeper, ret_theirs for the workers. */
static int make_sockets(size_t count, int *ret_keeper, int *ret_worker, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
            err_sys(e, "cannot make a socket pair");
            close_all(ret_keeper, i);
            close_all(ret_worker, i);
            return -1;
        }
        ret_keeper[i] = pair[0];
        ret_worker[i] = pair[1];
    }
    return 0;
}

/* "exeat CA host 2026-11-21" */
void supervisor_name_ca(char ret[SUPERVISOR_CA_NAME_BYTES])
{
    char host[128] = "localhost";
    struct tm tm;
    time_t now = time(NULL);
    if (gethostname(host, sizeof host - 1) < 0 || !gmtime_r(&now, &tm)) {
        snprintf(ret, SUPERVISOR_CA_NAME_BYTES, "exeat CA");
        return;
    }
    host[40] = '\0'; /* a common name has at most 64 characters (RFC 5280, ub-common-name) */
    snprintf(ret, SUPERVISOR_CA_NAME_BYTES, "exeat CA %s %04d-%02d-%02d", host, tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday);
}

static int send_keeper_setup(struct supervisor *s, const int *sockets, struct err *e)
{
    const struct config *c = s->load->config;
    struct ipc_keeper_setup setup = {.days = s->o.ephemeral_ca ? CA_RUN_DAYS : SUPERVISOR_CA_DAYS,
                                     .per_second = SIGNATURES_PER_SECOND,
                                     .sockets = (uint32_t)keeper_sockets(s),
                                     .ephemeral = s->o.ephemeral_ca};
    struct cafiles files = {-1, -1, false};
    int fds[IPC_FDS_MAX];
    size_t count = 0;
    snprintf(setup.version, sizeof setup.version, "%s", version_text());
    supervisor_name_ca(setup.common_name);
    if (!s->o.ephemeral_ca) {
        if (cafiles_open(c->ca.cert, c->ca.key, &files, e) < 0)
            return -1;
        fds[count++] = files.cert;
        fds[count++] = files.key;
        setup.create = files.create;
    }
    memcpy(fds + count, sockets, keeper_sockets(s) * sizeof *sockets);
    int result = ipc_send(&s->keeper.ipc, IPC_KEEPER_SETUP, slice_of((const char *)&setup, sizeof setup), fds,
                          count + keeper_sockets(s), e);
    if (!s->o.ephemeral_ca)
        cafiles_close(&files);
    return result;
}

int supervisor_setup_keeper(struct supervisor *s, int *ret_sockets, struct err *e)
{
    int ours[KEEPER_SOCKETS_MAX], theirs[KEEPER_SOCKETS_MAX];
    if (make_sockets(keeper_sockets(s), ours, theirs, e) < 0)
        return -1;
    int result = send_keeper_setup(s, ours, e);
    close_all(ours, keeper_sockets(s));
    if (result < 0) {
        close_all(theirs, keeper_sockets(s));
        return -1;
    }
    memcpy(ret_sockets, theirs, keeper_sockets(s) * sizeof *theirs);
    return 0;
}

int supervisor_setup_proxy(struct supervisor *s, int bundle, const int *sockets, struct err *e)
{
    struct ipc_proxy_setup setup = {.listeners = (uint32_t)s->listeners.count, .workers = s->workers};
    snprintf(setup.version, sizeof setup.version, "%s", version_text());
    snprintf(setup.run, sizeof setup.run, "%s", s->run);
    snprintf(setup.note, sizeof setup.note, "%s", s->o.note ? s->o.note : "");
    int n = snprintf(setup.audit_name, sizeof setup.audit_name, "%s", s->audit_name);
    if (n < 0 || (size_t)n >= sizeof setup.audit_name)
        return err_set(e, "%s: file name too long", s->audit_name);
    int fds[IPC_FDS_MAX] = {bundle, s->audit_dir, s->inflight, budget_store_fd(s->budgets)};
    size_t count = 4;
    memcpy(fds + count, s->listeners.fds, s->listeners.count * sizeof(int));
    count += s->listeners.count;
    memcpy(fds + count, sockets, keeper_sockets(s) * sizeof(int));
    count += keeper_sockets(s);
    return ipc_send(&s->proxy.ipc, IPC_PROXY_SETUP, slice_of((const char *)&setup, sizeof setup), fds, count,
                    e);
}

int supervisor_await(struct role *r, struct buf *ret_text, struct err *e)
{
    struct ipc_message m;
    char text[900];
    switch (ipc_recv(&r->ipc, START_TIMEOUT_MS, &m, e)) {
    case IPC_GOT:
        break;
    case IPC_TIMEOUT:
        return err_set(e, "the %s does not start (waited %d s)", r->name, START_TIMEOUT_MS / 1000);
    case IPC_END:
        return err_set(e, "the %s ended while it started", r->name);
    case IPC_BROKEN:
        return err_wrap(e, "the %s", r->name);
    }
    if (m.type == IPC_READY) {
        r->ipc.phase = IPC_SERVING;
        return !ret_text || buf_append(ret_text, m.payload) == 0
                   ? 0
                   : err_set(e, "the %s says too much", r->name);
    }
    ipc_text(&m, text, sizeof text);
    ipc_message_close(&m);
    return err_set(e, "%s", text);
}

/* --- after a death --- */

struct recovery {
    struct audit_log *log;
    unsigned count;
};

static void recover_one(void *arg, const struct inflight_entry *entry)
{
    struct recovery *r = arg;
    const struct audit_event event = {
        .kind = AUDIT_REQUEST,
        .id = entry->id,
        .wall_ms = entry->wall_ms,
        .task = entry->task,
        .verdict = "allow",
        .method = slice_str(entry->method),
        .url = slice_str(entry->url),
        .sent = entry->sent,
        .received = entry->received,
        .ns = -1,
        .outcome = "interrupted",
    };
    struct err e;
    if (audit_write_now(r->log, &event, &e) < 0)
        log_error("audit log: %s", e.text);
    r->count++;
}

static void describe_end(int status, char *ret, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(ret, size, "the proxy was ended by signal %d", WTERMSIG(status));
    else
        snprintf(ret, size, "the proxy ended with status %d", WEXITSTATUS(status));
}

void supervisor_recover(struct supervisor *s, int status)
{
    const struct config *c = s->load->config;
    const struct audit_options options = {.dir_fd = s->audit_dir,
                                          .name = s->audit_name,
                                          .run = s->run,
                                          .rotate = c->audit.rotate,
                                          .keep = c->audit.keep,
                                          .keep_age_ms = c->audit.keep_age_ms,
                                          .full_urls = c->audit.full_urls};
    struct recovery r = {0};
    struct err e;
    AUTO(inflight) *table = NULL;
    char why[80];
    describe_end(status, why, sizeof why);
    if (inflight_map(s->inflight, &table, &e) < 0 || audit_open(&options, &r.log, &e) < 0) {
        log_error("%s, and its open requests cannot be recorded: %s", why, e.text);
        return;
    }
    inflight_recover(table, recover_one, &r);
    const struct audit_event stop = {.kind = AUDIT_STOP, .ns = -1, .outcome = "interrupted", .detail = why};
    if (audit_write_now(r.log, &stop, &e) < 0)
        log_error("audit log: %s", e.text);
    audit_head(r.log, &s->head.seq, s->head.hash);
    audit_close(r.log);
    log_error("%s; %u open request%s recorded as interrupted", why, r.count, r.count == 1 ? "" : "s");
}
