#include "policy/index.h"

#include "base/lru.h"

/* The lists of an entry, one behind the other in index->lines: at that host and below it, allow and deny. */
enum { AT_HOST, BELOW_HOST, PLACES, LISTS = PLACES * 2 };

struct host_entry { /* two in a cache line */
    uint32_t hash;
    uint32_t name;       /* in index->names */
    uint32_t first;      /* in index->lines */
    uint32_t end[LISTS]; /* while rules are counted: how many */
    uint8_t name_len;    /* 0: a free slot */
};

_Static_assert(GIST_LINE_BYTES % sizeof(struct host_entry) == 0, "none lies across two cache lines");
_Static_assert(CAP_HOST_BYTES <= UINT8_MAX, "a host's length is a byte");

static void *aligned_array(struct arena *arena, size_t count, size_t size)
{
    char *room = arena_array(arena, count + GIST_LINE_BYTES / size, size);
    size_t over = (uintptr_t)room % GIST_LINE_BYTES;
    return room ? room + (over ? GIST_LINE_BYTES - over : 0) : NULL;
}

int host_index_init(struct host_index *index, struct arena *arena, size_t names, size_t bytes)
{
    size_t slots = 8;
    while (slots < names * 2)
        slots *= 2;
    struct host_entry *table = aligned_array(arena, slots, sizeof *table);
    char *text = arena_alloc(arena, bytes + 1);
    if (!table || !text || bytes > UINT32_MAX)
        return -1;
    *index = (struct host_index){.slots = table, .mask = slots - 1, .names = text, .names_max = bytes};
    return 0;
}

static struct slice name_of(const struct host_index *index, const struct host_entry *entry)
{
    return slice_of(index->names + entry->name, entry->name_len);
}

/* The entry of that name, or the free slot where it belongs: half of the slots are free always. */
static struct host_entry *find_slot(const struct host_index *index, struct slice name, uint64_t hash)
{
    size_t i = hash & index->mask;
    while (index->slots[i].name_len &&
           (index->slots[i].hash != hash >> 32 || !slice_eq(name_of(index, &index->slots[i]), name)))
        i = (i + 1) & index->mask;
    return &index->slots[i];
}

static int add_name(struct host_index *index, struct host_entry *entry, struct slice name, uint64_t hash)
{
    if (name.len == 0 || name.len > CAP_HOST_BYTES || name.len > index->names_max - index->names_len ||
        ++index->used > (index->mask + 1) / 2)
        return -1;
    memcpy(index->names + index->names_len, name.ptr, name.len);
    *entry = (struct host_entry){
        .hash = (uint32_t)(hash >> 32), .name = (uint32_t)index->names_len, .name_len = (uint8_t)name.len};
    index->names_len += name.len;
    return 0;
}

static unsigned list_of(unsigned place, bool deny)
{
    return place * 2 + deny;
}

int host_index_count(struct host_index *index, struct slice name, unsigned at, bool deny)
{
    uint64_t hash = hash_bytes(name);
    struct host_entry *entry = find_slot(index, name, hash);
    if (!entry->name_len && add_name(index, entry, name, hash) < 0)
        return -1;
    entry->end[list_of(AT_HOST, deny)] += (at & HOST_AT) != 0;
    entry->end[list_of(BELOW_HOST, deny)] += (at & HOST_BELOW_IT) != 0;
    return 0;
}

/* From now on the end of a list is how far it has been filled. */
int host_index_lay_out(struct host_index *index, struct arena *arena)
{
    uint32_t lines = 0;
    for (size_t i = 0; i <= index->mask; i++) {
        struct host_entry *entry = &index->slots[i];
        entry->first = lines;
        for (unsigned k = 0; k < LISTS; k++) {
            uint32_t count = entry->end[k];
            entry->end[k] = lines;
            lines += count;
        }
    }
    index->lines = aligned_array(arena, lines, sizeof *index->lines);
    return index->lines ? 0 : -1;
}

void host_index_put(struct host_index *index, struct slice name, unsigned at, bool deny,
                    const struct rule_gist *line)
{
    struct host_entry *entry = find_slot(index, name, hash_bytes(name));
    if (at & HOST_AT)
        index->lines[entry->end[list_of(AT_HOST, deny)]++] = *line;
    if (at & HOST_BELOW_IT)
        index->lines[entry->end[list_of(BELOW_HOST, deny)]++] = *line;
}

static void hit(const struct host_index *index, const struct host_entry *entry, unsigned place, bool deny,
                struct host_hits *hits)
{
    unsigned k = list_of(place, deny);
    uint32_t from = k ? entry->end[k - 1] : entry->first, count = entry->end[k] - from;
    if (count && hits->count < HOST_LISTS)
        hits->lists[hits->count++] = (struct rule_list){index->lines + from, count};
}

void host_index_find(const struct host_index *index, struct slice host, bool is_name,
                     struct host_hits *ret_allow, struct host_hits *ret_deny)
{
    ret_allow->count = ret_deny->count = 0;
    const struct host_entry *whole = find_slot(index, host, hash_bytes(host));
    hit(index, whole, AT_HOST, false, ret_allow);
    hit(index, whole, AT_HOST, true, ret_deny);
    struct slice suffix = host;
    for (ptrdiff_t dot; is_name && (dot = slice_find(suffix, '.')) >= 0;) {
        suffix = slice_skip(suffix, (size_t)dot + 1);
        const struct host_entry *parent = find_slot(index, suffix, hash_bytes(suffix));
        hit(index, parent, BELOW_HOST, false, ret_allow);
        hit(index, parent, BELOW_HOST, true, ret_deny);
    }
}
