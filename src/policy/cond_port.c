/* ports: a list of numbers; the scheme's own where an allow rule says nothing. */
#include "policy/cond.h"

struct ports {
    uint16_t *at;
    size_t count;
};

static const struct ports *make(struct schema_ctx *ctx, const struct node *at, const uint64_t *numbers,
                                size_t count)
{
    struct ports *p = arena_new(ctx->arena, struct ports);
    uint16_t *list = arena_array(ctx->arena, count + 1, sizeof *list);
    if (!p || !list) {
        schema_fail(ctx, at, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        list[i] = (uint16_t)numbers[i];
    *p = (struct ports){list, count};
    return p;
}

int cond_port_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                   void *field)
{
    const struct schema_key numbers = {key->name, .min = 1, .max = 65535};
    struct policy_rule *rule = field;
    struct schema_numbers n;
    if (schema_numbers(ctx, &numbers, value, &n) < 0)
        return -1;
    rule->cond[PART_PORT] = make(ctx, value, n.at, n.count);
    return rule->cond[PART_PORT] ? 0 : -1;
}

static int finish(struct schema_ctx *ctx, const struct node *at, struct policy_rule *rule)
{
    if (rule->deny || rule->cond[PART_PORT])
        return 0;
    uint64_t port = http_scheme_port(cond_scheme_of(rule));
    rule->cond[PART_PORT] = make(ctx, at, &port, 1);
    return rule->cond[PART_PORT] ? 0 : -1;
}

static bool has_port(const struct ports *ports, uint16_t port)
{
    for (size_t i = 0; i < ports->count; i++)
        if (ports->at[i] == port)
            return true;
    return false;
}

static enum reason judge(const struct policy_rule *rule, const void *what, struct judged *q)
{
    (void)rule;
    return has_port(what, q->target->authority.port) ? REASON_NONE : REASON_PORT_NOT_ALLOWED;
}

static int show(const void *what, struct buf *out)
{
    const struct ports *ports = what;
    if (ports->count == 0)
        return buf_append(out, SLICE("none"));
    for (size_t i = 0; i < ports->count; i++)
        if (buf_printf(out, "%s%u", i ? ", " : "", ports->at[i]) < 0)
            return -1;
    return 0;
}

static void json(const void *what, struct json *j)
{
    const struct ports *ports = what;
    json_key(j, "ports");
    json_array(j);
    for (size_t i = 0; i < ports->count; i++)
        json_int(j, ports->at[i]);
    json_array_end(j);
}

static bool covers(const void *wide, const void *narrow)
{
    const struct ports *n = narrow;
    for (size_t i = 0; i < n->count; i++)
        if (!has_port(wide, n->at[i]))
            return false;
    return true;
}

static bool gist(const struct policy_rule *rule, const void *what, struct rule_gist *line)
{
    (void)rule;
    const struct ports *ports = what;
    if (ports->count != 1)
        return false;
    line->port = ports->at[0];
    return true;
}

const struct cond cond_port = {
    .finish = finish, .judge = judge, .show = show, .json = json, .covers = covers, .gist = gist};
