/* Finds the rules that speak of a host, whatever the number of rules about other hosts.
 *
 * A hash of names: an entry lists the rules that apply at that very host and those that apply below it.
 * A host is looked up once whole and once for each of its label suffixes: api.example.com,
 * example.com, com.  Never by string suffix.
 */
#pragma once
#include "base/arena.h"

struct policy_rule;

struct rule_ref { /* in file order */
    const struct policy_rule *rule;
    const struct rule_ref *next;
};

struct host_entry;

struct host_index {
    struct host_entry *slots;
    size_t mask; /* slots - 1; their number is a power of two */
    size_t used;
};

/* A host name has at most 127 labels; one more list for the whole host. */
enum { HOST_LISTS = 128 };

struct host_hits {
    const struct rule_ref *lists[HOST_LISTS];
    size_t count;
};

/* Room for `names` names. */
MUST_USE int host_index_init(struct host_index *index, struct arena *arena, size_t names);
/* Rules come in file order.  `deny` rules are kept apart. */
MUST_USE int host_index_add(struct host_index *index, struct arena *arena, struct slice name, bool at,
                            bool below, const struct policy_rule *rule, bool deny);
/* `is_name`: an address has no labels and is looked up whole only. */
void host_index_find(const struct host_index *index, struct slice host, bool is_name,
                     struct host_hits *ret_allow, struct host_hits *ret_deny);
