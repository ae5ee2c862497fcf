#include "policy/nets.h"

#include "policy/model.h"

#include <arpa/inet.h>
#include <stdio.h>

const struct policy_net *policy_rule_addresses(const struct policy_rule *r, size_t *ret_count)
{
    *ret_count = r ? r->addresses.count : 0;
    return r && r->addresses.count ? r->addresses.at : NULL;
}

/* ::ffff:0:0/96 (RFC 4291 2.5.5.2): what is dialled is an IPv4 address, and is judged as one. */
static bool is_mapped(const struct schema_cidr *c)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return c->v6 && memcmp(c->bytes, prefix, sizeof prefix) == 0;
}

int nets_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct schema_cidrs list;
    if (schema_cidrs(ctx, key, value, &list) < 0)
        return -1;
    struct policy_net *at = arena_array(ctx->arena, list.count + 1, sizeof *at);
    if (!at)
        return schema_fail(ctx, value, "out of memory");
    for (size_t i = 0; i < list.count; i++) {
        const struct schema_cidr *c = &list.at[i];
        if (is_mapped(c))
            return schema_fail(ctx, value, "write IPv4 networks as such: 10.1.0.0/16");
        at[i] = (struct policy_net){.family = c->v6 ? 6 : 4, .prefix = (uint8_t)c->prefix};
        memcpy(at[i].bytes, c->bytes, sizeof at[i].bytes);
    }
    *(struct policy_nets *)field = (struct policy_nets){at, list.count};
    return 0;
}

enum { TEXT_BYTES = INET6_ADDRSTRLEN + 4 };

static void print(const struct policy_net *n, char ret[TEXT_BYTES])
{
    char address[INET6_ADDRSTRLEN] = "";
    inet_ntop(n->family == 6 ? AF_INET6 : AF_INET, n->bytes, address, sizeof address);
    snprintf(ret, TEXT_BYTES, "%s/%u", address, n->prefix);
}

int nets_show(const struct policy_nets *nets, struct buf *out)
{
    char text[TEXT_BYTES];
    for (size_t i = 0; i < nets->count; i++) {
        print(&nets->at[i], text);
        if (buf_printf(out, "%s%s", i ? ", " : "", text) < 0)
            return -1;
    }
    return 0;
}

static bool holds(const struct policy_net *wide, const struct policy_net *narrow)
{
    size_t whole = wide->prefix / 8, bits = wide->prefix % 8;
    if (wide->family != narrow->family || wide->prefix > narrow->prefix ||
        memcmp(wide->bytes, narrow->bytes, whole) != 0)
        return false;
    return bits == 0 || (wide->bytes[whole] ^ narrow->bytes[whole]) >> (8 - bits) == 0;
}

bool nets_within(const struct policy_nets *narrow, const struct policy_nets *wide)
{
    for (size_t i = 0; i < narrow->count; i++) {
        bool found = false;
        for (size_t k = 0; k < wide->count && !found; k++)
            found = holds(&wide->at[k], &narrow->at[i]);
        if (!found)
            return false;
    }
    return true;
}

void nets_json(const struct policy_nets *nets, struct json *j)
{
    char text[TEXT_BYTES];
    json_array(j);
    for (size_t i = 0; i < nets->count; i++) {
        print(&nets->at[i], text);
        json_str(j, text);
    }
    json_array_end(j);
}
