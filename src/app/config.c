#include "app/config.h"

#include "app/config_control.h"
#include "app/config_proxy.h"
#include "config/schema.h"
#include "http/target.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEEP_MAX = 100000, CONFIG_ARENA_BYTES = 16u << 20, TASK_NAME_BYTES = 63, TOKEN_BYTES_MAX = 512 };

/* `keep: 30` is a number of rotated files, `keep: 30d` a minimum age, `keep: [30, 30d]` both. */
struct keep {
    uint64_t files, age_ms;
};

/* What stands in the file, as the schema reads it; struct config is made of it.  A time is in ms. */
struct raw {
    uint64_t version;
    struct schema_addresses listen;
    uint64_t workers;
    struct slice state;
    struct {
        struct slice file;
        uint64_t rotate;
        struct keep keep;
        bool full_urls;
    } audit;
    struct {
        struct slice cert, key;
    } ca;
    unsigned blocked_connect, reload;
    struct {
        struct schema_item ca_file;
        struct schema_texts resolve;
        struct schema_item proxy;
        struct schema_item proxy_credentials;
    } upstream;
    struct {
        uint64_t head_size, connections_per_task, connections_per_source, task_heads, task_records;
        struct policy_limits task;
    } limits;
    struct {
        uint64_t head, connect, tls_handshake, response_head, idle, body_stall, shutdown;
    } timeouts;
    struct control_raw control;
    struct schema_item site;
    struct schema_list tasks;
};

struct raw_task {
    struct schema_item name;
    struct slice policy, token, token_file;
    bool jail, given;
    unsigned mode;
    struct schema_cidrs sources;
};

static int read_version(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                        void *field)
{
    uint64_t version;
    if (schema_number(ctx, key, value, &version) < 0)
        return -1;
    if (version != 1)
        return schema_fail(ctx, value, "format %llu is not known; this version of exeat reads format 1",
                           (unsigned long long)version);
    *(uint64_t *)field = version;
    return 0;
}

/* `listen: none`: only jails reach this proxy. */
static struct schema_address nowhere;

/* Nothing written is the default; an empty list would be a proxy that nobody can reach. */
static int read_listen(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                       void *field)
{
    struct schema_addresses *to = field;
    if (value->kind == NODE_SCALAR && slice_eq(value->text, SLICE("none"))) {
        to->at = &nowhere;
        return 0;
    }
    if (value->kind == NODE_SEQUENCE && value->count == 0)
        return schema_fail(ctx, value, "`listen` needs at least one address");
    return schema_addresses(ctx, key, value, field);
}

static int read_keep_part(struct schema_ctx *ctx, const struct schema_key *key, const struct schema_item *item,
                          struct keep *to, const struct node *value)
{
    uint64_t number;
    if (slice_to_u64(item->text, KEEP_MAX, &number) == 0)
        to->files = number;
    else if (schema_parse_duration(item->text, &number) == 0)
        to->age_ms = number;
    else
        return schema_fail(ctx, value, "`%s` must be a number of files such as 30, an age such as 30d, or both", key->name);
    return 0;
}

static int read_keep(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct schema_texts parts;
    struct keep keep = {0};
    if (schema_texts(ctx, key, value, &parts) < 0)
        return -1;
    if (parts.count == 0 || parts.count > 2)
        return schema_fail(ctx, value, "`%s` must be a number of files such as 30, an age such as 30d, or both", key->name);
    for (size_t i = 0; i < parts.count; i++)
        if (read_keep_part(ctx, key, &parts.at[i], &keep, value) < 0)
            return -1;
    *(struct keep *)field = keep;
    return 0;
}

static const struct schema_key audit_keys[] = {
    {"file", schema_text, offsetof(struct raw, audit.file) - offsetof(struct raw, audit)},
    {"rotate", schema_size, offsetof(struct raw, audit.rotate) - offsetof(struct raw, audit)},
    {"keep", read_keep, offsetof(struct raw, audit.keep) - offsetof(struct raw, audit)},
    {"full_urls", schema_bool, offsetof(struct raw, audit.full_urls) - offsetof(struct raw, audit)},
};
static const struct schema audit_schema = {.what = "audit",
                                           .keys = audit_keys,
                                           .count = ARRAY_LEN(audit_keys),
                                           .size = sizeof((struct raw *)0)->audit};

static const struct schema_key ca_keys[] = {
    {"cert", schema_text, offsetof(struct raw, ca.cert) - offsetof(struct raw, ca), .required = true},
    {"key", schema_text, offsetof(struct raw, ca.key) - offsetof(struct raw, ca), .required = true},
};
static const struct schema ca_schema = {
    .what = "ca", .keys = ca_keys, .count = ARRAY_LEN(ca_keys), .size = sizeof((struct raw *)0)->ca};

static const struct schema_key upstream_keys[] = {
    {"ca_file", schema_item, offsetof(struct raw, upstream.ca_file) - offsetof(struct raw, upstream)},
    {"resolve", schema_texts, offsetof(struct raw, upstream.resolve) - offsetof(struct raw, upstream)},
    {"proxy", schema_item, offsetof(struct raw, upstream.proxy) - offsetof(struct raw, upstream)},
    {"proxy_credentials_file", schema_item,
     offsetof(struct raw, upstream.proxy_credentials) - offsetof(struct raw, upstream)},
};
static const struct schema upstream_schema = {.what = "upstream",
                                              .keys = upstream_keys,
                                              .count = ARRAY_LEN(upstream_keys),
                                              .size = sizeof((struct raw *)0)->upstream};

static const struct schema_key limits_keys[] = {
    {"head_size", schema_size, offsetof(struct raw, limits.head_size) - offsetof(struct raw, limits),
     .min = 1024, .max = CAP_HEAD_BYTES},
    {"connections_per_task", schema_number,
     offsetof(struct raw, limits.connections_per_task) - offsetof(struct raw, limits), .min = 1,
     .max = 100000},
    {"connections_per_source", schema_number,
     offsetof(struct raw, limits.connections_per_source) - offsetof(struct raw, limits), .min = 1,
     .max = 1000000},
    {"task", limits_read, offsetof(struct raw, limits.task) - offsetof(struct raw, limits)},
    {"task_records", schema_size, offsetof(struct raw, limits.task_records) - offsetof(struct raw, limits),
     .min = 1u << 20},
    {"task_heads", schema_size, offsetof(struct raw, limits.task_heads) - offsetof(struct raw, limits)},
};
static const struct schema limits_schema = {.what = "limits",
                                            .keys = limits_keys,
                                            .count = ARRAY_LEN(limits_keys),
                                            .size = sizeof((struct raw *)0)->limits};

enum { DAY_MS = 24 * 3600 * 1000 };
#define TIMEOUT(name)                                                                                        \
    {                                                                                                        \
#name, schema_duration, offsetof(struct raw, timeouts.name) - offsetof(struct raw, timeouts),        \
            .min = 1, .max = DAY_MS                                                                          \
    }
static const struct schema_key timeouts_keys[] = {
    TIMEOUT(head), TIMEOUT(connect),    TIMEOUT(tls_handshake), TIMEOUT(response_head),
    TIMEOUT(idle), TIMEOUT(body_stall), TIMEOUT(shutdown),
};
static const struct schema timeouts_schema = {.what = "timeouts",
                                              .keys = timeouts_keys,
                                              .count = ARRAY_LEN(timeouts_keys),
                                              .size = sizeof((struct raw *)0)->timeouts};

/* "policy" stands for what is not written. */
static const char *const mode_words[] = {[CONFIG_MODE_POLICY] = "policy",
                                         [CONFIG_MODE_ENFORCE] = "enforce",
                                         [CONFIG_MODE_MONITOR] = "monitor",
                                         NULL};

static const struct schema_key task_keys[] = {
    {"task", schema_item, offsetof(struct raw_task, name), .required = true},
    {"policy", schema_text, offsetof(struct raw_task, policy), .required = true},
    {"mode", schema_word, offsetof(struct raw_task, mode), .words = mode_words},
    {"token", schema_text, offsetof(struct raw_task, token)},
    {"token_file", schema_text, offsetof(struct raw_task, token_file)},
    {"sources", schema_cidrs, offsetof(struct raw_task, sources), .min = 1},
    {"jail", schema_bool, offsetof(struct raw_task, jail)},
    {"given", schema_bool, offsetof(struct raw_task, given)},
    {"uid", schema_later, 0},
};
static const struct schema task_schema = SCHEMA("a task", struct raw_task, task_keys);

static const char *const blocked_connect_words[] = {
    [BLOCKED_CONNECT_EXPLAIN] = "explain", [BLOCKED_CONNECT_REFUSE] = "refuse", NULL};

static const char *const reload_words[] = {[CONFIG_RELOAD_WATCH] = "watch", [CONFIG_RELOAD_SIGNAL] = "signal", NULL};

/* To add a key: a row here, a field in struct config, a line in the documentation of the configuration. */
static const struct schema_key keys[] = {
    {"exeat", read_version, offsetof(struct raw, version)},
    {"listen", read_listen, offsetof(struct raw, listen), .max = CONFIG_LISTENERS_MAX},
    {"workers", schema_number, offsetof(struct raw, workers), .min = 1, .max = CONFIG_WORKERS_MAX},
    {"state", schema_text, offsetof(struct raw, state)},
    {"audit", schema_table, offsetof(struct raw, audit), .table = &audit_schema},
    {"ca", schema_table, offsetof(struct raw, ca), .table = &ca_schema},
    {"blocked_connect", schema_word, offsetof(struct raw, blocked_connect), .words = blocked_connect_words},
    {"upstream", schema_table, offsetof(struct raw, upstream), .table = &upstream_schema},
    {"limits", schema_table, offsetof(struct raw, limits), .table = &limits_schema},
    {"timeouts", schema_table, offsetof(struct raw, timeouts), .table = &timeouts_schema},
    {"tasks", schema_tables, offsetof(struct raw, tasks), .max = CONFIG_TASKS_MAX, .table = &task_schema},
    {"control", control_read, offsetof(struct raw, control)},
    {"site", schema_item, offsetof(struct raw, site)},
    {"desk", schema_later, 0},
    {"export", schema_later, 0},
    {"reload", schema_word, offsetof(struct raw, reload), .words = reload_words},
};
static const struct schema schema = SCHEMA("the configuration", struct raw, keys);

static struct raw defaults(void)
{
    struct proxy_settings s;
    proxy_settings_defaults(&s);
    enum { MS = 1000000 };
    return (struct raw){
        .audit = {.rotate = 100u << 20, .keep = {.files = 30}},
        .blocked_connect = (unsigned)s.blocked_connect,
        .limits = {.head_size = s.limits.head_size,
                   .connections_per_task = s.limits.connections_per_task,
                   .connections_per_source = s.limits.connections_per_source},
        .timeouts = {(uint64_t)s.timeouts.head / MS, (uint64_t)s.timeouts.connect / MS,
                     (uint64_t)s.timeouts.tls_handshake / MS, (uint64_t)s.timeouts.response_head / MS,
                     (uint64_t)s.timeouts.idle / MS, (uint64_t)s.timeouts.body_stall / MS,
                     (uint64_t)s.timeouts.shutdown / MS},
    };
}

/* What the steps below share. */
struct maker {
    struct config *c;
    struct problems *problems;
    struct slice folder; /* of the file, with its last slash; empty: the working directory */
    bool no_memory;
};

static const char *path_of(struct maker *m, struct slice written)
{
    if (!written.ptr)
        return NULL;
    while (slice_starts(written, SLICE("./")) && written.len > 2)
        written = slice_skip(written, 2);
    struct slice folder = written.ptr[0] == '/' ? SLICE("") : m->folder;
    const char *path = arena_printf(&m->c->arena, "%.*s%.*s", SLICE_FMT(folder), SLICE_FMT(written));
    m->no_memory |= !path;
    return path;
}

/* `name` in the state folder, where nothing else is written. */
static const char *path_in_state(struct maker *m, const char *name)
{
    const char *path = arena_printf(&m->c->arena, "%s/%s", m->c->state, name);
    m->no_memory |= !path;
    return path;
}

static const char *text_of(struct maker *m, struct slice written)
{
    if (!written.ptr)
        return NULL;
    struct slice copy = arena_slice(&m->c->arena, written);
    m->no_memory |= !copy.ptr;
    return copy.ptr;
}

static void *array_of(struct maker *m, size_t count, size_t size)
{
    void *at = arena_array(&m->c->arena, count ? count : 1, size);
    m->no_memory |= !at;
    return at;
}

static struct fetch_address address_of(const uint8_t bytes[16], bool v6, uint16_t port)
{
    struct fetch_address a = {.family = v6 ? AF_INET6 : AF_INET, .port = port};
    memcpy(a.bytes, bytes, v6 ? 16 : 4);
    return a;
}

static bool same_endpoint(const struct fetch_address *a, const struct fetch_address *b)
{
    return a->port != 0 && a->port == b->port && fetch_address_same_host(a, b);
}

static void make_listen(struct maker *m, const struct raw *raw)
{
    static const struct schema_address local = {.bytes = {127, 0, 0, 1}, .port = 3128};
    bool none = raw->listen.at == &nowhere;
    size_t count = raw->listen.count || none ? raw->listen.count : 1;
    const struct schema_address *from = raw->listen.count ? raw->listen.at : &local;
    struct config_listen *to = array_of(m, count, sizeof *to);
    for (size_t i = 0; to && i < count; i++) {
        to[i] = (struct config_listen){
            .address = address_of(from[i].bytes, from[i].v6, from[i].port), from[i].line, from[i].column};
        for (size_t j = 0; j < i; j++)
            if (same_endpoint(&to[i].address, &to[j].address))
                problems_add(m->problems, to[i].line, to[i].column, "this address stands in `listen` twice");
    }
    m->c->listen = to;
    m->c->listen_count = to ? count : 0;
}

/* "127.0.0.1:8443", "[::1]:8443", or an address alone: then the port stays what it was. */
static int parse_target(struct slice text, uint16_t port, struct fetch_address *ret)
{
    bool bracket = slice_starts(text, SLICE("["));
    ptrdiff_t end = slice_find(text, bracket ? ']' : ':');
    if (bracket && end < 0)
        return -1;
    struct slice host = end < 0 ? text : slice_first(text, (size_t)end);
    struct slice rest = end < 0 ? SLICE("") : slice_skip(text, (size_t)end + bracket);
    uint64_t number = port;
    if (rest.len &&
        (rest.ptr[0] != ':' || slice_to_u64(slice_skip(rest, 1), 65535, &number) < 0 || number == 0))
        return -1;
    return fetch_address_parse(slice_skip(host, bracket), (uint16_t)number, ret);
}

/* Where "host:port" ends in "host:port:address". */
static ptrdiff_t authority_end(struct slice text)
{
    size_t from = 0;
    if (slice_starts(text, SLICE("["))) {
        ptrdiff_t close = slice_find(text, ']');
        if (close < 0)
            return -1;
        from = (size_t)close;
    }
    ptrdiff_t port = slice_find(slice_skip(text, from), ':');
    if (port < 0)
        return -1;
    from += (size_t)port + 1;
    ptrdiff_t end = slice_find(slice_skip(text, from), ':');
    return end < 0 ? -1 : (ptrdiff_t)from + end;
}

static int parse_override(struct maker *m, struct slice text, struct fetch_override *ret)
{
    struct http_authority authority;
    struct http_problem problem;
    ptrdiff_t end = authority_end(text);
    if (end < 0 ||
        http_authority_parse(&m->c->arena, slice_first(text, (size_t)end), 0, &authority, &problem) < 0)
        return -1;
    struct fetch_override o = {.host = text_of(m, authority.host), .port = authority.port};
    if (parse_target(slice_skip(text, (size_t)end + 1), o.port, &o.to) < 0)
        return -1;
    *ret = o;
    return 0;
}

static void make_resolve(struct maker *m, const struct schema_texts *texts)
{
    struct fetch_override *to = array_of(m, texts->count, sizeof *to);
    for (size_t i = 0; to && i < texts->count; i++)
        if (parse_override(m, texts->at[i].text, &to[i]) < 0)
            problems_add(m->problems, texts->at[i].line, texts->at[i].column,
                         "`%.*s` is not an entry of upstream.resolve: write HOST:PORT:ADDRESS:PORT",
                         SLICE_FMT(texts->at[i].text));
    m->c->upstream.resolve = to;
    m->c->upstream.resolve_count = to ? texts->count : 0;
}

static bool is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
           c == '_' || c == '-';
}

bool config_task_name_ok(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_char(name.ptr[i]))
            return false;
    return name.len > 0 && name.len <= TASK_NAME_BYTES;
}

static void check_task(struct maker *m, const struct raw_task *raw, const struct config_task *t)
{
    if (!config_task_name_ok(raw->name.text))
        problems_add(m->problems, t->line, t->column,
                     "a task's name has 1 to %d letters, digits, dots, dashes and underscores",
                     TASK_NAME_BYTES);
    if (t->token && t->token_file)
        problems_add(m->problems, t->line, t->column, "task `%s` has both `token` and `token_file`", t->name);
    if (!t->token && !t->token_file && t->source_count == 0 && !t->jail)
        problems_add(m->problems, t->line, t->column,
                     "task `%s` can never be recognised: give it a `token`, a `token_file` or `sources`",
                     t->name);
    if (raw->jail && (t->token || t->token_file || t->source_count))
        problems_add(m->problems, t->line, t->column,
                     "task `%s` is known by its jail: it has no `token`, `token_file` or `sources`", t->name);
    if (!raw->jail && m->c->listen_count == 0)
        problems_add(m->problems, t->line, t->column, "task `%s` cannot be reached: `listen: none` is for `jail: true`",
                     t->name);
    if (raw->token.len > TOKEN_BYTES_MAX)
        problems_add(m->problems, t->line, t->column, "task `%s`: a token has at most %d bytes", t->name,
                     TOKEN_BYTES_MAX);
    const struct config_task *same = config_find_task(m->c, t->name);
    if (same && same != t)
        problems_add(m->problems, t->line, t->column, "task `%s` stands in line %u already", t->name,
                     same->line);
}

static void make_sources(struct maker *m, const struct schema_cidrs *from, struct config_task *t)
{
    t->sources = array_of(m, from->count, sizeof t->sources[0]);
    t->source_count = t->sources ? from->count : 0;
    for (size_t i = 0; i < t->source_count; i++)
        t->sources[i] =
            (struct proxy_source){address_of(from->at[i].bytes, from->at[i].v6, 0), from->at[i].prefix};
}

static void make_tasks(struct maker *m, const struct schema_list *list)
{
    const struct raw_task *from = list->at;
    struct config_task *to = array_of(m, list->count, sizeof *to);
    m->c->tasks = to;
    for (size_t i = 0; to && i < list->count; i++) {
        to[i] = (struct config_task){
            .name = text_of(m, from[i].name.text),
            .policy = from[i].given ? text_of(m, from[i].policy) : path_of(m, from[i].policy),
            .mode = (enum config_mode)from[i].mode,
            .token = text_of(m, from[i].token),
            .token_file = path_of(m, from[i].token_file),
            .jail = from[i].jail,
            .given = from[i].given,
            .line = from[i].name.line,
            .column = from[i].name.column,
        };
        make_sources(m, &from[i].sources, &to[i]);
        if (m->no_memory)
            return;
        m->c->task_count = i + 1;
        m->c->has_tokens |= to[i].token != NULL;
        check_task(m, &from[i], &to[i]);
    }
}

static void make_times(struct config *c, const struct raw *raw)
{
    enum { MS = 1000000 };
    c->timeouts = (struct proxy_timeouts){
        .head = (int64_t)raw->timeouts.head * MS,
        .connect = (int64_t)raw->timeouts.connect * MS,
        .tls_handshake = (int64_t)raw->timeouts.tls_handshake * MS,
        .response_head = (int64_t)raw->timeouts.response_head * MS,
        .idle = (int64_t)raw->timeouts.idle * MS,
        .body_stall = (int64_t)raw->timeouts.body_stall * MS,
        .shutdown = (int64_t)raw->timeouts.shutdown * MS,
    };
}

/* The daemon's folders where nothing is written (hier(7)); with a `state`, all lies in it. */
static void make_paths(struct maker *m, const struct raw *raw)
{
    struct config *c = m->c;
    c->state = raw->state.ptr ? path_of(m, raw->state) : EXEAT_LOCALSTATEDIR "/lib/exeat";
    if (m->no_memory)
        return;
    if (raw->audit.file.ptr)
        c->audit.file = path_of(m, raw->audit.file);
    else
        c->audit.file =
            raw->state.ptr ? path_in_state(m, "audit.jsonl") : EXEAT_LOCALSTATEDIR "/log/exeat/audit.jsonl";
    c->ca.cert = raw->ca.cert.ptr ? path_of(m, raw->ca.cert) : path_in_state(m, "ca.pem");
    c->ca.key = raw->ca.key.ptr ? path_of(m, raw->ca.key) : path_in_state(m, "ca.key");
    c->upstream.ca_file = path_of(m, raw->upstream.ca_file.text);
    c->upstream.ca_line = raw->upstream.ca_file.line;
    c->upstream.ca_column = raw->upstream.ca_file.column;
    c->control.socket = path_of(m, raw->control.socket.text);
    c->site = path_of(m, raw->site.text);
    c->site_line = raw->site.line;
    c->site_column = raw->site.column;
}

/* One of several tasks may fill a half of what the log holds before it begins anew, in a day. */
static uint64_t fair_share(const struct raw *raw)
{
    uint64_t files = raw->audit.keep.files + 1;
    bool several = raw->tasks.count > 1 || raw->control.socket.text.ptr;
    return several && raw->audit.rotate < UINT64_MAX / files ? raw->audit.rotate * files / 2 : 0;
}

static void make(struct maker *m, const struct raw *raw)
{
    struct config *c = m->c;
    c->workers = (unsigned)raw->workers;
    c->audit.rotate = raw->audit.rotate;
    c->audit.keep = (unsigned)raw->audit.keep.files;
    c->audit.keep_age_ms = (int64_t)raw->audit.keep.age_ms;
    c->audit.full_urls = raw->audit.full_urls;
    c->blocked_connect = (enum proxy_blocked_connect)raw->blocked_connect;
    c->reload = (enum config_reload)raw->reload;
    c->limits = (struct proxy_limits){
        .head_size = raw->limits.head_size,
        .connections_per_task = (unsigned)raw->limits.connections_per_task,
        .connections_per_source = (unsigned)raw->limits.connections_per_source,
        .task = raw->limits.task,
        .task_heads = raw->limits.task_heads,
        .task_records = raw->limits.task_records ? raw->limits.task_records : fair_share(raw),
    };
    make_times(c, raw);
    make_paths(m, raw);
    make_listen(m, raw);
    make_resolve(m, &raw->upstream.resolve);
    c->upstream.proxy_credentials = path_of(m, raw->upstream.proxy_credentials.text);
    config_proxy_take(c, &raw->upstream.proxy, &raw->upstream.proxy_credentials, m->problems);
    m->no_memory |= config_control_take(c, &raw->control, m->problems) < 0;
    make_tasks(m, &raw->tasks);
}

static struct slice folder_of(const char *file)
{
    const char *end = strrchr(file, '/');
    return end ? slice_of(file, (size_t)(end - file) + 1) : SLICE("");
}

/* An empty file is a configuration without tasks: it lets nobody in, and says so as an error. */
static int decode(struct schema_ctx *ctx, struct slice text, struct raw *ret)
{
    AUTO(document) *doc = NULL;
    if (document_parse(text, ctx->problems, &doc) < 0)
        return -1;
    if (!doc->root)
        return problems_add(ctx->problems, 0, 0, "the configuration is empty");
    return schema_decode(ctx, &schema, doc->root, ret);
}

int config_parse(struct slice text, struct problems *problems, struct config **ret)
{
    AUTO(config) *c = calloc(1, sizeof *c);
    if (!c)
        return problems_add(problems, 0, 0, "no memory");
    c->arena = ARENA_INIT(CONFIG_ARENA_BYTES);
    unsigned before = problems->count;
    struct raw raw = defaults();
    struct schema_ctx ctx = {.arena = &c->arena, .problems = problems};
    if (decode(&ctx, text, &raw) < 0)
        return -1;
    struct maker m = {.c = c, .problems = problems, .folder = folder_of(problems->file)};
    c->file = text_of(&m, slice_str(problems->file));
    make(&m, &raw);
    if (m.no_memory)
        return problems_add(problems, 0, 0, "the configuration is too large");
    if (problems->count > before)
        return -1;
    *ret = TAKE(c);
    return 0;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    arena_free(&c->arena);
    free(c);
}

const struct config_task *config_find_task(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->task_count; i++)
        if (strcmp(c->tasks[i].name, name) == 0)
            return &c->tasks[i];
    return NULL;
}
