/* Finds the rules that speak of a host, whatever the number of rules about other hosts.
 *
 * A hash of names: an entry lists the rules that apply at that very host and those that apply below it.
 * A host is looked up once whole and once for each of its label suffixes: api.example.com,
 * example.com, com.  Never by string suffix.
 */
#pragma once
#include "base/arena.h"

struct policy_rule;

enum { REF_START_BYTES = 23 };

/* With what every path begins that the rule may fit, as far as it is kept here: most of the many rules about
 * one host are passed over without being looked at. */
struct rule_ref { /* in file order */
    const struct policy_rule *rule;
    const struct rule_ref *next;
    uint8_t start_len;
    char start[REF_START_BYTES];
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
/* Rules come in file order.  `deny` rules are kept apart.  `start` is what all paths of the rule begin with.
 */
MUST_USE int host_index_add(struct host_index *index, struct arena *arena, struct slice name, bool at,
                            bool below, const struct policy_rule *rule, bool deny, struct slice start);
/* `is_name`: an address has no labels and is looked up whole only. */
void host_index_find(const struct host_index *index, struct slice host, bool is_name,
                     struct host_hits *ret_allow, struct host_hits *ret_deny);
