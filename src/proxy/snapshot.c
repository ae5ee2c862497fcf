#include "proxy/snapshot.h"

#include "base/arena.h"
#include "base/crypto.h"
#include "base/lru.h"
#include "proxy/charge.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { SNAPSHOT_BYTES = 64 << 20, PREFIX_LENGTHS = 129, POOL_IDLE_SECONDS = 50 };

/* One claim of a source network by a task without a token. */
struct source_claim {
    struct proxy_source source;
    const struct snapshot_task *task;
    struct source_claim *next;
};

struct proxy_snapshot {
    _Atomic unsigned refs;
    uint64_t generation;
    struct arena arena;
    struct snapshot_task *tasks;
    size_t task_count, mask;
    struct snapshot_task **by_name, **by_token;
    struct source_claim **by_source;
    bool prefix_used[2][PREFIX_LENGTHS]; /* IPv4, IPv6 */
    struct budgets *budgets; /* not owned; NULL: nothing is counted */
    struct policy_limits owner;
    struct fetch_settings fetch;
    struct proxy_limits limits;
    struct proxy_timeouts timeouts;
    enum proxy_blocked_connect blocked_connect;
};

static struct slice digest_slice(const uint8_t *sha256)
{
    return slice_of((const char *)sha256, SHA256_BYTES);
}

/* The network that `a` belongs to at this prefix length, as a key: family, length, masked bytes. */
struct source_key {
    uint8_t bytes[18];
};

static struct source_key source_key(const struct fetch_address *a, unsigned prefix)
{
    struct source_key key = {{a->family == AF_INET6, (uint8_t)prefix}};
    for (unsigned i = 0; i < 16 && i * 8 < prefix; i++) {
        unsigned bits = prefix - i * 8;
        key.bytes[2 + i] = bits >= 8 ? a->bytes[i] : (uint8_t)(a->bytes[i] & (0xff00u >> bits));
    }
    return key;
}

static struct source_claim **source_bucket(const struct proxy_snapshot *s, const struct source_key *key)
{
    return &s->by_source[hash_bytes(slice_of((const char *)key->bytes, sizeof key->bytes)) & s->mask];
}

static bool address_in(const struct fetch_address *a, const struct proxy_source *source)
{
    if (a->family != source->net.family)
        return false;
    struct source_key mine = source_key(a, source->prefix), theirs = source_key(&source->net, source->prefix);
    return memcmp(&mine, &theirs, sizeof mine) == 0;
}

static const struct snapshot_task *task_of_source(const struct proxy_snapshot *s, const struct fetch_address *peer)
{
    bool v6 = peer->family == AF_INET6;
    for (unsigned prefix = v6 ? 129 : 33; prefix-- > 0;) {
        if (!s->prefix_used[v6][prefix])
            continue;
        struct source_key key = source_key(peer, prefix);
        for (const struct source_claim *c = *source_bucket(s, &key); c; c = c->next)
            if (c->source.prefix == prefix && address_in(peer, &c->source))
                return c->task;
    }
    return NULL;
}

static bool sources_fit(const struct snapshot_task *t, const struct fetch_address *peer)
{
    for (size_t i = 0; i < t->source_count; i++)
        if (address_in(peer, &t->sources[i]))
            return true;
    return t->source_count == 0;
}

const struct snapshot_task *snapshot_task_named(const struct proxy_snapshot *s, struct slice name)
{
    const struct snapshot_task *t = s->by_name[hash_bytes(name) & s->mask];
    while (t && !slice_eq(t->name_slice, name))
        t = t->next_name;
    return t;
}

/* Digests are compared, not tokens, and in constant time: what is measured tells nothing of a token. */
static const struct snapshot_task *task_of_token(const struct proxy_snapshot *s, struct slice token)
{
    uint8_t digest[SHA256_BYTES];
    if (crypto_sha256(token, digest) < 0)
        return NULL;
    const struct snapshot_task *t = s->by_token[hash_bytes(digest_slice(digest)) & s->mask];
    while (t && !crypto_equal(t->token_sha256, digest, sizeof digest))
        t = t->next_token;
    return t;
}

int snapshot_identify(const struct proxy_snapshot *s, struct slice token, const struct fetch_address *peer,
                      const struct snapshot_task **ret_task, enum reason *ret_reason)
{
    const struct snapshot_task *t = token.ptr ? task_of_token(s, token) : task_of_source(s, peer);
    if (!t || !sources_fit(t, peer)) {
        *ret_reason = token.ptr ? REASON_CREDENTIALS_WRONG : REASON_CREDENTIALS_MISSING;
        return -1;
    }
    *ret_task = t;
    return 0;
}

static int claim_sources(struct proxy_snapshot *s, const struct snapshot_task *t, struct err *e)
{
    for (size_t i = 0; i < t->source_count; i++) {
        struct source_key key = source_key(&t->sources[i].net, t->sources[i].prefix);
        struct source_claim **bucket = source_bucket(s, &key);
        for (const struct source_claim *c = *bucket; c; c = c->next)
            if (c->source.prefix == t->sources[i].prefix && address_in(&t->sources[i].net, &c->source))
                return err_set(e, "tasks `%s` and `%s` claim the same source network and have no token to tell them apart",
                               c->task->name, t->name);
        struct source_claim *claim = arena_new(&s->arena, struct source_claim);
        if (!claim)
            return err_set(e, "too many sources");
        *claim = (struct source_claim){t->sources[i], t, *bucket};
        *bucket = claim;
        s->prefix_used[t->sources[i].net.family == AF_INET6][t->sources[i].prefix] = true;
    }
    return 0;
}

static int index_task(struct proxy_snapshot *s, struct snapshot_task *t, struct err *e)
{
    if (snapshot_task_named(s, t->name_slice))
        return err_set(e, "two tasks are called `%s`", t->name);
    struct snapshot_task **name = &s->by_name[hash_bytes(t->name_slice) & s->mask];
    t->next_name = *name;
    *name = t;
    if (!t->has_token)
        return claim_sources(s, t, e);
    struct snapshot_task **token = &s->by_token[hash_bytes(digest_slice(t->token_sha256)) & s->mask];
    for (const struct snapshot_task *other = *token; other; other = other->next_token)
        if (crypto_equal(other->token_sha256, t->token_sha256, SHA256_BYTES))
            return err_set(e, "tasks `%s` and `%s` have the same token", other->name, t->name);
    t->next_token = *token;
    *token = t;
    return 0;
}

static int charge_task(struct proxy_snapshot *s, const struct proxy_task_settings *from, struct snapshot_task *t,
                       struct err *e)
{
    const struct charge_options o = {
        .budgets = from->budgets ? from->budgets : s->budgets,
        .task = t->name,
        .policy = t->policy,
        .ceiling = &s->limits.task,
        .heads = s->limits.task_heads ? s->limits.task_heads : from->heads,
        .owner = from->owner,
        .owner_budgets = s->budgets,
        .owner_ceiling = &s->owner,
    };
    return t->policy && s->budgets ? charges_new(&s->arena, &o, &t->charges, e) : 0;
}

static int copy_task(struct proxy_snapshot *s, const struct proxy_task_settings *from, struct err *e)
{
    if (!from->has_token && from->source_count == 0 && !from->jailed)
        return err_set(e, "task `%s` has neither a token nor sources: nobody could use it", from->name);
    struct snapshot_task *t = &s->tasks[s->task_count];
    t->name_slice = arena_slice(&s->arena, slice_str(from->name));
    t->name = t->name_slice.ptr;
    struct proxy_source *sources = arena_array(&s->arena, from->source_count + 1, sizeof *sources);
    if (!t->name || !sources)
        return err_set(e, "the tasks are larger than the limit");
    if (from->source_count)
        memcpy(sources, from->sources, from->source_count * sizeof *sources);
    t->sources = sources;
    t->source_count = from->source_count;
    t->has_token = from->has_token;
    memcpy(t->token_sha256, from->token_sha256, sizeof t->token_sha256);
    t->policy = from->policy ? policy_ref(from->policy) : NULL;
    s->task_count++;
    return charge_task(s, from, t, e) < 0 ? -1 : index_task(s, t, e);
}

static int copy_fetch(struct proxy_snapshot *s, const struct proxy_settings *from, struct err *e)
{
    const struct fetch_settings settings = {
        .overrides = from->overrides,
        .override_count = from->override_count,
        .listeners = from->listeners,
        .listener_count = from->listener_count,
        .proxy = from->proxy,
        .hint = from->hint,
        .trust = from->trust,
        .connect_ns = from->timeouts.connect,
        .handshake_ns = from->timeouts.tls_handshake,
        .pool_idle_ns = POOL_IDLE_SECONDS * 1000000000ll,
    };
    if (fetch_settings_copy(&s->arena, &settings, &s->fetch) < 0)
        return err_set(e, "upstream.resolve is larger than the limit");
    s->fetch.trust = tls_trust_ref(from->trust);
    return 0;
}

static int allocate_tables(struct proxy_snapshot *s, size_t tasks, size_t sources, struct err *e)
{
    size_t buckets = 16;
    while (buckets < tasks + sources)
        buckets *= 2;
    s->mask = buckets - 1;
    s->tasks = arena_array(&s->arena, tasks + 1, sizeof *s->tasks);
    s->by_name = arena_array(&s->arena, buckets, sizeof(void *));
    s->by_token = arena_array(&s->arena, buckets, sizeof(void *));
    s->by_source = arena_array(&s->arena, buckets, sizeof(void *));
    if (!s->tasks || !s->by_name || !s->by_token || !s->by_source)
        return err_set(e, "too many tasks");
    return 0;
}

int proxy_snapshot_new(const struct proxy_settings *from, uint64_t generation, struct proxy_snapshot **ret,
                       struct err *e)
{
    AUTO(proxy_snapshot) *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, "no memory for a snapshot");
    s->refs = 1;
    s->generation = generation;
    s->arena = ARENA_INIT(SNAPSHOT_BYTES);
    s->limits = from->limits;
    s->budgets = from->budgets;
    s->owner = from->owner;
    s->timeouts = from->timeouts;
    s->blocked_connect = from->blocked_connect;
    size_t sources = 0;
    for (size_t i = 0; i < from->task_count; i++)
        sources += from->tasks[i].source_count;
    if (allocate_tables(s, from->task_count, sources, e) < 0 || copy_fetch(s, from, e) < 0)
        return -1;
    for (size_t i = 0; i < from->task_count; i++)
        if (copy_task(s, &from->tasks[i], e) < 0)
            return -1;
    *ret = TAKE(s);
    return 0;
}

struct proxy_snapshot *proxy_snapshot_ref(struct proxy_snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void proxy_snapshot_free(struct proxy_snapshot *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->task_count; i++)
        policy_free(s->tasks[i].policy);
    tls_trust_free(s->fetch.trust);
    arena_free(&s->arena);
    free(s);
}

uint64_t snapshot_generation(const struct proxy_snapshot *s)
{
    return s->generation;
}

const struct fetch_settings *snapshot_fetch_settings(const struct proxy_snapshot *s)
{
    return &s->fetch;
}

const struct proxy_limits *snapshot_limits(const struct proxy_snapshot *s)
{
    return &s->limits;
}

const struct proxy_timeouts *snapshot_timeouts(const struct proxy_snapshot *s)
{
    return &s->timeouts;
}

enum proxy_blocked_connect snapshot_blocked_connect(const struct proxy_snapshot *s)
{
    return s->blocked_connect;
}

int64_t snapshot_next_expiry(const struct proxy_snapshot *s, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < s->task_count; i++) {
        const struct policy *p = s->tasks[i].policy;
        int64_t ms = p ? policy_next_expiry(p, now_ms) : INT64_MAX;
        next = ms < next ? ms : next;
    }
    return next;
}
