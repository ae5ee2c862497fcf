#include "app/run.h"

#include "app/folders.h"
#include "app/run_findings.h"
#include "app/run_kept.h"
#include "app/run_plan.h"
#include "app/run_publish.h"
#include "app/run_server.h"
#include "app/run_session.h"
#include "app/runs.h"
#include "app/state.h"
#include "app/supervisor.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNSEEN_BYTES = 4 << 10 };

struct run {
    const struct run_options *o;
    struct loop *loop;
    struct run_plan plan;
    struct run_server *server;
    struct jail jail;
    bool mounts_made;
    bool awaited; /* the proxy was, and serves or never will */
    struct run_session session;
    struct run_publish publish;
    char id[RUN_ID_BYTES];
    char walls[RUN_WALLS_TEXT_BYTES];                               /* for the start record */
    char state[STATE_PATH_BYTES], log[PATH_MAX], private[PATH_MAX]; /* private: gone at the end */
    int lock;       /* of private: says that this run lives */
    int cache_lock; /* says that its cache is in use; -1: none */
    uint32_t fail; /* test builds: 1 + the step that is to fail */
    unsigned findings;
    bool started; /* the command has */
    bool ended;   /* the server has */
    int status;
};

static void print_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    struct run *r = arg;
    r->findings++;
    if (line)
        log_error("%s:%u:%u: %s", file, line, column, message);
    else
        log_error("%s: %s", file, message);
}

static void read_test_hooks(struct run *r)
{
#ifdef EXEAT_TEST_HOOKS
    const char *name = getenv("EXEAT_TEST_FAIL_STEP");
    enum jail_step step;
    if (name && jail_step_of(name, &step) == 0)
        r->fail = 1U + step;
#else
    r->fail = 0;
#endif
}

/* --- before --- */

/* Whatever our umask: others must be able to pass. */
static int make_passable(const char *path, struct err *e)
{
    if (mkdir(path, 0711) < 0)
        return errno == EEXIST ? 0 : err_sys(e, "%s", path);
    return chmod(path, 0711) < 0 ? err_sys(e, "%s", path) : 0;
}

/* Started as root, our state is where the command's user may not even look; what its mounts are made of must
 * lie where that user may, and it alone. */
static int make_shared_place(struct run *r, struct err *e)
{
    static const char above[] = RUN_SHARED "/runs";
    snprintf(r->private, sizeof r->private, "%s/%s", above, r->id);
    if (make_passable(RUN_SHARED, e) < 0 || make_passable(above, e) < 0 || runs_claim(above, r->id, &r->lock, e) < 0)
        return -1;
    if (chown(r->private, r->plan.who.uid, r->plan.who.gid) < 0)
        return err_sys(e, "%s", r->private);
    return 0;
}

static int make_places(struct run *r, struct err *e)
{
    char audit[PATH_MAX];
    if (state_path("", r->state, e) < 0)
        return -1;
    if (supervisor_make_run(r->id) < 0)
        return err_set(e, "no randomness for the run's id");
    snprintf(audit, sizeof audit, "%s/audit", r->state);
    snprintf(r->log, sizeof r->log, "%s/audit/%s.jsonl", r->state, r->id);
    if (state_make(audit, e) < 0)
        return -1;
    if (r->plan.who.drop)
        return make_shared_place(r, e);
    snprintf(audit, sizeof audit, "%s/runs", r->state);
    snprintf(r->private, sizeof r->private, "%s/runs/%s", r->state, r->id);
    return folders_make(audit, e) < 0 ? -1 : runs_claim(audit, r->id, &r->lock, e);
}

static void on_lost(void *arg, const char *why)
{
    struct run *r = arg;
    run_session_cut(&r->session, why);
}

static void on_server_end(void *arg)
{
    struct run *r = arg;
    r->ended = true;
    loop_stop(r->loop);
}

static int start_server(struct run *r, struct err *e)
{
    const struct run_walls_facts facts = run_plan_facts(&r->plan);
    run_walls_text(&facts, r->walls);
    const struct run_serving with = {
        .loop = r->loop,
        .o = r->o,
        .id = r->id,
        .state = r->state,
        .log = r->log,
        .private = r->private,
        .note = r->walls,
        .report = print_problem,
        .lost = on_lost,
        .ended = on_server_end,
        .arg = r,
    };
    if (jail_test_failure(r->fail, JAIL_STEP_serve, e) < 0)
        return jail_step_failed(JAIL_STEP_serve, e);
    return r->o->daemon ? run_guest_start(&with, &r->server, e) : run_own_start(&with, &r->server, e);
}

/* What a run that was killed left on the host goes first: it would look like a part of the project. */
static int plan_mounts(struct run *r, struct err *e)
{
    const struct run_server *s = r->server;
    const struct run_places places = {
        .state = s->state, .log = s->log, .trusted = r->state, .run = r->private, .trust = s->trust};
    mounts_sweep(s->state);
    if (jail_test_failure(r->fail, JAIL_STEP_plan, e) < 0 || run_plan_mounts(&r->plan, &places, e) < 0 ||
        mounts_prepare(r->plan.mounts, e) < 0)
        return jail_step_failed(JAIL_STEP_plan, e);
    r->mounts_made = true;
    const char *cache = r->plan.mounts_options.cache;
    if (cache && run_kept_claim(cache, &r->cache_lock) < 0)
        log_warn("%s: cannot be locked, so older caches stay", cache);
    return 0;
}

static void sweep_caches(struct run *r)
{
    if (r->cache_lock >= 0)
        run_kept_sweep(r->plan.mounts_options.cache);
    fd_auto_close(&r->cache_lock);
}

/* --- the jail --- */

/* What no file system shows again: the descriptors that a command gets as they are may be no way out. */
static int check_standard(struct err *e)
{
    static const char *const names[] = {"input", "output", "error"};
    for (int fd = 0; fd < 3; fd++)
        if (jail_check_descriptor(fd, e) < 0)
            return err_wrap(e, "standard %s", names[fd]);
    return 0;
}

static int await_proxy(struct run *r, struct err *e)
{
    r->awaited = true;
    return r->server->kind->await(r->server, e);
}

/* Only now the proxy has to be ready: it got so while the jail was begun. */
static int add_to_proxy(struct run *r, struct network *n, struct err *e)
{
    if (await_proxy(r, e) < 0) {
        network_close(n);
        return -1;
    }
    if (jail_test_failure(r->fail, JAIL_STEP_capture, e) < 0) {
        network_close(n);
        return jail_step_failed(JAIL_STEP_capture, e);
    }
    if (r->server->kind->add(r->server, n, r->plan.jail, e) < 0)
        return r->o->daemon ? -1 : jail_step_failed(JAIL_STEP_capture, e);
    return 0;
}

static void on_sockets(void *arg, struct jail_packet *packet)
{
    struct run *r = arg;
    run_publish_stock(&r->publish, packet);
}

/* Also where nobody reads it: a repository that would run something on the host is made harmless here. */
static void look_at_files(struct run *r)
{
    struct run_findings found = {.quiet = r->o->quiet};
    struct err e;
    if (!r->mounts_made)
        return;
    if (r->started && mounts_report(r->plan.mounts, run_findings_tell, &found, &e) < 0)
        log_error("what the command changed cannot be told: %s", e.text);
    run_findings_end(&found);
    mounts_finish(r->plan.mounts);
    r->mounts_made = false;
}

/* What it tried goes on record, then the proxy may end.  Before that nobody ends us with files unseen. */
static void on_jail_end(void *arg, int status)
{
    struct run *r = arg;
    r->status = status < 0 ? RUN_FAILED : status;
    run_publish_close(&r->publish);
    r->server->kind->remove(r->server);
    look_at_files(r);
    if (!r->ended)
        r->server->kind->stop(r->server, false);
}

/* 0: the command runs; else what to exit with. */
static int start_jail(struct run *r, struct err *e)
{
    struct jail_options options;
    struct network network;
    network_init(&network);
    run_plan_jail(&r->plan, &options);
    options.fail = r->fail;
    if (check_standard(e) < 0 || run_publish_open(&r->publish, r->loop, r->plan.jail, e) < 0 ||
        jail_start(&options, &r->jail, &network, e) < 0 || add_to_proxy(r, &network, e) < 0 ||
        jail_await(&r->jail, e) < 0 || mounts_watch(r->plan.mounts, r->jail.inner, e) < 0)
        return RUN_FAILED;
    int why = run_session_start(&r->session, r->loop, &r->jail, r->plan.mounts, on_jail_end, r, e);
    if (why == 0) {
        r->session.sockets = on_sockets;
        r->server->kind->publish(r->server, &r->publish, r->jail.control);
    }
    if (why <= 0)
        return why == 0 ? 0 : RUN_FAILED;
    run_plan_explain_exec(&r->plan, why, e);
    return why == ENOENT ? RUN_NOT_FOUND : RUN_CANNOT_EXECUTE;
}

/* --- after --- */

/* Tools that people keep below their home: else only "command not found" would tell. */
static void say_unseen_programs(const struct run *r)
{
    AUTO_BUF folders = BUF_INIT(UNSEEN_BYTES);
    if (mounts_unseen_programs(r->plan.mounts, &folders) == 0 && buf_len(&folders))
        log_info("of PATH not in the jail: %s; `files: {read: [...]}` in the policy shows what it names",
                 buf_cstr(&folders));
}

static void say_what_holds(const struct run *r)
{
    if (r->plan.who.uid == 0)
        log_warn(
            "--as-root: the command is root outside too, so this jail is weaker: only mounts and the filter of "
            "system calls are between it and what root may do");
    if (r->server->monitor)
        log_info("mode monitor: what the policy does not allow leaves all the same, and is recorded");
    run_publish_tell(r->plan.jail);
    say_unseen_programs(r);
}

static void say_opaque(const struct run_opaque *o, const char *one, const char *of)
{
    if (o->count)
        log_info("not inspected: %" PRIu64 " %s%s%s, %" PRIu64 " bytes out of the jail, %" PRIu64 " into it",
                 o->count, one, o->count == 1 ? "" : "s", of, o->out, o->in);
}

static void say_summary(const struct run *r)
{
    struct run_summary s;
    struct err e;
    struct run_head head;
    char reasons[1000];
    if (r->server->kind->summary(r->server, &s, &head, &e) < 0) {
        log_error("there is no summary: %s", e.text);
        return;
    }
    run_summary_reasons(&s, reasons, sizeof reasons);
    log_info("%" PRIu64 " request%s allowed, %" PRIu64 " blocked%s%s%s; %" PRIu64 " bytes sent", s.allowed,
             s.allowed == 1 ? "" : "s", s.blocked, s.blocked ? " (" : "", reasons, s.blocked ? ")" : "",
             s.sent);
    if (s.would_block)
        log_info("mode monitor: %" PRIu64 " of them left that the policy would block", s.would_block);
    say_opaque(&s.tunnels, "tunnel", " (tls: passthrough)");
    say_opaque(&s.services, "connection", " of services and published ports");
    if (s.unanswered)
        log_info("nothing listened for %" PRIu64 " of them, the last to %s: does that program run?", s.unanswered,
                 s.unanswered_url);
    log_info("log %s, last record %" PRIu64 ":%s, seals by key %s", head.log, head.seq, head.hash, head.seal_key);
}

static void remove_trust(const struct run *r)
{
    const struct trustfiles *trust = r->server ? r->server->trust : NULL;
    if (!trust)
        return;
    unlink(trust->ca);
    unlink(trust->bundle);
    unlink(trust->java);
}

/* Returns what to exit with where the command has not started. */
static int start(struct run *r, struct err *e)
{
    if (make_places(r, e) < 0 || start_server(r, e) < 0 || plan_mounts(r, e) < 0)
        return RUN_FAILED;
    if (!r->o->quiet)
        say_what_holds(r);
    return start_jail(r, e);
}

/* The log of a run that failed ends with its stop record, as every other. */
static void wind_up(struct run *r)
{
    run_session_stop(&r->session);
    run_publish_close(&r->publish);
    jail_kill(&r->jail);
    if (!r->server || r->ended || (!r->awaited && await_proxy(r, NULL) < 0))
        return;
    r->server->kind->remove(r->server);
    r->server->kind->stop(r->server, true);
    if (!r->ended)
        loop_run(r->loop);
}

static int run(struct run *r)
{
    struct err e = {0};
    int status = RUN_FAILED;
    if (run_plan_find(&r->plan, r->o, &status, &e) < 0) {
        log_error("%s", e.text);
        return status;
    }
    status = start(r, &e);
    if (status != 0) {
        if (r->findings == 0)
            log_error("%s", e.text);
        wind_up(r);
        return status;
    }
    r->started = true;
    loop_run(r->loop);
    if (!r->o->quiet)
        say_summary(r);
    return r->status;
}

static int dry_run(const struct run_options *o)
{
    struct run r = {.o = o};
    struct err e = {0};
    int status = RUN_FAILED;
    if (run_plan_find(&r.plan, o, &status, &e) < 0 || state_path("", r.state, &e) < 0 ||
        run_plan_mounts(&r.plan, &(struct run_places){.state = r.state, .trusted = r.state, .run = r.state}, &e) < 0 ||
        run_plan_print(&r.plan, o->json, &e) < 0)
        log_error("%s", e.text);
    else
        status = 0;
    run_plan_clear(&r.plan);
    return status;
}

int run_command(const struct run_options *o)
{
    log_set_name("exeat run");
    if (o->dry_run)
        return dry_run(o);
    struct run r = {.o = o,
                    .loop = loop_new(true),
                    .status = RUN_FAILED,
                    .jail = JAIL_NONE,
                    .lock = -1,
                    .cache_lock = -1};
    if (!r.loop) {
        log_error("no event loop");
        return RUN_FAILED;
    }
    read_test_hooks(&r);
    signal(SIGPIPE, SIG_IGN); /* who reads what we say may leave; the end is looked at all the same */
    int status = run(&r);
    jail_kill(&r.jail);
    look_at_files(&r);
    remove_trust(&r);
    if (r.server)
        r.server->kind->free(r.server);
    if (r.private[0])
        rmdir(r.private); /* after all that lay in it */
    fd_auto_close(&r.lock);
    sweep_caches(&r);
    run_plan_clear(&r.plan);
    loop_free(r.loop);
    return status;
}
