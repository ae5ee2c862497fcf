#include "policy/lint.h"

#include "policy/cond.h"
#include "policy/covers.h"
#include "policy/glob.h"
#include "policy/hosts.h"

#include <stdarg.h>
#include <stdio.h>

struct lint {
    const struct policy *policy;
    const struct policy_rule *rule; /* that is looked at; NULL: the policy as a whole */
    const struct policy_forward *forward; /* of the policy, where the finding is about one; NULL */
    int64_t now_ms;
    enum lint_level level; /* of the check that looks */
    const char *id;
    lint_report *report;
    void *arg;
};

static void PRINTF(2, 3) find(const struct lint *l, const char *fmt, ...)
{
    char message[1000];
    struct policy_rule_info info = {.file = policy_file(l->policy)};
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(message, sizeof message, fmt, ap) < 0)
        message[0] = '\0';
    va_end(ap);
    if (l->rule)
        policy_rule_info(l->rule, &info);
    const struct lint_finding f = {.file = info.file,
                                   .line = l->forward ? l->forward->line : info.line,
                                   .column = l->forward ? l->forward->column : l->rule ? l->rule->column : 0,
                                   .level = l->level,
                                   .id = l->id,
                                   .message = message};
    l->report(l->arg, &f);
}

/* --- what the checks ask --- */

static bool writes(const struct policy_rule *r)
{
    return !r->deny && (r->passthrough || !cond_method_only_reads(r) || cond_body_max(r) > 0);
}

static bool limits_uploads(const struct policy_limits *limits)
{
    for (enum limit_window w = 0; w < LIMIT_WINDOWS; w++)
        if (limits->upload[w].written)
            return true;
    return false;
}

static bool reaches_all_paths(const struct policy_rule *r)
{
    struct slice glob;
    for (size_t i = 0; (glob = cond_path_glob(r, i)).ptr; i++)
        if (glob_covers(glob, SLICE("/**")))
            return true;
    return cond_path_any_regex(r);
}

/* Whether one of the first segments of a path is left open. */
static bool is_open_within(struct slice glob, unsigned segments)
{
    struct slice rest = slice_skip(glob, 1), segment;
    for (unsigned i = 0; i < segments && slice_next(&rest, '/', &segment); i++)
        if (slice_find(segment, '*') >= 0)
            return true;
    return false;
}

static bool leaves_open(const struct policy_rule *r, unsigned segments)
{
    struct slice glob;
    for (size_t i = 0; (glob = cond_path_glob(r, i)).ptr; i++)
        if (is_open_within(glob, segments))
            return true;
    return cond_path_regexes(r) > 0 || r->passthrough;
}

/* --- names that many share --- */

struct shared {
    const char *host;
    unsigned segments; /* 0: no path tells; of SHARED rows */
    const char *what;
};

static const struct shared shared[] = {
#define SHARED(host, segments, what) {host, segments, what},
#define ACCOUNT(host)
#define BELOW(host, what)
#include "policy/shared_hosts.def"
};
static const struct shared accounts[] = {
#define SHARED(host, segments, what)
#define ACCOUNT(host) {host, 0, NULL},
#define BELOW(host, what)
#include "policy/shared_hosts.def"
};
static const struct shared below[] = {
#define SHARED(host, segments, what)
#define ACCOUNT(host)
#define BELOW(host, what) {host, 0, what},
#include "policy/shared_hosts.def"
};

static bool is_below(struct slice name, struct slice apex)
{
    return name.len > apex.len && slice_ends(name, apex) && name.ptr[name.len - apex.len - 1] == '.';
}

/* Whether a pattern speaks of the host itself. */
static bool names(const struct host_pattern *p, struct slice host)
{
    if (slice_eq(p->name, host))
        return p->kind != HOST_BELOW;
    return p->kind != HOST_EXACT && is_below(host, p->name);
}

static const struct shared *find_shared(const struct host_pattern *p, const struct shared *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (names(p, slice_str(rows[i].host)))
            return &rows[i];
    return NULL;
}

/* Names below, of many owners: the row itself, one below it (regions), or one that holds it. */
static const struct shared *find_below(const struct host_pattern *p)
{
    for (size_t i = 0; p->kind != HOST_EXACT && i < ARRAY_LEN(below); i++) {
        struct slice host = slice_str(below[i].host);
        if (slice_eq(p->name, host) || is_below(p->name, host) || is_below(host, p->name))
            return &below[i];
    }
    return NULL;
}

/* --- the checks of a rule --- */

static void look_write_whole_host(const struct lint *l, const struct policy_rule *r)
{
    if (writes(r) && !r->passthrough && reaches_all_paths(r))
        find(l, "\"%s\" lets the agent write to every path of its host: list the paths that the task needs", r->name);
}

static void look_shared_host(const struct lint *l, const struct policy_rule *r)
{
    const struct host_patterns *hosts = cond_host_of(r);
    for (size_t i = 0; !r->deny && i < hosts->count; i++) {
        const struct shared *row = find_shared(&hosts->at[i], shared, ARRAY_LEN(shared));
        const struct shared *wide = find_below(&hosts->at[i]);
        if (row && leaves_open(r, row->segments))
            find(l, "\"%s\": %s is shared by many: write %s into the paths, or everybody's can be reached", r->name,
                 row->host, row->what);
        else if (wide)
            find(l, "\"%s\": names below %s belong to anybody: write out the names that name %s", r->name, wide->host,
                 wide->what);
    }
}

static bool pins_credential(const struct policy_rule *r)
{
    static const char *const fields[] = {"authorization", "x-api-key", "api-key",      "x-goog-api-key",
                                         "private-token", "job-token", "x-auth-token", "cookie"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (cond_headers_lists(r, slice_str(fields[i])))
            return true;
    return false;
}

static void look_agent_credential(const struct lint *l, const struct policy_rule *r)
{
    const struct host_patterns *hosts = cond_host_of(r);
    if (!writes(r) || r->passthrough || pins_credential(r))
        return;
    for (size_t i = 0; i < hosts->count; i++) {
        const struct shared *row = find_shared(&hosts->at[i], accounts, ARRAY_LEN(accounts));
        row = row ? row : find_shared(&hosts->at[i], shared, ARRAY_LEN(shared));
        if (!row)
            continue;
        find(l, "\"%s\": whose account %s is written to is said by the request's credential, which the agent chooses: "
                "list that field under `headers`",
             r->name, row->host);
        return;
    }
}

static void look_unlimited_write(const struct lint *l, const struct policy_rule *r)
{
    if (writes(r) && !limits_uploads(&r->limits) && !limits_uploads(&l->policy->limits))
        find(l, "\"%s\" may write as often as it likes: add `limits: {upload: 10MiB/day}` to it or to the policy",
             r->name);
}

static void look_passthrough(const struct lint *l, const struct policy_rule *r)
{
    if (r->passthrough)
        find(l, "\"%s\": tls: passthrough is not inspected: what is sent in it is neither judged nor recorded", r->name);
}

static void look_broad(const struct lint *l, const struct policy_rule *r)
{
    if (r->broad && !r->deny)
        find(l, "\"%s\": below a public suffix every name may belong to somebody else", r->name);
}

static void look_plain_http(const struct lint *l, const struct policy_rule *r)
{
    if (!r->deny && !r->passthrough && cond_scheme_of(r) == HTTP_SCHEME_HTTP)
        find(l, "\"%s\": plain http can be read and changed by everybody on the way", r->name);
}

static bool is_metadata(const struct policy_net *n)
{
    static const uint8_t address[4] = {169, 254, 169, 254};
    uint32_t net = 0, host = 0;
    if (n->family != 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        net = net << 8 | n->bytes[i];
        host = host << 8 | address[i];
    }
    return n->prefix == 0 || (net ^ host) >> (32 - n->prefix) == 0;
}

static void look_addresses(const struct lint *l, const struct policy_rule *r)
{
    for (size_t i = 0; i < r->addresses.count; i++) {
        const struct policy_net *n = &r->addresses.at[i];
        if (n->prefix < (n->family == 4 ? 8 : 16) || is_metadata(n))
            find(l, "\"%s\": `addresses` holds more than the networks of one service (%s)", r->name,
                 is_metadata(n) ? "the cloud's metadata service is among them" : "write smaller networks");
    }
}

static void look_expired(const struct lint *l, const struct policy_rule *r)
{
    if (l->now_ms >= r->expires.ms)
        find(l, "\"%s\" has expired (%.*s) and is as if it were not there", r->name, SLICE_FMT(r->expires.text));
}

static void look_denied(const struct lint *l, const struct policy_rule *r)
{
    const struct policy_rule *by = r->deny ? NULL : policy_rule_covered_by(r, true, l->now_ms);
    struct policy_rule_info info;
    if (!by)
        return;
    policy_rule_info(by, &info);
    find(l, "\"%s\" never allows anything: \"%s\" (%s:%u) denies all of it", r->name, info.name, info.file, info.line);
}

static void look_shadowed(const struct lint *l, const struct policy_rule *r)
{
    const struct policy_rule *by = policy_rule_covered_by(r, r->deny, l->now_ms);
    struct policy_rule_info info;
    if (!by)
        return;
    policy_rule_info(by, &info);
    find(l, "\"%s\" is never used: \"%s\" (%s:%u) stands before it and fits all of its requests%s", r->name, info.name,
         info.file, info.line, r->deny ? "" : ", so its own limits and addresses never count");
}

static bool is_empty(const struct policy_rule *r, enum policy_part p)
{
    AUTO_BUF text = BUF_INIT(CAP_DOCUMENT_BYTES);
    return r->cond[p] && conds[p]->show(r->cond[p], &text) == 0 && slice_eq(buf_slice(&text), SLICE("none"));
}

static void look_never_matches(const struct lint *l, const struct policy_rule *r)
{
    static const enum policy_part lists[] = {PART_PORT, PART_METHOD, PART_PATH};
    if (cond_host_of(r)->count == 0)
        find(l, "\"%s\" never matches: its list of hosts is empty", r->name);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (is_empty(r, lists[i]))
            find(l, "\"%s\" never matches: its list of %ss is empty", r->name, policy_part_name(lists[i]));
}

/* Whether all of a rule's methods are such that nearly every request has a body. */
static bool only_sends(const struct policy_rule *r)
{
    static const char *const sending[] = {"POST", "PUT", "PATCH"};
    size_t found = 0, count = cond_method_count(r);
    for (size_t i = 0; i < ARRAY_LEN(sending); i++)
        found += cond_method_lists(r, slice_str(sending[i]));
    return count > 0 && count == found;
}

static void look_body(const struct lint *l, const struct policy_rule *r)
{
    if (r->deny || r->passthrough)
        return;
    if (only_sends(r) && cond_body_max(r) == 0)
        find(l, "\"%s\" allows no body, and requests of its methods have one", r->name);
    else if (cond_method_only_reads(r) && cond_body_max(r) > 0)
        find(l, "\"%s\" allows a body to requests that only read: name the method that sends it, or drop `body`",
             r->name);
}

static void look_port(const struct lint *l, const struct policy_rule *r)
{
    AUTO_BUF text = BUF_INIT(CAP_DOCUMENT_BYTES);
    bool plain = cond_scheme_of(r) == HTTP_SCHEME_HTTP;
    if (r->deny || !r->cond[PART_PORT] || conds[PART_PORT]->show(r->cond[PART_PORT], &text) < 0)
        return;
    if (slice_eq(buf_slice(&text), plain ? SLICE("443") : SLICE("80")))
        find(l, "\"%s\" speaks %s to port %.*s, where servers expect %s", r->name, http_scheme_name(cond_scheme_of(r)),
             SLICE_FMT(buf_slice(&text)), plain ? "https" : "http (write `scheme: http`)");
}

/* --- the checks of a policy --- */

static void look_mode(const struct lint *l, const struct policy_rule *r UNUSED)
{
    if (policy_mode(l->policy) == POLICY_MONITOR)
        find(l, "mode monitor: what no rule allows passes all the same, and is only recorded");
}

static void look_policy_expired(const struct lint *l, const struct policy_rule *r UNUSED)
{
    if (l->now_ms >= l->policy->expires.ms)
        find(l, "the policy has expired (%.*s) and allows nothing", SLICE_FMT(l->policy->expires.text));
}

static void look_nothing(const struct lint *l, const struct policy_rule *r UNUSED)
{
    for (size_t i = 0; i < l->policy->rule_count; i++)
        if (!l->policy->rules[i]->deny)
            return;
    find(l, "the policy has no allow rule: everything is blocked");
}

static void look_services(const struct lint *l, const struct policy_rule *r UNUSED)
{
    const struct policy_jail *jail = &l->policy->jail;
    for (size_t i = 0; i < jail->service_count; i++) {
        struct lint at = *l;
        at.forward = &jail->services[i];
        find(&at,
             "services: what the agent says to port %u of this machine is not inspected; what that program can be made "
             "to run, read or send is open to the agent",
             at.forward->host_port);
    }
}

static void look_published(const struct lint *l, const struct policy_rule *r UNUSED)
{
    const struct policy_jail *jail = &l->policy->jail;
    for (size_t i = 0; i < jail->publish_count; i++) {
        struct lint at = *l;
        at.forward = &jail->publish[i];
        find(&at,
             "publish: what port %u of this machine answers is the agent's; a browser that opens it is not in the jail "
             "and sends where the page says",
             at.forward->host_port);
    }
}

/* To add one: a function above, a row here, a case in tests/cases/lint. */
static const struct check {
    const char *id;
    enum lint_level level;
    bool whole; /* once, of the policy; else of each rule */
    void (*look)(const struct lint *l, const struct policy_rule *r);
} checks[] = {
    {"allows-nothing", LINT_WARNING, true, look_nothing},
    {"monitor", LINT_WARNING, true, look_mode},
    {"expired", LINT_WARNING, true, look_policy_expired},
    {"service", LINT_WARNING, true, look_services},
    {"published", LINT_WARNING, true, look_published},
    {"write-whole-host", LINT_WARNING, false, look_write_whole_host},
    {"shared-host", LINT_WARNING, false, look_shared_host},
    {"agent-credential", LINT_WARNING, false, look_agent_credential},
    {"unlimited-write", LINT_WARNING, false, look_unlimited_write},
    {"passthrough", LINT_WARNING, false, look_passthrough},
    {"broad", LINT_WARNING, false, look_broad},
    {"plain-http", LINT_WARNING, false, look_plain_http},
    {"wide-addresses", LINT_WARNING, false, look_addresses},
    {"expired", LINT_WARNING, false, look_expired},
    {"never-matches", LINT_WARNING, false, look_never_matches},
    {"denied", LINT_WARNING, false, look_denied},
    {"shadowed", LINT_WARNING, false, look_shadowed},
    {"body-mismatch", LINT_WARNING, false, look_body},
    {"port-mismatch", LINT_WARNING, false, look_port},
};

const char *lint_level_name(enum lint_level level)
{
    return level == LINT_ERROR ? "error" : "warning";
}

static void look_at(struct lint *l, const struct policy_rule *rule)
{
    l->rule = rule;
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (checks[i].whole != (rule == NULL))
            continue;
        l->level = checks[i].level;
        l->id = checks[i].id;
        checks[i].look(l, rule);
    }
}

void policy_lint(const struct policy *p, int64_t now_ms, lint_report *report, void *arg)
{
    struct lint l = {.policy = p, .now_ms = now_ms, .report = report, .arg = arg};
    look_at(&l, NULL);
    /* A preset is not the author's text: whoever extends it has said that it is meant. */
    for (size_t i = 0; i < p->rule_count; i++)
        if (p->rules[i]->origin->kind != ORIGIN_PRESET)
            look_at(&l, p->rules[i]);
}
