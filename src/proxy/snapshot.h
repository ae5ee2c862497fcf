/* The immutable form of struct proxy_settings that workers share, and the look-up of tasks in it.
 *
 * Finding a task costs the same however many there are: by token through a hash of its digest, by source
 * address through one hash probe for each prefix length in use, by name through a hash.
 */
#pragma once
#include "proxy/settings.h"

struct snapshot_task {
    const char *name;
    struct slice name_slice;
    struct policy *policy; /* NULL: policy-unavailable */
    struct task_charges *charges; /* NULL: nothing is counted */
    bool has_token;
    uint8_t token_sha256[32];
    const struct proxy_source *sources;
    size_t source_count;
    struct snapshot_task *next_name, *next_token; /* hash chains */
};

uint64_t snapshot_generation(const struct proxy_snapshot *s);
const struct fetch_settings *snapshot_fetch_settings(const struct proxy_snapshot *s);
const struct proxy_limits *snapshot_limits(const struct proxy_snapshot *s);
const struct proxy_timeouts *snapshot_timeouts(const struct proxy_snapshot *s);
enum proxy_blocked_connect snapshot_blocked_connect(const struct proxy_snapshot *s);

/* When, after that moment of the wall clock, a verdict may change though nothing is reloaded; INT64_MAX: never. */
int64_t snapshot_next_expiry(const struct proxy_snapshot *s, int64_t now_ms);

/* NULL where there is none. */
const struct snapshot_task *snapshot_task_named(const struct proxy_snapshot *s, struct slice name);

/* Who is asking: `token` has ptr NULL where the request carries no credential.
 * 0 and *ret_task, or -1 and *ret_reason (credentials-missing, credentials-wrong). */
MUST_USE int snapshot_identify(const struct proxy_snapshot *s, struct slice token,
                               const struct fetch_address *peer, const struct snapshot_task **ret_task,
                               enum reason *ret_reason);
