#include "app/config_control.h"

static const struct schema_key keys[] = {
    {"socket", schema_item, offsetof(struct control_raw, socket), .required = true},
    {"group", schema_item, offsetof(struct control_raw, group)},
    {"addresses", schema_cidrs, offsetof(struct control_raw, addresses)},
};
static const struct schema schema = SCHEMA("control", struct control_raw, keys);

int control_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct control_raw raw = {.addresses = {NULL, 0}};
    int result = value->kind == NODE_MAPPING ? schema_decode(ctx, &schema, value, &raw)
                                             : schema_item(ctx, key, value, &raw.socket);
    if (result == 0)
        *(struct control_raw *)field = raw;
    return result;
}

int config_control_take(struct config *c, const struct control_raw *raw, struct problems *problems)
{
    const struct schema_cidrs *from = &raw->addresses;
    c->control.line = raw->socket.line;
    c->control.column = raw->socket.column;
    if (raw->group.text.ptr)
        c->control.group = arena_slice(&c->arena, raw->group.text).ptr;
    c->control.addresses = arena_array(&c->arena, from->count + 1, sizeof *c->control.addresses);
    if (!c->control.addresses || (raw->group.text.ptr && !c->control.group))
        return problems_add(problems, 0, 0, "the configuration is too large");
    for (size_t i = 0; i < from->count; i++) {
        struct policy_net *to = &c->control.addresses[c->control.address_count++];
        *to = (struct policy_net){.family = from->at[i].v6 ? 6 : 4, .prefix = (uint8_t)from->at[i].prefix};
        memcpy(to->bytes, from->at[i].bytes, sizeof to->bytes);
    }
    return 0;
}

static bool contains(const struct policy_net *outer, const struct policy_net *inner)
{
    size_t whole = outer->prefix / 8, rest = outer->prefix % 8;
    if (outer->family != inner->family || outer->prefix > inner->prefix ||
        memcmp(outer->bytes, inner->bytes, whole) != 0)
        return false;
    return rest == 0 || (outer->bytes[whole] ^ inner->bytes[whole]) >> (8 - rest) == 0;
}

bool config_control_lends(const struct config *c, const struct policy_net *net)
{
    for (size_t i = 0; i < c->control.address_count; i++)
        if (contains(&c->control.addresses[i], net))
            return true;
    return false;
}
