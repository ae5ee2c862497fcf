#include "app/load.h"

#include "app/config_proxy.h"
#include "base/crypto.h"
#include "policy/model.h"
#include "tls/conn.h"

#include <stdlib.h>

struct loader {
    const struct bundle *bundle;
    struct load *load;
    struct problems problems;
    struct err *e;
};

static int parse(struct loader *l)
{
    const char *name = NULL;
    struct slice text = bundle_find(l->bundle, BUNDLE_CONFIG, NULL, &name);
    if (!text.ptr)
        return err_set(l->e, "bundle: without a configuration");
    l->problems.file = name;
    return config_parse(text, &l->problems, &l->load->config);
}

/* A token file's text without the one newline that editors leave at its end. */
static struct slice without_newline(struct slice text)
{
    return slice_ends(text, SLICE("\n")) ? slice_first(text, text.len - 1) : text;
}

static int set_token(struct loader *l, const struct config_task *t, struct proxy_task_settings *to)
{
    struct slice token = slice_str(t->token);
    if (t->token_file)
        token = without_newline(bundle_find(l->bundle, BUNDLE_TOKEN, t->token_file, NULL));
    else if (!t->token)
        return 0;
    if (token.len == 0)
        return problems_add(&l->problems, t->line, t->column, "%s: no token in it", t->token_file);
    if (memchr(token.ptr, '\n', token.len) || memchr(token.ptr, '\r', token.len))
        return problems_add(&l->problems, t->line, t->column, "%s: a token is one line", t->token_file);
    to->has_token = true;
    return crypto_sha256(token, to->token_sha256);
}

void load_set_mode(struct policy *p, enum config_mode mode)
{
    if (mode != CONFIG_MODE_POLICY)
        p->mode = mode == CONFIG_MODE_MONITOR ? POLICY_MONITOR : POLICY_ENFORCE;
}

/* Tasks with one policy and one mode share it: it is compiled once, and its problems are told once. */
static bool share_policy(struct loader *l, size_t i)
{
    const struct config_task *tasks = l->load->config->tasks;
    for (size_t j = 0; j < i; j++) {
        if (strcmp(tasks[j].policy, tasks[i].policy) != 0 || tasks[j].mode != tasks[i].mode)
            continue;
        l->load->policies[i] = l->load->policies[j] ? policy_ref(l->load->policies[j]) : NULL;
        return true;
    }
    return false;
}

/* What a policy extends stands in its bundle. */
static int find_extended(void *arg, enum policy_text_kind kind, const char *name, struct slice *ret_text,
                         struct err *e)
{
    const struct bundle *b = arg;
    struct slice text = bundle_find(b, BUNDLE_EXTENDED + (enum bundle_kind)kind, name, NULL);
    if (text.len == 0)
        return err_set(e, "%s: not in the bundle", name);
    if (text.ptr[0] != '+')
        return err_set(e, "%.*s", SLICE_FMT(slice_skip(text, 1)));
    *ret_text = slice_skip(text, 1);
    return 0;
}

int load_policy(const struct load_policy *from, problem_report *report, void *arg, struct policy **ret,
                struct err *e)
{
    union {
        const struct bundle *in;
        void *out;
    } texts = {.in = from->texts}; /* a look-up writes nothing */
    struct policy_source source = {.file = from->file,
                                   .text = bundle_find(from->texts, BUNDLE_POLICY, from->file, NULL),
                                   .default_task = from->task,
                                   .lookup = find_extended,
                                   .lookup_arg = texts.out};
    source.site_text = from->site ? bundle_find(from->site, BUNDLE_SITE, NULL, &source.site_file) : SLICE("");
    if (!source.text.ptr)
        return err_set(e, "%s: not in the bundle", from->file);
    if (policy_compile_source(&source, report, arg, ret, e) < 0)
        return -1;
    load_set_mode(*ret, from->mode);
    return 0;
}

static int compile(struct loader *l, size_t i)
{
    const struct config_task *t = &l->load->config->tasks[i];
    if (share_policy(l, i))
        return l->load->policies[i] ? 0 : -1;
    const struct load_policy from = {l->bundle, l->bundle, t->policy, t->name, t->mode};
    struct err *first = l->problems.count ? NULL : l->e;
    if (load_policy(&from, l->problems.report, l->problems.report_arg, &l->load->policies[i], first) < 0) {
        l->problems.count++;
        return -1;
    }
    return 0;
}

/* Its limits alone; and where there is no task nobody has compiled it yet: what is wrong with it is told at
 * the start, and not to the first run. */
static int check_site(struct loader *l)
{
    const char *name = NULL;
    struct slice text = bundle_find(l->bundle, BUNDLE_SITE, NULL, &name);
    AUTO(policy) *p = NULL;
    const struct policy_source alone = {.file = "", .text = SLICE(""), .site_file = name, .site_text = text};
    bool told = l->load->config->task_count > 0;
    if (!text.ptr)
        return 0;
    if (policy_compile_source(&alone, told ? NULL : l->problems.report, l->problems.report_arg, &p, l->e) <
        0) {
        l->problems.count++;
        return -1;
    }
    l->load->settings.owner = *policy_limits(p);
    return 0;
}

/* By its token a task is known: two with one would be one. */
static int check_token(struct loader *l, size_t i)
{
    const struct proxy_task_settings *tasks = l->load->tasks;
    const struct config_task *t = &l->load->config->tasks[i];
    for (size_t k = 0; tasks[i].has_token && k < i; k++)
        if (tasks[k].has_token && crypto_equal(tasks[k].token_sha256, tasks[i].token_sha256, SHA256_BYTES))
            return problems_add(&l->problems, t->line, t->column, "tasks `%s` and `%s` have the same token",
                                tasks[k].name, t->name);
    return 0;
}

static void load_task(struct loader *l, size_t i)
{
    const struct config_task *t = &l->load->config->tasks[i];
    if (compile(l, i) < 0)
        return; /* told */
    struct proxy_task_settings *to = &l->load->tasks[i];
    *to = (struct proxy_task_settings){.name = t->name,
                                       .policy = l->load->policies[i],
                                       .sources = t->sources,
                                       .source_count = t->source_count,
                                       .jailed = t->jail};
    if (set_token(l, t, to) < 0 || check_token(l, i) < 0)
        return; /* told */
}

static int load_tasks(struct loader *l)
{
    struct load *load = l->load;
    size_t count = load->config->task_count;
    load->policies = calloc(count + 1, sizeof(struct policy *));
    load->tasks = calloc(count + 1, sizeof(struct proxy_task_settings));
    if (!load->policies || !load->tasks)
        return err_set(l->e, "no memory");
    for (size_t i = 0; i < count; i++)
        load_task(l, i);
    return l->problems.count ? -1 : 0;
}

/* Where only jails are served, their commands wait for this proxy to start. */
static int make_trust(struct load *load, struct slice roots, struct slice extra, struct err *e)
{
    return load->config->listen_count == 0 ? tls_trust_later(roots, extra, &load->trust, e)
                                           : tls_trust_new(roots, extra, &load->trust, e);
}

static int load_trust(struct loader *l, enum load_depth depth)
{
    struct slice roots = bundle_find(l->bundle, BUNDLE_ROOTS, NULL, NULL);
    struct slice extra = bundle_find(l->bundle, BUNDLE_EXTRA_ROOTS, NULL, NULL);
    struct err why;
    if (depth == LOAD_CHECK && !extra.ptr)
        return 0;
    if (depth == LOAD_CHECK)
        roots = (struct slice){0};
    const struct config *c = l->load->config;
    if (make_trust(l->load, roots, extra, &why) < 0)
        return problems_add(&l->problems, extra.ptr ? c->upstream.ca_line : 0,
                            extra.ptr ? c->upstream.ca_column : 0, "%s: %s",
                            extra.ptr ? c->upstream.ca_file : "the system's roots", why.text);
    return 0;
}

static int load_proxy_credentials(struct loader *l)
{
    struct config *c = l->load->config;
    const char *path = c->upstream.proxy_credentials;
    if (!path)
        return 0;
    struct slice text = bundle_find(l->bundle, BUNDLE_TOKEN, path, NULL);
    const char *wrong = config_proxy_credentials(&c->arena, text, &c->upstream.proxy);
    return wrong ? problems_add(&l->problems, c->upstream.proxy_line, c->upstream.proxy_column, "%s: %s",
                                path, wrong)
                 : 0;
}

/* Only for who has no upstream.proxy: the others have said what they want. */
static int load_hint(struct loader *l)
{
    struct config *c = l->load->config;
    struct slice hint = bundle_find(l->bundle, BUNDLE_HINT, NULL, NULL);
    if (!hint.ptr || c->upstream.proxy.kind != FETCH_PROXY_NONE)
        return 0;
    l->load->settings.hint = arena_slice(&c->arena, hint).ptr;
    return l->load->settings.hint ? 0 : err_set(l->e, "no memory");
}

static void fill_settings(struct load *l)
{
    const struct config *c = l->config;
    struct policy_limits owner = l->settings.owner;
    limits_narrow(&owner, &c->limits.task);
    /* What is for a run counts for each run; an owner's tasks have no end that it could be for. */
    owner.upload[LIMIT_RUN].written = owner.requests[LIMIT_RUN].written = false;
    l->settings = (struct proxy_settings){
        .owner = owner,
        .tasks = l->tasks,
        .task_count = c->task_count,
        .overrides = c->upstream.resolve,
        .override_count = c->upstream.resolve_count,
        .proxy = c->upstream.proxy,
        .trust = l->trust,
        .blocked_connect = c->blocked_connect,
        .limits = c->limits,
        .timeouts = c->timeouts,
    };
}

int load_bundle(const struct bundle *b, enum load_depth depth, problem_report *report, void *arg,
                struct load **ret, struct err *e)
{
    AUTO(load) *load = calloc(1, sizeof *load);
    if (!load)
        return err_set(e, "no memory");
    struct loader l = {
        .bundle = b, .load = load, .problems = {.report = report, .report_arg = arg, .first = e}, .e = e};
    if (parse(&l) < 0 || load_tasks(&l) < 0 || check_site(&l) < 0 || load_trust(&l, depth) < 0 ||
        load_proxy_credentials(&l) < 0)
        return -1;
    fill_settings(load);
    if (load_hint(&l) < 0)
        return -1;
    *ret = TAKE(load);
    return 0;
}

void load_free(struct load *l)
{
    if (!l)
        return;
    for (size_t i = 0; l->policies && i < l->config->task_count; i++)
        policy_free(l->policies[i]);
    free(l->policies);
    free(l->tasks);
    tls_trust_free(l->trust);
    config_free(l->config);
    free(l);
}
