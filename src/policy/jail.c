#include "policy/jail.h"

#include "base/caps.h"
#include "policy/model.h"

#include <arpa/inet.h>

enum { PATH_BYTES = 4095, AGENT_BYTES = 63, VARIABLE_BYTES = 200, FORWARDS = 100 };

const struct policy_jail *policy_jail(const struct policy *p)
{
    return &p->jail;
}

/* --- lists of texts --- */

struct texts {
    const char *const *at;
    size_t count;
};

typedef int check_text(struct schema_ctx *ctx, const char *key, const struct schema_item *item);

static int read_texts(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                      check_text *check, struct texts *ret)
{
    struct schema_texts list;
    if (schema_texts(ctx, key, value, &list) < 0)
        return -1;
    const char **at = arena_array(ctx->arena, list.count + 1, sizeof *at);
    if (!at)
        return schema_fail(ctx, value, "out of memory");
    int result = 0;
    for (size_t i = 0; i < list.count; i++) {
        at[i] = list.at[i].text.ptr;
        if (check(ctx, key->name, &list.at[i]) < 0)
            result = -1;
    }
    if (result == 0)
        *ret = (struct texts){at, list.count};
    return result;
}

/* --- files --- */

static int check_path(struct schema_ctx *ctx, const char *key, const struct schema_item *item)
{
    struct slice path = item->text;
    if (path.len > PATH_BYTES)
        return problems_add(ctx->problems, item->line, item->column, "`%s`: a path has at most %d bytes", key,
                            PATH_BYTES);
    if (path.ptr[0] == '~' && path.len > 1 && path.ptr[1] != '/')
        return problems_add(ctx->problems, item->line, item->column,
                            "`%s`: only your own home has a short name: ~/…", key);
    if (path.ptr[0] == '$')
        return problems_add(ctx->problems, item->line, item->column,
                            "`%s`: variables are not expanded; write ~/… or an absolute path", key);
    return 0;
}

struct files {
    struct texts read, write, hide;
    struct slice agent;
};

static int read_paths(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                      void *field)
{
    return read_texts(ctx, key, value, check_path, field);
}

/* It is the name of a file in conf/agents: never a path. */
static int read_agent(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                      void *field)
{
    const struct schema_key text = {key->name, .max = AGENT_BYTES};
    struct slice name;
    if (schema_text(ctx, &text, value, &name) < 0)
        return -1;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (c != '-' || i == 0))
            return schema_fail(ctx, value, "`agent` is a name such as claude: lower case, digits and \"-\"");
    }
    *(struct slice *)field = name;
    return 0;
}

static const struct schema_key files_keys[] = {
    {"read", read_paths, offsetof(struct files, read)},
    {"write", read_paths, offsetof(struct files, write)},
    {"hide", read_paths, offsetof(struct files, hide)},
    {"agent", read_agent, offsetof(struct files, agent)},
};
static const struct schema files_schema = SCHEMA("`files`", struct files, files_keys);

int jail_read_files(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                    void *field)
{
    struct policy_jail *jail = field;
    struct files f = {.agent = {NULL, 0}};
    if (value->kind != NODE_MAPPING)
        return schema_mismatch(ctx, key->name, value, "a mapping such as {read: [~/data], write: [src/]}");
    if (schema_decode(ctx, &files_schema, value, &f) < 0)
        return -1;
    jail->files = (struct policy_files){.read = f.read.at,
                                        .read_count = f.read.count,
                                        .write = f.write.at,
                                        .write_count = f.write.count,
                                        .write_written = f.write.at,
                                        .hide = f.hide.at,
                                        .hide_count = f.hide.count,
                                        .agent = f.agent.ptr};
    return 0;
}

/* --- environment --- */

/* POSIX, Base Definitions 8.1, with lower case. */
static bool is_variable(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && c != '_' && (!(c >= '0' && c <= '9') || i == 0))
            return false;
    }
    return name.len > 0 && name.len <= VARIABLE_BYTES;
}

static int check_variable(struct schema_ctx *ctx, const char *key, const struct schema_item *item)
{
    if (is_variable(item->text))
        return 0;
    return problems_add(ctx->problems, item->line, item->column,
                        "`%s`: \"%.*s\" is not the name of an environment variable", key,
                        SLICE_FMT(slice_first(item->text, 64)));
}

struct variables {
    struct policy_variable *at;
    size_t count;
};

struct environment {
    struct texts keep;
    struct variables set;
};

static int read_keep(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                     void *field)
{
    return read_texts(ctx, key, value, check_variable, field);
}

static int read_variable(struct schema_ctx *ctx, const struct node *value, struct policy_variable *ret)
{
    struct slice text = SLICE(""), name = value->key->text;
    const struct schema_item item = {name, value->key->line, value->key->column};
    if (check_variable(ctx, "set", &item) < 0)
        return -1;
    bool empty = value->kind == NODE_SCALAR && value->text.len == 0 && !value->plain; /* "" is a value */
    if (!empty && schema_scalar(ctx, "value of a variable", value, &text) < 0)
        return -1;
    ret->name = arena_slice(ctx->arena, name).ptr;
    ret->value = arena_slice(ctx->arena, text).ptr;
    return ret->name && ret->value ? 0 : schema_fail(ctx, value, "out of memory");
}

static int read_set(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                    void *field)
{
    if (value->kind != NODE_MAPPING)
        return schema_mismatch(ctx, key->name, value, "a mapping of names to values");
    struct variables v = {arena_array(ctx->arena, value->count + 1, sizeof *v.at), 0};
    if (!v.at)
        return schema_fail(ctx, value, "out of memory");
    int result = 0;
    NODE_FOREACH(child, value)
    {
        if (read_variable(ctx, child, &v.at[v.count++]) < 0)
            result = -1;
    }
    if (result == 0)
        *(struct variables *)field = v;
    return result;
}

static const struct schema_key environment_keys[] = {
    {"keep", read_keep, offsetof(struct environment, keep)},
    {"set", read_set, offsetof(struct environment, set)},
};
static const struct schema environment_schema = SCHEMA("`environment`", struct environment, environment_keys);

int jail_read_environment(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                          void *field)
{
    struct policy_jail *jail = field;
    struct environment e = {.keep = {NULL, 0}};
    if (value->kind != NODE_MAPPING)
        return schema_mismatch(ctx, key->name, value, "a mapping such as {keep: [TERM], set: {CI: \"1\"}}");
    if (schema_decode(ctx, &environment_schema, value, &e) < 0)
        return -1;
    jail->keep = e.keep.at;
    jail->keep_count = e.keep.count;
    jail->set = e.set.at;
    jail->set_count = e.set.count;
    return 0;
}

/* --- services and publish --- */

/* A service: its target, and the port in the jail where that is another. */
struct service {
    struct schema_address target;
    uint64_t port;
};

static const struct schema_key service_keys[] = {
    {"target", schema_address, offsetof(struct service, target), .required = true},
    {"port", schema_number, offsetof(struct service, port), .min = 1, .max = 65535},
};
static const struct schema service_schema = SCHEMA("a service", struct service, service_keys);

/* A published port: the jail's, and the host's where that is another. */
struct published {
    uint64_t port, on;
};

static const struct schema_key published_keys[] = {
    {"port", schema_number, offsetof(struct published, port), .required = true, .min = 1, .max = 65535},
    {"on", schema_number, offsetof(struct published, on), .min = 1, .max = 65535},
};
static const struct schema published_schema = SCHEMA("a published port", struct published, published_keys);

static bool is_loopback(const struct schema_address *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return a->v6 ? memcmp(a->bytes, one, sizeof one) == 0 : a->bytes[0] == 127;
}

static int read_service(struct schema_ctx *ctx, const struct node *value, struct policy_forward *ret)
{
    static const struct schema_key target = {"services"};
    struct service s = {.port = 0};
    char text[INET6_ADDRSTRLEN] = "";
    if (value->kind == NODE_MAPPING ? schema_decode(ctx, &service_schema, value, &s) < 0
                                    : schema_address(ctx, &target, value, &s.target) < 0)
        return -1;
    if (!is_loopback(&s.target))
        return problems_add(
            ctx->problems, s.target.line, s.target.column,
            "a service is on this machine's loopback (127.0.0.1 or [::1]); other machines are "
            "reached by allow rules");
    if (s.target.port == 0)
        return problems_add(ctx->problems, s.target.line, s.target.column, "a service has a port");
    inet_ntop(s.target.v6 ? AF_INET6 : AF_INET, s.target.bytes, text, sizeof text);
    *ret = (struct policy_forward){.address = arena_slice(ctx->arena, slice_str(text)).ptr,
                                   .port = s.port ? (uint16_t)s.port : s.target.port,
                                   .host_port = s.target.port};
    return ret->address ? 0 : schema_fail(ctx, value, "out of memory");
}

static int read_published(struct schema_ctx *ctx, const struct node *value, struct policy_forward *ret)
{
    static const struct schema_key port = {"publish", .min = 1, .max = 65535};
    struct published p = {.on = 0};
    if (value->kind == NODE_MAPPING ? schema_decode(ctx, &published_schema, value, &p) < 0
                                    : schema_number(ctx, &port, value, &p.port) < 0)
        return -1;
    *ret = (struct policy_forward){.port = (uint16_t)p.port, .host_port = (uint16_t)(p.on ? p.on : p.port)};
    return 0;
}

struct forwards {
    struct policy_forward *at;
    size_t count;
};

/* Where they listen: in the jail for services, on the host for published ports. */
static int check_twice(struct schema_ctx *ctx, const struct forwards *f, bool inside)
{
    const struct policy_forward *last = &f->at[f->count - 1];
    for (const struct policy_forward *other = f->at; other < last; other++)
        if (inside ? other->port == last->port : other->host_port == last->host_port)
            return problems_add(ctx->problems, last->line, last->column,
                                "port %u is taken by the entry in line %u",
                                inside ? last->port : last->host_port, other->line);
    return 0;
}

static int read_forwards(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                         int (*read)(struct schema_ctx *ctx, const struct node *value,
                                     struct policy_forward *ret),
                         bool inside, struct forwards *ret)
{
    if (value->kind != NODE_SEQUENCE)
        return schema_mismatch(ctx, key->name, value, "a list");
    if (value->count > FORWARDS)
        return schema_fail(ctx, value, "`%s` has more than %d entries", key->name, FORWARDS);
    struct forwards f = {arena_array(ctx->arena, value->count + 1, sizeof *f.at), 0};
    if (!f.at)
        return schema_fail(ctx, value, "out of memory");
    int result = 0;
    NODE_FOREACH(child, value)
    {
        struct policy_forward one;
        if (read(ctx, child, &one) < 0) {
            result = -1;
            continue;
        }
        one.line = child->line;
        one.column = child->column;
        f.at[f.count++] = one;
        if (check_twice(ctx, &f, inside) < 0)
            result = -1;
    }
    if (result == 0)
        *ret = f;
    return result;
}

int jail_read_services(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                       void *field)
{
    struct policy_jail *jail = field;
    struct forwards f;
    if (read_forwards(ctx, key, value, read_service, true, &f) < 0)
        return -1;
    jail->services = f.at;
    jail->service_count = f.count;
    return 0;
}

int jail_read_publish(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                      void *field)
{
    struct policy_jail *jail = field;
    struct forwards f;
    if (read_forwards(ctx, key, value, read_published, false, &f) < 0)
        return -1;
    jail->publish = f.at;
    jail->publish_count = f.count;
    return 0;
}

/* --- the rest --- */

int jail_read_cache(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                    void *field)
{
    static const char *const words[] = {"none", "private", NULL};
    const struct schema_key word = {key->name, .words = words};
    struct policy_jail *jail = field;
    unsigned i;
    if (schema_word(ctx, &word, value, &i) < 0)
        return -1;
    jail->cache = i == 1;
    return 0;
}

int jail_read_network(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                      void *field)
{
    static const char *const words[] = {"capture", "explicit", NULL}; /* as enum policy_network */
    const struct schema_key word = {key->name, .words = words};
    struct policy_jail *jail = field;
    unsigned i;
    if (schema_word(ctx, &word, value, &i) < 0)
        return -1;
    jail->network = (enum policy_network)i;
    return 0;
}

int jail_read_jail(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                   void *field)
{
    static const struct schema_key keys[] = {{"debug", schema_bool, offsetof(struct policy_jail, debug)}};
    static const struct schema schema = SCHEMA("`jail`", struct policy_jail, keys);
    if (value->kind != NODE_MAPPING)
        return schema_mismatch(ctx, key->name, value, "a mapping such as {debug: true}");
    return schema_decode(ctx, &schema, value, field);
}
