/* exeat reload: let what runs read its policies again, and say what that changes.
 *
 * A daemon reads its own files.  A run never reads its project again, since its jail may write there: the texts are
 * read here, outside, trusted by a person who sees the difference, and handed over as they were seen. */
#include "app/state.h"
#include "cli/commands.h"
#include "cli/daemon_config.h"
#include "cli/options.h"
#include "cli/project.h"
#include "cli/reload_call.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RUN_PATH_BYTES = STATE_PATH_BYTES + 80, TEXTS_BYTES = 64 << 20 };

struct reload_options {
    const char *config, *run, *policy;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct reload_options, config, "config", "FILE", "the proxy with this configuration (where the working directory has no policy: " DEFAULT_CONFIG ")"),
    OPTION_TEXT(struct reload_options, run, "run", "RUN", "this run (default: all of this project)"),
    OPTION_TEXT(struct reload_options, policy, "policy", "FILE", "the policy that the run was started with by --policy"),
};

static const struct option_usage usage = {
    .synopsis = "exeat reload [--policy FILE] [--run RUN]\n       exeat reload --config FILE",
    .about = "Lets `exeat run` of this project, or `exeat proxy`, take the policy as it is now, and prints what that\n"
             "changes.  All of it takes effect, or nothing.  A project's policy must be trusted first (`exeat trust`),\n"
             "or is asked for on a terminal.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

static int complain(const struct err *e)
{
    fprintf(stderr, "exeat reload: %s\n", e->text);
    return EXIT_ERROR;
}

/* --- a daemon --- */

static int reload_daemon(const char *path)
{
    struct err e;
    AUTO(config) *config = NULL;
    if (daemon_config_load("reload", path, &config) < 0)
        return EXIT_ERROR;
    int status = reload_call("reload", config->state, RELOAD_FILES, slice_str(NULL), &e);
    if (status == RELOAD_NOBODY)
        err_set(&e, "no proxy runs with this configuration (%s)", config->state);
    return status < 0 || status == RELOAD_NOBODY ? complain(&e) : status;
}

/* --- runs --- */

struct runs {
    const struct reload_options *o;
    const char *project;
    struct slice texts;
    unsigned reloaded;
    int status;
};

struct about {
    char project[RELOAD_LINE_BYTES];
};

static void note_about(void *arg, char level, struct slice line)
{
    struct about *a = arg;
    if (level == 'i')
        snprintf(a->project, sizeof a->project, "%.*s", SLICE_FMT(line));
}

static bool is_meant(const struct runs *r, const char *name, const char *dir)
{
    struct about about = {""};
    struct err e;
    int status;
    if (r->o->run)
        return strcmp(name, r->o->run) == 0;
    return reload_ask(dir, RELOAD_ABOUT, slice_str(NULL), note_about, &about, &status, &e) == 0 &&
           strcmp(about.project, r->project) == 0;
}

static void reload_one(struct runs *r, const char *name, const char *dir)
{
    struct err e;
    int status = reload_call("reload", dir, RELOAD_FILES, r->texts, &e);
    if (status == RELOAD_NOBODY)
        return;
    r->reloaded++;
    if (status < 0)
        status = complain(&e);
    else
        fprintf(stderr, "exeat reload: run %s: %s\n", name, status ? "not reloaded" : "done");
    if (status > r->status)
        r->status = status;
}

static int each_run(struct runs *r, struct err *e)
{
    char folder[STATE_PATH_BYTES], dir[RUN_PATH_BYTES];
    if (state_path(RELOAD_RUNS, folder, e) < 0)
        return -1;
    DIR *d = opendir(folder);
    if (!d)
        return errno == ENOENT ? 0 : err_sys(e, "%s: cannot open", folder);
    for (const struct dirent *entry; (entry = readdir(d));) {
        int n = snprintf(dir, sizeof dir, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && n > 0 && (size_t)n < sizeof dir && is_meant(r, entry->d_name, dir))
            reload_one(r, entry->d_name, dir);
    }
    closedir(d);
    return 0;
}

static int reload_runs(const struct reload_options *o, const struct project_policy *p)
{
    struct err e;
    AUTO_BUF texts = BUF_INIT(TEXTS_BYTES);
    struct runs r = {.o = o, .project = p->project.dir};
    if (!o->policy && project_policy_check_trust(p, &e) < 0)
        return complain(&e);
    if (trust_print(p->project.policy, "1970-01-01T00:00:00.000Z", p->files, p->file_count, &texts, &e) < 0)
        return complain(&e);
    r.texts = buf_slice(&texts);
    if (each_run(&r, &e) < 0)
        return complain(&e);
    if (r.reloaded == 0) {
        err_set(&e, o->run ? "there is no such run" : "nothing runs in this project (%s); a proxy is named by --config",
                p->project.dir);
        return complain(&e);
    }
    return r.status;
}

static int no_policy(const struct project_policy *p)
{
    struct err e;
    err_set(&e, "there is no policy (%s)", p->project.policy);
    return complain(&e);
}

static int start(const struct reload_options *o)
{
    struct project_policy p;
    struct err e;
    if (o->config)
        return reload_daemon(o->config);
    int found = project_policy_read(o->policy, NULL, &p, &e);
    if (found < 0)
        return complain(&e);
    /* Outside of every project it is the system's proxy that is meant. */
    int status = found == 1 && !o->run ? reload_daemon(NULL) : found == 1 ? no_policy(&p) : reload_runs(o, &p);
    project_policy_clear(&p);
    return status;
}

int cmd_reload(int argc, char **argv)
{
    struct reload_options o = {0};
    int first;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (first < argc)
        return options_wrong("reload", "unexpected word `%s`", argv[first]);
    if (o.config && (o.run || o.policy))
        return options_wrong("reload", "--config is about a proxy, --run and --policy about runs");
    return start(&o);
}
