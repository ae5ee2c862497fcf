#include "app/run_plan.h"

#include "app/browser.h"
#include "app/role.h"
#include "app/run_env.h"
#include "app/run_kept.h"
#include "app/signals.h"
#include "base/io.h"
#include "policy/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_BYTES = 32 << 20, TRUST_BYTES = 8 << 20, WRITE_MAX = 1000 };

#define TRUST_FOLDER "/run/exeat/"
static const struct trustfiles inside = {.ca = TRUST_FOLDER "ca.pem",
                                         .bundle = TRUST_FOLDER "ca-bundle.pem",
                                         .java = TRUST_FOLDER "truststore.jks"};

static char *keep(struct run_plan *p, const char *text, struct err *e)
{
    char *copy = text ? arena_printf(&p->arena, "%s", text) : NULL;
    if (!copy)
        err_set(e, "no memory");
    return copy;
}

/* --- who --- */

static int find_user(struct run_plan *p, struct err *e)
{
    struct stat st;
    if (stat(p->o->project, &st) < 0)
        return err_sys(e, "%s", p->o->project);
    /* Only root's choice, and a number that nobody has is looked for in every service of nsswitch.conf(5). */
    const struct passwd *taken = getuid() == 0 ? getpwuid(EXEAT_JAIL_UID) : NULL;
    const struct run_user_facts facts = {.uid = getuid(),
                                         .gid = getgid(),
                                         .owner = st.st_uid,
                                         .group = st.st_gid,
                                         .as_root = p->o->as_root,
                                         .taken = taken ? taken->pw_name : NULL};
    return run_user_choose(&facts, &p->who, e);
}

/* A user who stands for root has root's home, and no name of root's. */
static int find_home(struct run_plan *p, struct err *e)
{
    const struct passwd *entry = getpwuid(p->who.for_root ? 0 : p->who.uid);
    struct run_user_account account = {0};
    struct run_user_home home = {.home = getenv("HOME")};
    struct stat st;
    if (entry)
        account = (struct run_user_account){
            .name = p->who.for_root ? NULL : entry->pw_name, .home = entry->pw_dir, .group = entry->pw_gid};
    home.known = home.home && stat(home.home, &st) == 0 && S_ISDIR(st.st_mode);
    home.owner = home.known ? st.st_uid : 0;
    p->who.gid = run_user_group(&p->who, &account);
    p->home = keep(p, run_user_home(&p->who, &account, &home), e);
    p->user = keep(p, account.name ? account.name : "user", e);
    return p->home && p->user ? 0 : -1;
}

/* --- what and where --- */

static int check_executable(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno;
    if (S_ISDIR(st.st_mode))
        return EACCES;
    return access(path, X_OK) < 0 ? errno : 0;
}

/* As execvp(3), but relative folders of PATH do not count: what they hold is the project's word; and a folder
 * that may not be looked into has no command. */
static int search_path(struct run_plan *p, const char *name, const char **ret)
{
    const char *path = getenv("PATH");
    int why = ENOENT;
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    while (*path) {
        size_t len = strcspn(path, ":");
        const char *full = *path == '/' ? arena_printf(&p->arena, "%.*s/%s", (int)len, path, name) : NULL;
        int result = full ? check_executable(full) : ENOENT;
        if (full && result == 0) {
            *ret = full;
            return 0;
        }
        if (result == EACCES && access(full, F_OK) == 0)
            why = EACCES;
        path += len + (path[len] == ':');
    }
    return why;
}

static int find_command(struct run_plan *p, int *ret_status, struct err *e)
{
    const char *name = p->o->command[0];
    int why;
    if (strchr(name, '/')) {
        p->path = name[0] == '/' ? keep(p, name, e) : arena_printf(&p->arena, "%s/%s", p->directory, name);
        why = p->path ? check_executable(p->path) : ENOMEM;
    } else {
        why = name[0] ? search_path(p, name, &p->path) : ENOENT;
    }
    if (why == 0)
        return 0;
    *ret_status = why == ENOENT || why == ENOTDIR ? RUN_NOT_FOUND : RUN_CANNOT_EXECUTE;
    errno = why;
    return why == ENOENT ? err_set(e, "%s: command not found", name) : err_sys(e, "%s", name);
}

static int find_directory(struct run_plan *p, struct err *e)
{
    char path[RUN_PATH_BYTES];
    if (!getcwd(path, sizeof path))
        return err_sys(e, "the working directory");
    p->directory = keep(p, path, e);
    return p->directory ? 0 : -1;
}

int run_plan_find(struct run_plan *p, const struct run_options *o, int *ret_status, struct err *e)
{
    char init[RUN_PATH_BYTES];
    *p = (struct run_plan){.o = o,
                           .jail = policy_jail(o->policy),
                           .landlock = run_walls_landlock(),
                           .arena = ARENA_INIT(ARENA_BYTES),
                           .bundle = BUF_INIT(TRUST_BYTES),
                           .java = BUF_INIT(TRUST_BYTES),
                           .ca = BUF_INIT(TRUST_BYTES),
                           .chromium = BUF_INIT(TRUST_BYTES),
                           .firefox = BUF_INIT(TRUST_BYTES)};
    if (find_user(p, e) < 0 || find_home(p, e) < 0 || find_directory(p, e) < 0 ||
        find_command(p, ret_status, e) < 0 || role_find("init", init, e) < 0)
        return -1;
    p->init = keep(p, init, e);
    return p->init ? 0 : -1;
}

struct run_walls_facts run_plan_facts(const struct run_plan *p)
{
    return (struct run_walls_facts){.explicit_only = p->jail->network == POLICY_NETWORK_EXPLICIT,
                                    .debug = p->jail->debug,
                                    .landlock = p->landlock,
                                    .user = &p->who};
}

void run_plan_clear(struct run_plan *p)
{
    mounts_free(p->mounts);
    buf_free(&p->bundle);
    buf_free(&p->java);
    buf_free(&p->ca);
    buf_free(&p->chromium);
    buf_free(&p->firefox);
    arena_free(&p->arena);
    *p = (struct run_plan){0};
}

/* --- what it may see --- */

static void add_text(struct run_plan *p, const char *to, struct slice text)
{
    if (to && p->text_count < RUN_TEXTS_MAX)
        p->texts[p->text_count++] =
            (struct mounts_text){.to = to, .text = text.ptr ? text.ptr : "", .len = text.len};
}

/* A link leads to a path that is in the table itself, or into what we cannot replace. */
static void add_over(struct run_plan *p, const char *path, struct slice text)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        add_text(p, path, text);
}

static int read_trust(struct run_plan *p, const struct trustfiles *trust, struct err *e)
{
    if (!trust)
        return 0;
    if (io_read_file(trust->bundle, &p->bundle, e) < 0 || io_read_file(trust->java, &p->java, e) < 0 ||
        io_read_file(trust->ca, &p->ca, e) < 0)
        return -1;
    if (browser_chromium_policy(buf_slice(&p->ca), &p->chromium) < 0 ||
        browser_firefox_policy(inside.ca, &p->firefox) < 0)
        return err_set(e, "%s: not a certificate that browsers could be told of", trust->ca);
    return 0;
}

static void add_texts(struct run_plan *p)
{
    struct slice bundle = buf_slice(&p->bundle), java = buf_slice(&p->java);
#define TEXT(path, text)    add_text(p, path, SLICE(text));
#define IN_HOME(path, text) add_text(p, arena_printf(&p->arena, "%s/%s", p->home, path), SLICE(text));
#define BUNDLE(path)        add_over(p, path, bundle);
#define JAVA(path)          add_over(p, path, java);
#define CHROMIUM(path)      add_text(p, path, buf_slice(&p->chromium));
#define FIREFOX(path)       add_text(p, path, buf_slice(&p->firefox));
#include "app/run_files.def"
#undef TEXT
#undef IN_HOME
#undef BUNDLE
#undef JAVA
#undef CHROMIUM
#undef FIREFOX
    add_text(p, inside.bundle, bundle);
    add_text(p, inside.java, java);
    add_text(p, inside.ca, buf_slice(&p->ca));
}

/* "~/x" and what is relative to the project, as absolute paths; `more` are absolute already. */
static const char *const *resolve(struct run_plan *p, const char *const *list, size_t count,
                                  const char *const *more)
{
    size_t extra = 0, n = 0;
    while (more && more[extra])
        extra++;
    const char **all = arena_array(&p->arena, count + extra + 1, sizeof *all);
    for (size_t i = 0; all && i < count; i++) {
        const char *path = list[i];
        if (path[0] == '~' && (path[1] == '/' || path[1] == '\0'))
            all[n] = arena_printf(&p->arena, "%s%s", p->home, path + 1);
        else
            all[n] = path[0] == '/' ? path : arena_printf(&p->arena, "%s/%s", p->o->project, path);
        if (!all[n++])
            return NULL;
    }
    for (size_t i = 0; all && i < extra; i++)
        all[n++] = more[i];
    return all;
}

static int find_kept(struct run_plan *p, struct err *e)
{
    const struct run_options *o = p->o;
    const struct run_kept_inputs in = {.state = p->state,
                                       .project = o->project,
                                       .task = o->task ? o->task : policy_task(o->policy),
                                       .policy_name = o->policy_name,
                                       .policy = o->policy,
                                       .uid = p->who.uid,
                                       .drop = p->who.drop};
    struct run_kept kept;
    if (run_kept_find(&p->arena, &in, &kept, e) < 0)
        return -1;
    p->mounts_options.cache = kept.cache;
    p->mounts_options.agent_state = kept.agent;
    return 0;
}

static int fill_mounts(struct run_plan *p, struct err *e)
{
    const struct policy_files *f = &p->jail->files;
    p->mounts_options = (struct mounts_options){
        .project = p->o->project,
        .home = p->home,
        .state = p->state,
        .uid = p->who.uid,
        .gid = p->who.gid,
        .for_root = p->who.for_root,
        .kept = p->who.drop ? RUN_SHARED "/repositories" : NULL,
        .user = p->user,
        .read = resolve(p, f->read, f->read_count, p->o->ro),
        .write = resolve(p, f->write, f->write_count, p->o->rw),
        .hide = resolve(p, f->hide, f->hide_count, NULL),
        .write_written = f->write_written,
        .agent = f->agent,
        .run = p->run,
        .command = p->path,
        .path = getenv("PATH"),
        .never = p->never,
        .texts = p->texts,
        .text_count = p->text_count,
        .init = p->init,
    };
    const struct mounts_options *o = &p->mounts_options;
    return o->read && o->write && o->hide ? find_kept(p, e) : err_set(e, "too many paths in `files`");
}

/* Landlock's second word on what the mounts say. */
static int list_writable(struct run_plan *p, struct err *e)
{
    size_t count, n = 0;
    const struct mount_op *ops = mounts_ops(p->mounts, &count);
    const char **list = arena_array(&p->arena, count + 1, sizeof *list);
    for (size_t i = 0; list && i < count && n < WRITE_MAX; i++)
        if (ops[i].kind == MOUNT_WRITE || ops[i].kind == MOUNT_TMPFS || ops[i].kind == MOUNT_PROC ||
            ops[i].kind == MOUNT_DEV)
            list[n++] = ops[i].to;
    p->write = list;
    return list ? 0 : err_set(e, "too many mounts");
}

static int make_environment(struct run_plan *p, struct err *e)
{
    const char *const *of_mounts;
    if (mounts_environment(p->mounts, &p->arena, &of_mounts, e) < 0)
        return -1;
    const struct env_inputs proxy = {.proxy_host = "127.0.0.1",
                                     .proxy_port = NETWORK_PROXY_PORT,
                                     .bundle = inside.bundle,
                                     .ca = inside.ca,
                                     .trust_store = inside.java,
                                     .jailed = true};
    const struct run_env_inputs in = {.caller = environ,
                                      .jail = p->jail,
                                      .proxy = &proxy,
                                      .home = p->home,
                                      .user = p->user,
                                      .directory = p->directory,
                                      .more = of_mounts,
                                      .keep = mounts_agent_logins(p->jail->files.agent)};
    return run_environment(&p->arena, &in, &p->environment, &p->dropped, e);
}

static int keep_places(struct run_plan *p, const struct run_places *places, struct err *e)
{
    static const char *const ours[] = {EXEAT_SYSCONFDIR, EXEAT_DATADIR, EXEAT_LOCALSTATEDIR "/lib/exeat",
                                       EXEAT_LOCALSTATEDIR "/log/exeat"};
    p->state = keep(p, places->state, e);
    p->run = keep(p, places->run, e);
    if (!p->state || !p->run)
        return -1;
    memcpy(p->never, ours, sizeof ours);
    size_t n = ARRAY_LEN(ours);
    if (p->o->config)
        p->never[n++] = p->o->config;
    if (!(p->never[n++] = keep(p, places->trusted, e)))
        return -1;
    if (!places->log)
        return 0;
    char *folder = keep(p, places->log, e);
    char *end = folder ? strrchr(folder, '/') : NULL;
    if (end)
        *end = '\0';
    p->never[n] = end && end > folder ? folder : NULL;
    return folder ? 0 : -1;
}

int run_plan_mounts(struct run_plan *p, const struct run_places *places, struct err *e)
{
    if (keep_places(p, places, e) < 0 || read_trust(p, places->trust, e) < 0)
        return -1;
    add_texts(p);
    if (fill_mounts(p, e) < 0 || mounts_plan(&p->mounts_options, &p->mounts, e) < 0)
        return -1;
    return list_writable(p, e) < 0 ? -1 : make_environment(p, e);
}

void run_plan_jail(const struct run_plan *p, struct jail_options *ret)
{
    *ret = (struct jail_options){
        .network = {.explicit_only = p->jail->network == POLICY_NETWORK_EXPLICIT,
                    .uid = p->who.uid,
                    .gid = p->who.gid},
        .drop = p->who.drop,
        .for_root = p->who.for_root,
        .project = p->o->project,
        .home = p->home,
        .private = p->run,
        .bubblewrap = EXEAT_BUBBLEWRAP,
        .mounts = p->mounts,
        .init = MOUNTS_INIT,
        .path = p->path,
        .directory = p->directory,
        .arguments = (const char *const *)p->o->command,
        .environment = p->environment,
        .write = p->write,
        .landlock = p->landlock,
        .debug = p->jail->debug,
    };
    for (size_t i = 0; i < p->jail->service_count && i < NETWORK_SERVICES_MAX; i++)
        ret->network.services[ret->network.service_count++] = p->jail->services[i].port;
    signals_found(&ret->ignored, &ret->blocked);
}

/* An executable that was found outside: what is missing inside is it, or what it is run by. */
void run_plan_explain_exec(const struct run_plan *p, int why, struct err *e)
{
    if (why == ENOENT && p->mounts && mounts_explain_missing(p->mounts, p->path, e) < 0)
        return;
    if (why == ENOENT)
        err_set(e,
                "%s: it, or what runs it (its first line, its loader), is not inside the jail: "
                "add its folder to the policy, `files: {read: [DIR]}`, or to the command, --ro DIR",
                p->path);
    else
        err_set(e, "%s: cannot execute: %s", p->path, strerror(why));
}
