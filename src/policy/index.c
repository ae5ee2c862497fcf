#include "policy/index.h"

#include "base/lru.h"

struct ref_list {
    struct rule_ref *first, *last;
};

struct host_entry {
    struct slice name; /* ptr NULL: a free slot */
    uint64_t hash;
    struct ref_list at[2], below[2]; /* by `deny` */
};

int host_index_init(struct host_index *index, struct arena *arena, size_t names)
{
    size_t slots = 8;
    while (slots < names * 2)
        slots *= 2;
    struct host_entry *table = arena_array(arena, slots, sizeof *table);
    if (!table)
        return -1;
    *index = (struct host_index){.slots = table, .mask = slots - 1};
    return 0;
}

/* The entry of that name, or the free slot where it belongs: half of the slots are free always. */
static struct host_entry *find_slot(const struct host_index *index, struct slice name, uint64_t hash)
{
    size_t i = hash & index->mask;
    while (index->slots[i].name.ptr &&
           (index->slots[i].hash != hash || !slice_eq(index->slots[i].name, name)))
        i = (i + 1) & index->mask;
    return &index->slots[i];
}

static int append(struct ref_list *list, struct arena *arena, const struct policy_rule *rule,
                  struct slice start)
{
    if (list->last && list->last->rule == rule)
        return 0; /* a rule may write a host twice */
    struct rule_ref *ref = arena_new(arena, struct rule_ref);
    if (!ref)
        return -1;
    ref->rule = rule;
    start = slice_first(start, REF_START_BYTES);
    ref->start_len = (uint8_t)start.len;
    if (start.len)
        memcpy(ref->start, start.ptr, start.len);
    if (list->last)
        list->last->next = ref;
    else
        list->first = ref;
    list->last = ref;
    return 0;
}

int host_index_add(struct host_index *index, struct arena *arena, struct slice name, bool at, bool below,
                   const struct policy_rule *rule, bool deny, struct slice start)
{
    uint64_t hash = hash_bytes(name);
    struct host_entry *entry = find_slot(index, name, hash);
    if (!entry->name.ptr) {
        if (++index->used > (index->mask + 1) / 2)
            return -1;
        entry->name = name;
        entry->hash = hash;
    }
    if (at && append(&entry->at[deny], arena, rule, start) < 0)
        return -1;
    return below ? append(&entry->below[deny], arena, rule, start) : 0;
}

static void hit(struct host_hits *hits, const struct ref_list *list)
{
    if (list->first && hits->count < HOST_LISTS)
        hits->lists[hits->count++] = list->first;
}

void host_index_find(const struct host_index *index, struct slice host, bool is_name,
                     struct host_hits *ret_allow, struct host_hits *ret_deny)
{
    ret_allow->count = ret_deny->count = 0;
    const struct host_entry *whole = find_slot(index, host, hash_bytes(host));
    hit(ret_allow, &whole->at[false]);
    hit(ret_deny, &whole->at[true]);
    struct slice suffix = host;
    for (ptrdiff_t dot; is_name && (dot = slice_find(suffix, '.')) >= 0;) {
        suffix = slice_skip(suffix, (size_t)dot + 1);
        const struct host_entry *parent = find_slot(index, suffix, hash_bytes(suffix));
        hit(ret_allow, &parent->below[false]);
        hit(ret_deny, &parent->below[true]);
    }
}
