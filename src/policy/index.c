#include "policy/index.h"

#include "base/lru.h"

struct span {
    uint32_t first, count; /* in index->lines */
};

struct host_entry {
    struct slice name; /* ptr NULL: a free slot */
    uint64_t hash;
    struct span at[2], below[2]; /* by `deny` */
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

int host_index_count(struct host_index *index, struct slice name, unsigned at, bool deny)
{
    uint64_t hash = hash_bytes(name);
    struct host_entry *entry = find_slot(index, name, hash);
    if (!entry->name.ptr) {
        if (++index->used > (index->mask + 1) / 2)
            return -1;
        entry->name = name;
        entry->hash = hash;
    }
    entry->at[deny].count += (at & HOST_AT) != 0;
    entry->below[deny].count += (at & HOST_BELOW_IT) != 0;
    return 0;
}

/* From now on `count` is how many have been put. */
static void lay_span(struct span *s, uint32_t *next)
{
    s->first = *next;
    *next += s->count;
    s->count = 0;
}

static uint32_t lay_entry(struct host_entry *entry, uint32_t next)
{
    lay_span(&entry->at[false], &next);
    lay_span(&entry->at[true], &next);
    lay_span(&entry->below[false], &next);
    lay_span(&entry->below[true], &next);
    return next;
}

static struct rule_gist *lines_new(struct arena *arena, size_t count)
{
    char *room = arena_array(arena, count + 1, GIST_LINE_BYTES);
    size_t over = (uintptr_t)room % GIST_LINE_BYTES;
    return room ? (struct rule_gist *)(void *)(room + (over ? GIST_LINE_BYTES - over : 0)) : NULL;
}

static int gather_names(struct host_index *index, struct arena *arena, size_t bytes)
{
    char *text = arena_alloc(arena, bytes + 1);
    if (!text)
        return -1;
    for (size_t i = 0; i <= index->mask; i++) {
        struct slice *name = &index->slots[i].name;
        if (!name->ptr)
            continue;
        memcpy(text, name->ptr, name->len);
        name->ptr = text;
        text += name->len;
    }
    return 0;
}

int host_index_lay_out(struct host_index *index, struct arena *arena)
{
    uint32_t lines = 0;
    size_t bytes = 0;
    for (size_t i = 0; i <= index->mask; i++) {
        lines = lay_entry(&index->slots[i], lines);
        bytes += index->slots[i].name.len;
    }
    index->lines = lines_new(arena, lines);
    return index->lines ? gather_names(index, arena, bytes) : -1;
}

static void put(struct host_index *index, struct span *s, const struct rule_gist *line)
{
    struct rule_gist *next = &index->lines[s->first + s->count];
    if (s->count && next[-1].rule == line->rule)
        return; /* a rule may write a host twice */
    *next = *line;
    s->count++;
}

void host_index_put(struct host_index *index, struct slice name, unsigned at, bool deny,
                    const struct rule_gist *line)
{
    struct host_entry *entry = find_slot(index, name, hash_bytes(name));
    if (at & HOST_AT)
        put(index, &entry->at[deny], line);
    if (at & HOST_BELOW_IT)
        put(index, &entry->below[deny], line);
}

static void hit(const struct host_index *index, const struct span *s, struct host_hits *hits)
{
    if (s->count && hits->count < HOST_LISTS)
        hits->lists[hits->count++] = (struct rule_list){index->lines + s->first, s->count};
}

void host_index_find(const struct host_index *index, struct slice host, bool is_name,
                     struct host_hits *ret_allow, struct host_hits *ret_deny)
{
    ret_allow->count = ret_deny->count = 0;
    const struct host_entry *whole = find_slot(index, host, hash_bytes(host));
    hit(index, &whole->at[false], ret_allow);
    hit(index, &whole->at[true], ret_deny);
    struct slice suffix = host;
    for (ptrdiff_t dot; is_name && (dot = slice_find(suffix, '.')) >= 0;) {
        suffix = slice_skip(suffix, (size_t)dot + 1);
        const struct host_entry *parent = find_slot(index, suffix, hash_bytes(suffix));
        hit(index, &parent->below[false], ret_allow);
        hit(index, &parent->below[true], ret_deny);
    }
}
