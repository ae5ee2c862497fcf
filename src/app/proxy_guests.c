#include "app/proxy_guests.h"

#include "app/config_control.h"
#include "base/clock.h"
#include "base/log.h"
#include "policy/jail.h"
#include "policy/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A rule has two counters, the task three.  A policy may be changed, and those of the old one stay. */
enum { COUNTERS = 512, COUNTERS_PER_RULE = 2, COUNTERS_OF_TASK = 3, LIMITED_RULES = 120 };

/* What a run has spent lives as long as anything that may count in it: its limits are for the run. */
struct purse {
    _Atomic unsigned refs;
    void *memory;
    struct budgets *budgets;
};

struct guest {
    struct list node;
    unsigned id, uid;
    enum config_mode mode;
    struct bundle *texts;
    struct policy *policy; /* NULL: not acceptable any more */
    struct purse *purse;
    char owner[16]; /* "1000/": no task of the configuration is called so */
    char task[];
};

void proxy_guests_init(struct proxy_guests *g)
{
    list_init(&g->all);
    g->count = 0;
}

/* --- budgets --- */

static void purse_free(void *what)
{
    struct purse *p = what;
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    budgets_free(p->budgets);
    free(p->memory);
    free(p);
}

/* What does not fit has to be found now: a snapshot that cannot be made would be one for all tasks. */
static int check_limits(const struct purse *purse, const struct policy *policy, struct err *e)
{
    size_t limited = 0;
    for (size_t i = 0; i < policy_rule_count(policy); i++) {
        const struct policy_limits *l = policy_rule_limits(policy_rule_at(policy, i));
        limited += limits_any(l->upload) || limits_any(l->requests) || l->idle_ns != 0;
    }
    size_t wanted = limited * COUNTERS_PER_RULE + COUNTERS_OF_TASK;
    if (limited > LIMITED_RULES || budgets_count(purse->budgets) + wanted > COUNTERS)
        return err_set(e, "%s: more than %d rules with `limits`, over all changes of the policy",
                       policy_file(policy), LIMITED_RULES);
    return 0;
}

static struct purse *purse_new(const struct budgets *like, struct err *e)
{
    int64_t now = clock_mono_ns();
    struct purse *p = calloc(1, sizeof *p);
    size_t size = budgets_bytes(COUNTERS);
    if (!p || !(p->memory = calloc(1, size)) || budgets_attach(p->memory, size, &p->budgets, e) < 0) {
        free(p ? p->memory : NULL);
        free(p);
        err_set(e, "no memory for its budgets");
        return NULL;
    }
    atomic_init(&p->refs, 1);
    budgets_set_clock(p->budgets, budgets_now(like, now), now);
    return p;
}

/* --- policies --- */

struct first {
    struct err *e;
    bool told;
};

static void note_first(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    struct first *f = arg;
    if (f->told)
        return;
    f->told = true;
    if (line)
        err_set(f->e, "%s:%u:%u: %s", file, line, column, message);
    else
        err_set(f->e, "%s: %s", file, message);
}

static int check_rule(const struct policy_rule *r, const struct config *c, struct err *e)
{
    size_t count;
    const struct policy_net *nets = policy_rule_addresses(r, &count);
    struct policy_rule_info info;
    policy_rule_info(r, &info);
    for (size_t i = 0; i < count; i++)
        if (!config_control_lends(c, &nets[i]))
            return err_set(e,
                           "%s:%u:1: rule \"%s\": `addresses`: whoever runs this proxy lends no such network "
                           "(`control: {addresses: […]}` of its configuration)",
                           info.file, info.line, info.name);
    return 0;
}

/* What a policy may not say where somebody else's proxy acts for it. */
static int check_policy(const struct policy *p, const struct config *c, struct err *e)
{
    const struct policy_jail *jail = policy_jail(p);
    if (jail->service_count)
        return err_set(
            e, "%s:%u:%u: `services` go with a run's own proxy, not with --daemon: nobody would judge them",
            policy_file(p), jail->services[0].line, jail->services[0].column);
    if (jail->publish_count)
        return err_set(
            e, "%s:%u:%u: `publish` goes with a run's own proxy, not with --daemon: nobody would judge it",
            policy_file(p), jail->publish[0].line, jail->publish[0].column);
    for (size_t i = 0; i < policy_rule_count(p); i++)
        if (check_rule(policy_rule_at(p, i), c, e) < 0)
            return -1;
    return 0;
}

static int compile(struct guest *g, struct bundle *texts, const struct guest_options *o, struct policy **ret,
                   struct err *e)
{
    struct load_policy from = {.texts = texts, .site = o->site, .task = o->task, .mode = g->mode};
    struct first first = {.e = e};
    AUTO(policy) *p = NULL;
    if (!bundle_find(texts, BUNDLE_POLICY, NULL, &from.file).ptr)
        return err_set(e, "no policy");
    if (load_policy(&from, note_first, &first, &p, NULL) < 0)
        return first.told ? -1 : err_set(e, "%s: does not load", from.file);
    if (check_policy(p, o->load->config, e) < 0)
        return -1;
    if (!g->purse && !(g->purse = purse_new(o->budgets, e)))
        return -1;
    if (check_limits(g->purse, p, e) < 0)
        return -1;
    atomic_fetch_add(&g->purse->refs, 1);
    if (policy_on_free(p, purse_free, g->purse) < 0)
        return err_set(e, "no memory");
    *ret = TAKE(p);
    return 0;
}

/* --- the list --- */

static struct guest *find(const struct proxy_guests *g, unsigned id)
{
    LIST_FOREACH(it, &g->all)
    if (LIST_ENTRY(it, struct guest, node)->id == id)
        return LIST_ENTRY(it, struct guest, node);
    return NULL;
}

static bool is_taken(const struct proxy_guests *g, const char *task)
{
    LIST_FOREACH(it, &g->all)
    if (strcmp(LIST_ENTRY(it, struct guest, node)->task, task) == 0)
        return true;
    return false;
}

static void guest_free(struct guest *g)
{
    list_remove(&g->node);
    policy_free(g->policy);
    purse_free(g->purse);
    bundle_free(g->texts);
    free(g);
}

void proxy_guests_clear(struct proxy_guests *all)
{
    LIST_FOREACH(it, &all->all)
    guest_free(LIST_ENTRY(it, struct guest, node));
    all->count = 0;
}

static int change(struct guest *g, const struct guest_options *o, struct err *e)
{
    AUTO(bundle) *texts = NULL;
    struct policy *policy;
    if (bundle_open(o->bundle, &texts, e) < 0 || compile(g, texts, o, &policy, e) < 0)
        return -1;
    bundle_free(g->texts);
    policy_free(g->policy);
    g->texts = TAKE(texts);
    g->policy = policy;
    return 0;
}

int proxy_guests_add(struct proxy_guests *all, const struct guest_options *o, struct err *e)
{
    size_t size = strlen(o->task) + 1;
    if (is_taken(all, o->task))
        return err_set(e, "a task called %s runs already: name another one with --task", o->task);
    struct guest *g = calloc(1, sizeof *g + size);
    if (!g)
        return err_set(e, "no memory for another task");
    g->id = o->id;
    g->uid = o->uid;
    g->mode = o->mode;
    memcpy(g->task, o->task, size);
    snprintf(g->owner, sizeof g->owner, "%u/", o->uid);
    list_init(&g->node);
    if (change(g, o, e) < 0) {
        guest_free(g);
        return -1;
    }
    list_insert(&all->all, &g->node);
    all->count++;
    return 0;
}

int proxy_guests_change(struct proxy_guests *all, const struct guest_options *o, struct err *e)
{
    struct guest *g = find(all, o->id);
    if (!g)
        return err_set(e, "there is no such task any more");
    struct guest_options mine = *o;
    mine.task = g->task;
    return change(g, &mine, e);
}

bool proxy_guests_remove(struct proxy_guests *all, unsigned id)
{
    struct guest *g = find(all, id);
    if (!g)
        return false;
    guest_free(g);
    all->count--;
    return true;
}

const char *proxy_guests_task(const struct proxy_guests *all, unsigned id)
{
    const struct guest *g = find(all, id);
    return g ? g->task : NULL;
}

void proxy_guests_judge_again(struct proxy_guests *all, const struct load *load, const struct bundle *site)
{
    LIST_FOREACH(it, &all->all)
    {
        struct guest *g = LIST_ENTRY(it, struct guest, node);
        const struct guest_options o = {.task = g->task, .load = load, .site = site};
        struct policy *policy = NULL;
        struct err e;
        if (compile(g, g->texts, &o, &policy, &e) < 0)
            log_warn("task %s: its policy does not hold any more, and nothing is let through: %s", g->task,
                     e.text);
        policy_free(g->policy);
        g->policy = policy;
    }
}

int proxy_guests_settings(const struct proxy_guests *all, const struct proxy_settings *from,
                          struct proxy_settings *ret, struct proxy_task_settings **ret_tasks, struct err *e)
{
    size_t count = from->task_count;
    struct proxy_task_settings *tasks = calloc(count + all->count + 1, sizeof *tasks);
    if (!tasks)
        return err_set(e, "no memory for the tasks");
    if (count)
        memcpy(tasks, from->tasks, count * sizeof *tasks);
    LIST_FOREACH(it, &all->all)
    {
        const struct guest *g = LIST_ENTRY(it, struct guest, node);
        tasks[count++] = (struct proxy_task_settings){.name = g->task,
                                                      .policy = g->policy,
                                                      .jailed = true,
                                                      .budgets = g->purse->budgets,
                                                      .owner = g->owner,
                                                      .heads = LIMIT_HEADS_BYTES};
    }
    *ret = *from;
    ret->tasks = *ret_tasks = tasks;
    ret->task_count = count;
    return 0;
}
