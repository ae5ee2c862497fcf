/* The configuration of `exeat proxy`: text to typed values.
 *
 * Two stages.  config_parse is pure: it runs in the supervisor, which prints what is wrong, and again in
 * the proxy role, which opens no file.  The files that the configuration names (policies, tokens, roots)
 * are read by bundle.h.  Keys and defaults: interfaces.md 5; unknown keys are errors with the nearest
 * key, keys of capabilities that do not exist yet are refused by name. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "config/problems.h"
#include "policy/nets.h"
#include "proxy/settings.h"

/* Ceilings for what a configuration may ask for. */
enum { CONFIG_LISTENERS_MAX = 16, CONFIG_TASKS_MAX = 1000, CONFIG_WORKERS_MAX = 128 };

struct config_listen {
    struct fetch_address address; /* port 0: any that is free */
    unsigned line, column;
};

/* What the operator says about the mode of a task, over the policy's own word. */
enum config_mode { CONFIG_MODE_POLICY, CONFIG_MODE_ENFORCE, CONFIG_MODE_MONITOR };

/* Whether a changed policy file is read by itself, or only when asked for (SIGHUP, `exeat reload`). */
enum config_reload { CONFIG_RELOAD_WATCH, CONFIG_RELOAD_SIGNAL };

struct config_task {
    const char *name;
    const char *policy; /* path */
    enum config_mode mode;
    const char *token;      /* NULL: none written here */
    const char *token_file; /* path; NULL: none */
    struct proxy_source *sources;
    size_t source_count;
    bool jail; /* known by its jail's descriptors, and by nothing else */
    bool given; /* `policy` is the name of a text that came with the configuration, and no path */
    unsigned line, column;
};

/* All text lies in `arena`; every path is absolute or relative to the working directory of the process
 * (those of the file are relative to the file's folder). */
struct config {
    struct arena arena;
    const char *file; /* the name for messages */
    struct config_listen *listen;
    size_t listen_count;
    unsigned workers; /* 0: one a core */
    const char *state;
    struct {
        const char *file;
        uint64_t rotate;
        unsigned keep;       /* rotated files kept in any case */
        int64_t keep_age_ms; /* none younger is dropped */
        bool full_urls;
    } audit;
    struct {
        const char *cert, *key;
    } ca;
    enum proxy_blocked_connect blocked_connect;
    enum config_reload reload;
    struct {
        const char *ca_file; /* NULL: none */
        unsigned ca_line, ca_column;
        struct fetch_override *resolve;
        size_t resolve_count;
        struct fetch_proxy proxy;
        const char *proxy_credentials; /* path; NULL: none */
        unsigned proxy_line, proxy_column;
    } upstream;
    struct {
        const char *socket; /* path; NULL: nobody comes by himself */
        const char *group;  /* who may connect; NULL: every user of this machine */
        struct policy_net *addresses; /* internal networks that policies of others may name */
        size_t address_count;
        unsigned line, column;
    } control;
    const char *site; /* path of a policy whose deny rules and limits hold for every task; NULL: none */
    unsigned site_line, site_column;
    struct proxy_limits limits;
    struct proxy_timeouts timeouts;
    struct config_task *tasks;
    size_t task_count;
    bool has_tokens; /* secrets stand in this file: it should not be readable by everybody */
};

/* Pure.  Every finding goes to problems->report. */
MUST_USE int config_parse(struct slice text, struct problems *problems, struct config **ret);
/* Reads the file, and what it is called: a link counts as the file that it leads to, so that relative paths in it
 * start from where it lies.  `ret_name` has PATH_MAX bytes. */
MUST_USE int config_read(const char *path, char *ret_name, struct buf *text, struct err *e);
/* Reads and parses; findings are reported by `report` (may be NULL) and the first stands in *e. */
MUST_USE int config_load(const char *path, problem_report *report, void *report_arg, struct config **ret,
                         struct err *e);
void config_free(struct config *c);
DEFINE_AUTO(config)

/* Letters, digits, '.', '_' and '-'; at most 63: a name stands in URLs, file names and records. */
bool config_task_name_ok(struct slice name);
/* NULL where there is no such task. */
const struct config_task *config_find_task(const struct config *c, const char *name);
