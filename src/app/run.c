#include "app/run.h"

#include "app/folders.h"
#include "app/run_child.h"
#include "app/run_config.h"
#include "app/run_summary.h"
#include "app/supervisor.h"
#include "base/crypto.h"
#include "base/log.h"

#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TOKEN_RANDOM = 16, CONFIG_BYTES = 64 << 10 };
#define CONFIG_NAME "exeat run"

struct run {
    const struct run_options *o;
    struct loop *loop;
    struct supervisor *supervisor;
    struct policy *policy;
    struct loop_child child;
    char id[RUN_ID_BYTES];
    char state[PATH_MAX - 100], log[PATH_MAX],
        private[PATH_MAX]; /* private: the trust files, gone at the end */
    char token[2 * TOKEN_RANDOM + 1];
    struct buf config;
    struct files_given given[2];
    unsigned findings;
    bool proxy_lost, ended;
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

/* --- before --- */

/* XDG base directories: a relative path in the variable counts as unset. */
static int find_state(struct run *r, struct err *e)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int n;
    if (!home || home[0] != '/') {
        const struct passwd *user = getpwuid(getuid());
        home = user ? user->pw_dir : NULL;
    }
    if (state && state[0] == '/')
        n = snprintf(r->state, sizeof r->state, "%s/exeat", state);
    else if (home && home[0] == '/')
        n = snprintf(r->state, sizeof r->state, "%s/.local/state/exeat", home);
    else
        return err_set(e, "no home directory: set XDG_STATE_HOME to where the audit log may lie");
    return n > 0 && (size_t)n < sizeof r->state ? 0 : err_set(e, "the state directory's path is too long");
}

static int make_places(struct run *r, struct err *e)
{
    char audit[PATH_MAX];
    if (find_state(r, e) < 0)
        return -1;
    if (supervisor_make_run(r->id) < 0)
        return err_set(e, "no randomness for the run's id");
    snprintf(audit, sizeof audit, "%s/audit", r->state);
    snprintf(r->log, sizeof r->log, "%s/audit/%s.jsonl", r->state, r->id);
    snprintf(r->private, sizeof r->private, "%s/runs/%s", r->state, r->id);
    return folders_make(audit, e) < 0 || folders_make(r->private, e) < 0 ? -1 : 0;
}

static int make_token(struct run *r, struct err *e)
{
    uint8_t random[TOKEN_RANDOM];
    if (crypto_random(random, sizeof random) < 0)
        return err_set(e, "no randomness for a token");
    crypto_hex(random, sizeof random, r->token);
    return 0;
}

/* The configuration strips "./" of paths, and given texts are found by their path. */
static const char *plain_name(const char *name)
{
    while (strncmp(name, "./", 2) == 0 && name[2])
        name += 2;
    return name;
}

static int make_config(struct run *r, struct err *e)
{
    const char *policy = plain_name(r->o->policy_name);
    const struct run_config c = {
        .state = r->state,
        .audit_file = r->log,
        .task = r->o->task ? r->o->task : policy_task(r->policy),
        .policy = policy,
        .token = r->token,
        .mode = r->o->mode,
    };
    r->config = BUF_INIT(CONFIG_BYTES);
    if (run_config_write(&c, &r->config) < 0)
        return err_set(e, "the paths of this run are too long");
    r->given[0] = (struct files_given){CONFIG_NAME, buf_slice(&r->config)};
    r->given[1] = (struct files_given){policy, r->o->policy};
    return 0;
}

static void on_end(void *arg, enum supervisor_end end)
{
    struct run *r = arg;
    r->ended = true;
    r->proxy_lost = end == SUPERVISOR_PROXY_LOST;
    if (r->proxy_lost)
        log_error("the proxy has died: the command has no network any more");
    if (!r->child.loop)
        loop_stop(r->loop);
}

static int prepare(struct run *r, struct err *e)
{
    if (policy_compile(r->o->policy_name, r->o->policy, r->o->default_task, print_problem, r, &r->policy, e) <
        0)
        return -1;
    if (make_places(r, e) < 0 || make_token(r, e) < 0 || make_config(r, e) < 0)
        return -1;
    const struct supervisor_options options = {
        .files = {.config = CONFIG_NAME,
                  .given = r->given,
                  .given_count = ARRAY_LEN(r->given),
                  .report = print_problem,
                  .arg = r},
        .run = r->id,
        .ephemeral_ca = true,
        .trust_dir = r->private,
        .ended = on_end,
        .arg = r,
    };
    return supervisor_start(r->loop, &options, &r->supervisor, e);
}

/* --- the command --- */

static void on_child_end(struct loop_child *child, int status)
{
    struct run *r = CONTAINER_OF(child, struct run, child);
    if (!WIFEXITED(status) && !WIFSIGNALED(status))
        return; /* stopped or continued */
    run_child_forget();
    r->status = run_child_exit(status);
    loop_child_stop(child);
    r->child.loop = NULL;
    if (r->ended)
        loop_stop(r->loop);
    else
        supervisor_stop(r->supervisor, false);
}

static void say_what_holds(const struct run *r)
{
    const struct load *load = supervisor_load(r->supervisor);
    log_info("there is no jail in this version: only the environment leads %s through the proxy",
             r->o->command[0]);
    if (policy_mode(load->policies[0]) == POLICY_MONITOR)
        log_info("mode monitor: what the policy does not allow leaves all the same, and is recorded");
}

static int start_command(struct run *r, struct err *e)
{
    const struct listeners *l = supervisor_listeners(r->supervisor);
    const struct trustfiles *trust = supervisor_trust(r->supervisor);
    const struct load *load = supervisor_load(r->supervisor);
    const struct env_inputs env = {
        .proxy_host = "127.0.0.1",
        .proxy_port = l->addresses[0].port,
        .task = load->config->tasks[0].name,
        .token = slice_str(r->token),
        .bundle = trust->bundle,
        .ca = trust->ca,
        .trust_store = trust->java,
    };
    say_what_holds(r);
    pid_t pid = run_child_start(r->o->command, &env, e);
    if (pid < 0)
        return -1;
    loop_child_init(&r->child, r->loop, pid, on_child_end);
    return 0;
}

/* --- after --- */

static void say_summary(const struct run *r)
{
    struct run_summary s;
    struct err e;
    char reasons[1000], hash[65];
    uint64_t seq;
    if (run_summary_read(r->log, &s, &e) < 0) {
        log_error("the log cannot be read: %s", e.text);
        return;
    }
    run_summary_reasons(&s, reasons, sizeof reasons);
    log_info("%" PRIu64 " request%s allowed, %" PRIu64 " blocked%s%s%s", s.allowed, s.allowed == 1 ? "" : "s",
             s.blocked, s.blocked ? " (" : "", reasons, s.blocked ? ")" : "");
    if (s.would_block)
        log_info("mode monitor: %" PRIu64 " of them left that the policy would block", s.would_block);
    supervisor_head(r->supervisor, &seq, hash);
    log_info("log %s, last record %" PRIu64 ":%s", r->log, seq, hash);
}

static void remove_private(struct run *r)
{
    const struct trustfiles *trust = r->supervisor ? supervisor_trust(r->supervisor) : NULL;
    if (r->private[0] == '\0')
        return;
    if (trust) {
        unlink(trust->ca);
        unlink(trust->bundle);
        unlink(trust->java);
    }
    rmdir(r->private);
}

static int run(struct run *r)
{
    struct err e = {0};
    if (prepare(r, &e) < 0 || start_command(r, &e) < 0) {
        if (r->findings == 0)
            log_error("%s", e.text);
        return RUN_FAILED;
    }
    loop_run(r->loop);
    if (!r->o->quiet)
        say_summary(r);
    return r->status;
}

int run_command(const struct run_options *o)
{
    struct run r = {.o = o, .loop = loop_new(true), .status = RUN_FAILED};
    log_set_name("exeat run");
    if (!r.loop) {
        log_error("no event loop");
        return RUN_FAILED;
    }
    int status = run(&r);
    remove_private(&r);
    supervisor_free(r.supervisor);
    policy_free(r.policy);
    buf_free(&r.config);
    loop_free(r.loop);
    return status;
}
