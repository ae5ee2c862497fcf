/* Finds the rules that speak of a host, whatever the number of rules about other hosts.
 *
 * A hash of names: an entry lists the rules that apply at that very host and those that apply below it.
 * A host is looked up once whole and once for each of its label suffixes: api.example.com,
 * example.com, com.  Never by string suffix.
 *
 * What a look-up reads lies close together, since with many rules it comes from far away: the table, all
 * names behind each other, and the lines of a host's rules side by side.  So it is built in three steps:
 * count each name, lay out, put each name.
 */
#pragma once
#include "policy/gist.h"

struct host_entry;

struct host_index {
    struct host_entry *slots;
    size_t mask; /* slots - 1; their number is a power of two */
    size_t used;
    char *names; /* of all entries */
    size_t names_len, names_max;
    struct rule_gist *lines;
};

/* Where a pattern applies: at the name itself, below it, or both. */
enum host_at { HOST_AT = 1, HOST_BELOW_IT = 2 };

/* Room for `names` names of `bytes` bytes in all. */
MUST_USE int host_index_init(struct host_index *index, struct arena *arena, size_t names, size_t bytes);
/* Announces a host_index_put().  `deny` rules are kept apart.  -1: a name more than there is room for. */
MUST_USE int host_index_count(struct host_index *index, struct slice name, unsigned at, bool deny);
/* When all are counted. */
MUST_USE int host_index_lay_out(struct host_index *index, struct arena *arena);
/* Rules come in file order, each put as it was counted. */
void host_index_put(struct host_index *index, struct slice name, unsigned at, bool deny,
                    const struct rule_gist *line);

/* The rules of one entry, in file order. */
struct rule_list {
    const struct rule_gist *at;
    size_t count;
};

#define RULE_LIST_FOREACH(var, list)                                                                         \
    for (const struct rule_gist *var = (list)->at, *end_ = var + (list)->count; var < end_; var++)

/* A host name has at most 127 labels; one more list for the whole host. */
enum { HOST_LISTS = 128 };

struct host_hits {
    struct rule_list lists[HOST_LISTS];
    size_t count;
};

/* `is_name`: an address has no labels and is looked up whole only. */
void host_index_find(const struct host_index *index, struct slice host, bool is_name,
                     struct host_hits *ret_allow, struct host_hits *ret_deny);
