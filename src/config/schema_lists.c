/* The types of schema.h that are lists; one value may stand for a list of one. */
#include "base/caps.h"
#include "config/schema.h"

#include <arpa/inet.h>
#include <netinet/in.h>

/* Reads each entry with `read` into an array of `size`-byte elements. */
static int read_list(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     size_t size, schema_read *read, void **ret_at, size_t *ret_count)
{
    if (value->kind == NODE_MAPPING || node_is_empty(value))
        return schema_mismatch(ctx, key->name, value, "a list");
    size_t count = value->kind == NODE_SEQUENCE ? value->count : 1;
    if (count > CAP_RULE_VALUES)
        return schema_fail(ctx, value, "`%s` has more than %d entries", key->name, CAP_RULE_VALUES);
    char *at = arena_array(ctx->arena, count + 1, size), *to = at;
    if (!at)
        return schema_fail(ctx, value, "out of memory");
    int result = 0;
    if (value->kind == NODE_SCALAR)
        result = read(ctx, key, value, to);
    else
        NODE_FOREACH(item, value)
        {
            if (read(ctx, key, item, to) < 0)
                result = -1;
            to += size;
        }
    if (result < 0)
        return -1;
    *ret_at = at;
    *ret_count = count;
    return 0;
}

int schema_texts(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    void *at;
    size_t count;
    if (read_list(ctx, key, value, sizeof(struct schema_item), schema_item, &at, &count) < 0)
        return -1;
    *(struct schema_texts *)field = (struct schema_texts){at, count};
    return 0;
}

int schema_numbers(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                   void *field)
{
    void *at;
    size_t count;
    if (read_list(ctx, key, value, sizeof(uint64_t), schema_number, &at, &count) < 0)
        return -1;
    *(struct schema_numbers *)field = (struct schema_numbers){at, count};
    return 0;
}

/* inet_pton(3) reads one canonical form of IPv4 only (no octal, no short forms). */
static int parse_ip(struct slice text, uint8_t ret_bytes[16], bool *ret_v6)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy)
        return -1;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    bool v6 = slice_find(text, ':') >= 0;
    uint8_t bytes[16] = {0};
    if (inet_pton(v6 ? AF_INET6 : AF_INET, copy, bytes) != 1)
        return -1;
    memcpy(ret_bytes, bytes, 16);
    *ret_v6 = v6;
    return 0;
}

static ptrdiff_t find_last(struct slice s, char c)
{
    const char *hit = s.len ? memrchr(s.ptr, c, s.len) : NULL;
    return hit ? hit - s.ptr : -1;
}

static int parse_address(struct slice text, struct schema_address *ret)
{
    struct schema_address a = {0};
    uint64_t port;
    ptrdiff_t colon = find_last(text, ':');
    if (colon < 0 || slice_to_u64(slice_skip(text, (size_t)colon + 1), 65535, &port) < 0)
        return -1;
    struct slice host = slice_first(text, (size_t)colon);
    bool brackets = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (brackets)
        host = slice_of(host.ptr + 1, host.len - 2);
    if (parse_ip(host, a.bytes, &a.v6) < 0 || a.v6 != brackets)
        return -1;
    a.port = (uint16_t)port;
    *ret = a;
    return 0;
}

int schema_address(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                   void *field)
{
    struct slice text;
    struct schema_address a;
    if (schema_scalar(ctx, key->name, value, &text) < 0)
        return -1;
    if (parse_address(text, &a) < 0)
        return schema_fail(
            ctx, value, "`%s` must be an address and port such as 127.0.0.1:3128 or [::1]:3128", key->name);
    a.line = value->line;
    a.column = value->column;
    *(struct schema_address *)field = a;
    return 0;
}

int schema_addresses(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    void *at;
    size_t count;
    if (read_list(ctx, key, value, sizeof(struct schema_address), schema_address, &at, &count) < 0)
        return -1;
    *(struct schema_addresses *)field = (struct schema_addresses){at, count};
    return 0;
}

static bool bits_behind(const struct schema_cidr *c)
{
    unsigned bits = c->v6 ? 128 : 32;
    for (unsigned i = c->prefix; i < bits; i++)
        if (c->bytes[i / 8] & (0x80 >> i % 8))
            return true;
    return false;
}

static int parse_cidr(struct slice text, struct schema_cidr *ret)
{
    struct schema_cidr c = {0};
    ptrdiff_t slash = slice_find(text, '/');
    struct slice address = slash < 0 ? text : slice_first(text, (size_t)slash);
    if (parse_ip(address, c.bytes, &c.v6) < 0)
        return -1;
    uint64_t prefix = c.v6 ? 128 : 32;
    if (slash >= 0 && slice_to_u64(slice_skip(text, (size_t)slash + 1), prefix, &prefix) < 0)
        return -1;
    c.prefix = (unsigned)prefix;
    *ret = c;
    return 0;
}

static int read_cidr(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    struct slice text;
    struct schema_cidr c;
    if (schema_scalar(ctx, key->name, value, &text) < 0)
        return -1;
    if (parse_cidr(text, &c) < 0)
        return schema_fail(ctx, value, "`%s` must hold networks such as 10.1.0.0/16 or fd00::/8", key->name);
    if (bits_behind(&c))
        return schema_fail(ctx, value,
                           "\"%.*s\" has bits set behind its prefix: write the network's first address",
                           SLICE_FMT(text));
    *(struct schema_cidr *)field = c;
    return 0;
}

int schema_cidrs(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    void *at;
    size_t count;
    if (read_list(ctx, key, value, sizeof(struct schema_cidr), read_cidr, &at, &count) < 0)
        return -1;
    *(struct schema_cidrs *)field = (struct schema_cidrs){at, count};
    return 0;
}
