/* A compiled policy: immutable, reference-counted, shared by all threads.
 *
 * Judging costs the same however many rules speak of other hosts: rules are found by host through a
 * hash of labels, never by walking the list.
 */
#pragma once
#include "base/err.h"
#include "http/headers.h"
#include "http/target.h"
#include "policy/reason.h"

enum policy_mode { POLICY_ENFORCE, POLICY_MONITOR, POLICY_ASK };
extern const char *const policy_mode_words[]; /* as a policy writes them; ended by NULL */
enum verdict_kind { VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_HOLD };

/* The parts of a rule in the order in which a nearest rule is sought (interfaces.md 2): a row of
 * conds.def each. */
enum policy_part {
#define COND(constant, name) PART_##constant,
#include "policy/conds.def"
    PART_COUNT
};
const char *policy_part_name(enum policy_part p); /* "host", …: `check --json` mismatch */

struct policy;

/* What a record and a message may say about a rule. */
struct policy_rule_info {
    const char *name;
    const char *file;
    unsigned line;
    const char *message; /* of a deny rule; NULL where none is written */
    bool deny;
};

struct policy_rule; /* model.h: compiled, of a snapshot's arena */
void policy_rule_info(const struct policy_rule *r, struct policy_rule_info *ret);
/* Bytes of body that the rule lets one request send: 0 for none; UINT64_MAX: any number. */
uint64_t policy_rule_body_max(const struct policy_rule *r);
/* `tls: passthrough` (policy/passthrough.h): what the rule allows is not terminated, and not inspected. */
bool policy_rule_passthrough(const struct policy_rule *r);

/* A policy's text, and where the texts that it extends come from. */
enum policy_text_kind {
    POLICY_TEXT_FILE,       /* by its path, made of the extending file's name and the path that it writes */
    POLICY_TEXT_PRESET,     /* by name */
    POLICY_TEXT_REGISTRIES, /* what a tool's own configuration says, by the tool's name: lines of URL, tab,
                             * where it was found; "" for nothing */
};
/* The text lives until the call that asked for it returns.  -1 with why in *e. */
typedef int policy_lookup(void *arg, enum policy_text_kind kind, const char *name, struct slice *ret_text,
                          struct err *e);

struct policy_source {
    const char *file; /* the name for messages */
    struct slice text;
    const char *default_task; /* where the policy names none */
    policy_lookup *lookup;    /* NULL: `extends` is an error */
    void *lookup_arg;
    /* Whoever runs exeat has the last word: a text that has `deny` and `limits` alone, which hold beside the
     * policy's own.  Its rules are from "site:FILE".  NULL: none. */
    const char *site_file;
    struct slice site_text;
};

/* Compiles a policy with all that it extends.
 * Every error found is reported as "file:line:column: …" through `report` (which may be NULL) and the
 * first is also in *e.  ret_policy has one reference. */
typedef void policy_report(void *arg, const char *file, unsigned line, unsigned column, const char *message);
MUST_USE int policy_compile_source(const struct policy_source *from, policy_report *report, void *report_arg,
                                   struct policy **ret_policy, struct err *e);
/* One that extends nothing. */
MUST_USE int policy_compile(const char *file, struct slice text, const char *default_task,
                            policy_report *report, void *report_arg, struct policy **ret_policy,
                            struct err *e);
/* Looks up all that policy_compile_source will look up, and says nothing: for who must have the texts first.
 */
void policy_gather(const struct policy_source *from);
struct policy *policy_ref(struct policy *p);
void policy_free(struct policy *p); /* drops one reference; any thread */
DEFINE_AUTO(policy)

const char *policy_task(const struct policy *p);
enum policy_mode policy_mode(const struct policy *p);
const char *policy_file(const struct policy *p);
/* SHA-256, lower-case hex, of the text, or of that and all texts that it extends: which policy was in force.
 */
const char *policy_digest(const struct policy *p);
size_t policy_rule_count(const struct policy *p);
/* In file order, allow and deny rules together; i < policy_rule_count. */
const struct policy_rule *policy_rule_at(const struct policy *p, size_t i);
/* Whether any rule speaks of header fields: who judges again later must keep them. */
bool policy_needs_headers(const struct policy *p);
/* When, after that moment, a verdict may change though nothing is reloaded: a rule or the policy expires.
 * INT64_MAX: never. */
int64_t policy_next_expiry(const struct policy *p, int64_t now_ms);

/* What is known of a request when its head was read. */
struct request_facts {
    struct slice method;
    bool has_body;
    int64_t body_size;         /* -1: not known before it was sent (chunked) */
    struct slice content_type; /* as received; empty where there is none */
    int64_t now_ms;            /* wall clock, since 1970: rules may expire */
    /* NULL: not known (any longer).  What a rule says of them then fails closed: an allow rule does not
     * fit, a deny rule does. */
    const struct http_headers *headers;
};

struct verdict {
    enum verdict_kind kind;
    enum reason reason;
    bool would_block;                  /* monitor: allowed only because of the mode */
    const struct policy_rule *rule;    /* the rule that decided; NULL where none did */
    const struct policy_rule *nearest; /* of a block without a rule: the one that came closest, or NULL */
    unsigned mismatch;                 /* bits 1 << policy_part: what does not fit in `nearest`; 0 where it
                                        * has expired */
    bool opaque; /* `rule` is a passthrough rule, and no deny rule needs to look inside: an https connection
                  * to that host and port is an opaque tunnel, not terminated.  False: terminate */
};

/* Judge one request against a compiled policy.
 *
 * Pure: reads no clock, opens nothing, allocates nothing.  `target` is canonical (http/target.h).
 * Deny rules win over allow rules; nothing matching is a block (design: Policy).  An expired rule is as if
 * it were not there, but where it would have allowed, the reason is rule-expired. */
void policy_match(const struct policy *p, const struct http_target *target, const struct request_facts *facts,
                  struct verdict *ret_verdict);

/* Judge a CONNECT: could any https request to this host and port be allowed?  reason is
 * host-not-allowed, port-not-allowed, scheme-not-allowed, denied-by-rule (a deny rule that covers the
 * whole host and port), rule-expired, or none.
 *
 * Allowed and `opaque`: an opaque tunnel by `rule`; only its name (SNI), addresses, budgets and time count
 * from then on.  Allowed otherwise: terminated, and the requests inside are judged one by one; that a
 * passthrough rule is `rule` then means that a deny rule needs to look inside (policy/passthrough.h). */
void policy_match_connect(const struct policy *p, const struct http_authority *authority, int64_t now_ms,
                          struct verdict *ret_verdict);
