#include "app/proxy_policies.h"

#include <stdlib.h>

void proxy_policies_init(struct proxy_policies *p)
{
    *p = (struct proxy_policies){.generation = 0};
    proxy_guests_init(&p->guests);
}

void proxy_policies_clear(struct proxy_policies *p)
{
    proxy_guests_clear(&p->guests);
    load_free(p->load);
    bundle_free(p->bundle);
    p->load = NULL;
    p->bundle = NULL;
}

static int make(struct proxy_policies *p, const struct load *load, struct proxy_snapshot **ret, struct err *e)
{
    struct proxy_settings settings;
    struct proxy_task_settings *tasks;
    if (proxy_guests_settings(&p->guests, &load->settings, &settings, &tasks, e) < 0)
        return -1;
    settings.listeners = p->listeners;
    settings.listener_count = p->listener_count;
    settings.budgets = p->budgets;
    int result = proxy_snapshot_new(&settings, p->generation + 1, ret, e);
    p->generation += result == 0;
    free(tasks);
    return result;
}

int proxy_policies_load(struct proxy_policies *p, int bundle_fd, struct proxy_snapshot **ret, struct err *e)
{
    AUTO(bundle) *bundle = NULL;
    AUTO(load) *load = NULL;
    if (bundle_open(bundle_fd, &bundle, e) < 0 || load_bundle(bundle, LOAD_ALL, NULL, NULL, &load, e) < 0)
        return -1;
    proxy_guests_judge_again(&p->guests, load, bundle);
    if (make(p, load, ret, e) < 0) {
        if (p->load)
            proxy_guests_judge_again(&p->guests, p->load, p->bundle);
        return -1;
    }
    load_free(p->load);
    bundle_free(p->bundle);
    p->load = TAKE(load);
    p->bundle = TAKE(bundle);
    return 0;
}

int proxy_policies_snapshot(struct proxy_policies *p, struct proxy_snapshot **ret, struct err *e)
{
    return make(p, p->load, ret, e);
}
