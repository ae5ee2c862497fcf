/* A bundle compiled: configuration, policies, tokens, roots, and the proxy's settings made of them.
 *
 * Pure but for memory: the supervisor runs it to find and print every error, the proxy role runs the same
 * code on the same bytes to get what it works with. */
#pragma once
#include "app/bundle.h"
#include "app/config.h"

struct load {
    struct config *config;
    struct policy **policies; /* one for each task */
    struct tls_trust *trust;
    struct proxy_task_settings *tasks;
    struct proxy_settings settings; /* points into this; listeners are for the caller to fill in */
};

/* With LOAD_CHECK the system's roots, which nobody wrote by hand, are not parsed again (they are most of the
 * cost: 140 certificates), and `trust` holds upstream.ca_file alone, or is NULL. */
enum load_depth { LOAD_CHECK, LOAD_ALL };

/* One policy: its text and what it extends stand in `texts`, the operator's word over it (BUNDLE_SITE) in `site`
 * (may be NULL). */
struct load_policy {
    const struct bundle *texts, *site;
    const char *file, *task;
    enum config_mode mode;
};
MUST_USE int load_policy(const struct load_policy *from, problem_report *report, void *arg, struct policy **ret,
                         struct err *e);

/* Puts the operator's word about the mode in place.  The snapshot has not been shared yet. */
void load_set_mode(struct policy *p, enum config_mode mode);

MUST_USE int load_bundle(const struct bundle *b, enum load_depth depth, problem_report *report, void *arg,
                         struct load **ret, struct err *e);
void load_free(struct load *l);
DEFINE_AUTO(load)
