#include "policy/limits.h"

#include "policy/model.h"

#include <stdio.h>

static const char *const suffixes[LIMIT_WINDOWS] = {"", "/day", "/hour", "/min"}; /* as enum limit_window */
static const struct policy_limits none;

const struct policy_limits *policy_limits(const struct policy *p)
{
    return &p->limits;
}

const struct policy_limits *policy_rule_limits(const struct policy_rule *r)
{
    return r ? &r->limits : &none;
}

bool limits_any(const struct policy_limit of[LIMIT_WINDOWS])
{
    for (enum limit_window w = 0; w < LIMIT_WINDOWS; w++)
        if (of[w].written)
            return true;
    return false;
}

/* --- reading --- */

/* Cuts "/day" off; a text without a slash is for a run. */
static int cut_window(struct slice *text, enum limit_window *ret)
{
    ptrdiff_t slash = slice_find(*text, '/');
    struct slice suffix = slash < 0 ? SLICE("") : slice_skip(*text, (size_t)slash);
    for (enum limit_window w = 0; w < LIMIT_WINDOWS; w++) {
        if (!slice_eq(suffix, slice_str(suffixes[w])))
            continue;
        text->len -= suffix.len;
        *ret = w;
        return 0;
    }
    return -1;
}

static int parse_count(struct slice text, uint64_t *ret)
{
    return slice_to_u64(text, INT64_MAX, ret);
}

static int read_limit(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                      int (*parse)(struct slice text, uint64_t *ret), const char *example,
                      struct policy_limit *limits)
{
    struct slice text;
    enum limit_window window;
    uint64_t amount;
    if (schema_scalar(ctx, key->name, value, &text) < 0)
        return -1;
    if (cut_window(&text, &window) < 0 || parse(text, &amount) < 0)
        return schema_fail(ctx, value, "`%s` must be %s (/min, /hour, /day or, for a whole run, nothing)",
                           key->name, example);
    limits[window] = (struct policy_limit){true, amount};
    return 0;
}

static int read_upload(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                       void *field)
{
    return read_limit(ctx, key, value, schema_parse_size, "a size such as 1MiB or 1MiB/day", field);
}

static int read_requests(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                         void *field)
{
    return read_limit(ctx, key, value, parse_count, "a number such as 500 or 30/min", field);
}

static int read_idle(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    const struct schema_key duration = {key->name, .min = 1};
    uint64_t ms;
    if (schema_duration(ctx, &duration, value, &ms) < 0)
        return -1;
    *(int64_t *)field = (int64_t)ms * 1000000;
    return 0;
}

static const struct schema_key limit_keys[] = {
    {"upload", read_upload, offsetof(struct policy_limits, upload)},
    {"requests", read_requests, offsetof(struct policy_limits, requests)},
    {"idle", read_idle, offsetof(struct policy_limits, idle_ns)},
};
static const struct schema limits_schema = SCHEMA("`limits`", struct policy_limits, limit_keys);

int limits_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct policy_limits limits = none;
    if (value->kind != NODE_MAPPING)
        return schema_mismatch(ctx, key->name, value,
                               "a mapping such as {upload: 1MiB/day, requests: 30/min}");
    if (schema_decode(ctx, &limits_schema, value, &limits) < 0)
        return -1;
    *(struct policy_limits *)field = limits;
    return 0;
}

/* --- merging --- */

static void narrow_all(struct policy_limit *to, const struct policy_limit *by)
{
    for (enum limit_window w = 0; w < LIMIT_WINDOWS; w++)
        if (by[w].written && (!to[w].written || by[w].amount < to[w].amount))
            to[w] = by[w];
}

void limits_narrow(struct policy_limits *to, const struct policy_limits *by)
{
    narrow_all(to->upload, by->upload);
    narrow_all(to->requests, by->requests);
    if (by->idle_ns && (!to->idle_ns || by->idle_ns < to->idle_ns))
        to->idle_ns = by->idle_ns;
}

/* --- showing --- */

enum { TEXT_BYTES = 64 };

/* 3 an hour are no more than 3 a minute: what is limited in a longer window (enum limit_window: before it) is so in
 * each shorter one. */
static bool raised(const struct policy_limit before[LIMIT_WINDOWS], const struct policy_limit after[LIMIT_WINDOWS])
{
    uint64_t least = UINT64_MAX;
    for (enum limit_window w = 0; w < LIMIT_WINDOWS; w++) {
        if (after[w].written && after[w].amount < least)
            least = after[w].amount;
        if (before[w].written && least > before[w].amount)
            return true;
    }
    return false;
}

bool limits_raised(const struct policy_limits *before, const struct policy_limits *after)
{
    bool longer = before->idle_ns && (!after->idle_ns || after->idle_ns > before->idle_ns);
    return raised(before->upload, after->upload) || raised(before->requests, after->requests) || longer;
}

static void print_limit(const struct policy_limit *l, enum limit_window w, bool bytes, char ret[TEXT_BYTES])
{
    char size[SCHEMA_SIZE_BYTES];
    if (bytes)
        schema_print_size(l->amount, size);
    else
        snprintf(size, sizeof size, "%llu", (unsigned long long)l->amount);
    snprintf(ret, TEXT_BYTES, "%s%s", size, suffixes[w]);
}

static int show_all(const char *name, const struct policy_limit *limits, bool bytes, struct buf *out)
{
    char text[TEXT_BYTES];
    for (enum limit_window w = 0; w < LIMIT_WINDOWS; w++) {
        if (!limits[w].written)
            continue;
        print_limit(&limits[w], w, bytes, text);
        if ((buf_len(out) && buf_append(out, SLICE(", ")) < 0) || buf_printf(out, "%s %s", name, text) < 0)
            return -1;
    }
    return 0;
}

int limits_show(const struct policy_limits *l, struct buf *out)
{
    AUTO_BUF text = BUF_INIT(1024);
    char idle[SCHEMA_SIZE_BYTES];
    if (show_all("upload", l->upload, true, &text) < 0 || show_all("requests", l->requests, false, &text) < 0)
        return -1;
    schema_print_duration((uint64_t)l->idle_ns / 1000000, idle);
    if (l->idle_ns && buf_printf(&text, "%sidle %s", buf_len(&text) ? ", " : "", idle) < 0)
        return -1;
    return buf_append(out, buf_slice(&text));
}

static void json_all(const char *name, const struct policy_limit *limits, bool bytes, struct json *j)
{
    char text[TEXT_BYTES];
    bool any = false;
    for (enum limit_window w = 0; w < LIMIT_WINDOWS; w++) {
        if (!limits[w].written)
            continue;
        if (!any) {
            json_key(j, name);
            json_array(j);
        }
        any = true;
        print_limit(&limits[w], w, bytes, text);
        json_str(j, text);
    }
    if (any)
        json_array_end(j);
}

void limits_json(const struct policy_limits *l, struct json *j)
{
    char idle[SCHEMA_SIZE_BYTES];
    json_object(j);
    json_all("upload", l->upload, true, j);
    json_all("requests", l->requests, false, j);
    schema_print_duration((uint64_t)l->idle_ns / 1000000, idle);
    if (l->idle_ns)
        json_kv_str(j, "idle", idle);
    json_object_end(j);
}
