/* The keys of a policy that speak of the jail and not of requests: files, environment, services, publish,
 * cache, network, jail.  Plain data in the policy's arena; app/ makes a sandbox plan of it.
 * They count only from the top file: in an extended one they are errors (interfaces.md 1, Trust). */
#pragma once
#include "base/json.h"
#include "config/schema.h"

/* `files`: paths as written: relative to the project, absolute, or "~/…"; no control characters. */
struct policy_files {
    const char *const *read, *const *write, *const *hide;
    size_t read_count, write_count, hide_count;
    bool write_written; /* `write` replaces the project-wide default, also when it is empty */
    const char *agent;  /* a name in lower case (sandbox/agents.def); NULL: none */
};

/* `services: [127.0.0.1:5432, {target: 127.0.0.1:5432, port: 15432}]`: in the jail 127.0.0.1:port leads to
 * `target`, which is a loopback address of the host.  No two have one port.
 * `publish: [3000, {port: 3000, on: 8080}]`: the host's 127.0.0.1:on leads to the jail's 127.0.0.1:port. */
struct policy_forward {
    const char *address; /* of a service's target: in 127.0.0.0/8, or "::1"; else NULL */
    uint16_t port;       /* in the jail */
    uint16_t host_port;  /* outside */
    unsigned line, column;
};

struct policy_variable {
    const char *name, *value; /* the value has no control characters but may be empty */
};

enum policy_network {
    POLICY_NETWORK_CAPTURE,  /* every TCP connection, whether the program knows of proxies or not */
    POLICY_NETWORK_EXPLICIT, /* only what asks 127.0.0.1:3128 itself */
};

struct policy_jail {
    struct policy_files files;
    const char *const *keep; /* environment: {keep: [NAME, …]}: not cleaned away */
    size_t keep_count;
    const struct policy_variable *set; /* environment: {set: {NAME: value}} */
    size_t set_count;
    const struct policy_forward *services, *publish;
    size_t service_count, publish_count;
    bool cache; /* private caches of npm, pip, cargo, go; `cache: none` is false */
    enum policy_network network;
    bool debug; /* jail: {debug: true}: ptrace is allowed inside */
};

struct policy;
const struct policy_jail *policy_jail(const struct policy *p);

/* What holds where nothing is written. */
#define JAIL_DEFAULT ((struct policy_jail){.cache = true})
/* The readers of the keys; the field is the struct policy_jail. */
schema_read jail_read_files, jail_read_environment, jail_read_services, jail_read_publish, jail_read_cache,
    jail_read_network, jail_read_jail;
/* A line for each key that says something else than nothing: "  services 127.0.0.1:5432 (not inspected)". */
MUST_USE int jail_show(const struct policy_jail *jail, struct buf *out);
/* {"files":{…},…}: keys that say something else than nothing. */
void jail_json(const struct policy_jail *jail, struct json *j);
/* "127.0.0.1:5432 at 127.0.0.1:15432"; "3000 on the host's 127.0.0.1:8080". */
MUST_USE int jail_show_service(const struct policy_forward *f, struct buf *out);
MUST_USE int jail_show_published(const struct policy_forward *f, struct buf *out);

/* What differs, key by key: `key` is "files.read", the texts are as jail_show has them; of variables that are set
 * only names and whether a value is another one.  `opens`: `after` lets the jail reach or keep more.  -1 without
 * memory, or what `report` refused. */
enum { JAIL_TEXT_BYTES = 1 << 20 };
typedef int jail_report(void *arg, const char *key, const char *from, const char *to, bool opens);
MUST_USE int jail_diff(const struct policy_jail *before, const struct policy_jail *after, jail_report *report,
                       void *arg);
