#include "audit/inflight.h"

#include "base/clock.h"
#include "base/ulid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOT_FREE = 0, SLOT_SET = 0x5e7, MIN_SLOTS = 2, MAX_SLOTS = 1 << 20 };
enum { TASK_BYTES = 64, METHOD_BYTES = 32, URL_BYTES = 2048 };

/* One slot in the shared memory.  Lengths instead of NULs: noting copies only what there is. */
struct cell {
    _Atomic uint32_t state;
    uint8_t task_len, method_len;
    uint16_t url_len;
    int64_t wall_ms;
    _Atomic uint64_t sent, received;
    char id[ULID_CHARS], task[TASK_BYTES], method[METHOD_BYTES], url[URL_BYTES];
};

/* The handle of a slot, in memory of our own: nothing in the shared memory is ever used as an address
 * or an index. */
struct inflight_slot {
    struct inflight *table;
    struct cell *cell;
    _Atomic uint32_t next; /* in the list of free slots: index + 1, 0 ends it */
};

struct inflight {
    int fd;
    struct cell *cells;
    uint32_t count;
    struct inflight_slot *slots;
    /* Slots given back, as a stack: index + 1 below, a counter above that changes with every step, so
     * that a head that was taken and given back meanwhile is not mistaken for the same one. */
    _Atomic uint64_t head;
    _Atomic uint32_t fresh; /* slots from here on were never used */
};

/* How many fit under RLIMIT_FSIZE; a larger ftruncate would be a SIGXFSZ. */
static unsigned slots_allowed(unsigned wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;
    rlim_t room = limit.rlim_cur / sizeof(struct cell);
    return room < wanted ? (unsigned)room : wanted;
}

int inflight_create(unsigned slots, struct err *e)
{
    if (slots == 0 || slots > MAX_SLOTS)
        return err_set(e, "in-flight table: %u slots, and 1 to %d are possible", slots, (int)MAX_SLOTS);
    AUTO_FD int fd = memfd_create("exeat-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    unsigned wanted = slots;
    slots = slots_allowed(wanted);
    if (slots < wanted && slots < MIN_SLOTS)
        return err_set(e, "in-flight table: the limit on file sizes (ulimit -f) leaves no room for it");
    if (fd < 0 || ftruncate(fd, (off_t)(slots * sizeof(struct cell))) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return err_sys(e, "in-flight table: cannot make a memfd");
    return TAKE_FD(fd);
}

/* Sealed against shrinking: otherwise whoever holds it could make every reader of it die of SIGBUS. */
static int judge_memfd(int fd, size_t *ret_size, struct err *e)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "in-flight table: not a memfd");
    size_t size = (size_t)st.st_size;
    if (!(seals & F_SEAL_SHRINK) || size == 0 || size % sizeof(struct cell) != 0 ||
        size / sizeof(struct cell) > MAX_SLOTS)
        return err_set(e, "in-flight table: not one that inflight_create made");
    *ret_size = size;
    return 0;
}

int inflight_map(int fd, struct inflight **ret, struct err *e)
{
    size_t size = 0;
    if (judge_memfd(fd, &size, e) < 0)
        return -1;
    AUTO(inflight) *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, "in-flight table: no memory");
    t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    t->count = (uint32_t)(size / sizeof(struct cell));
    t->slots = calloc(t->count, sizeof *t->slots);
    void *cells = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    t->cells = cells == MAP_FAILED ? NULL : cells;
    if (t->fd < 0 || !t->slots || !t->cells)
        return err_sys(e, "in-flight table: cannot map it");
    *ret = TAKE(t);
    return 0;
}

void inflight_free(struct inflight *t)
{
    if (!t)
        return;
    if (t->cells)
        munmap(t->cells, t->count * sizeof *t->cells);
    fd_auto_close(&t->fd);
    free(t->slots);
    free(t);
}

static struct inflight_slot *pop_free(struct inflight *t)
{
    uint64_t head = atomic_load_explicit(&t->head, memory_order_acquire);
    while ((uint32_t)head != 0) {
        struct inflight_slot *s = &t->slots[(uint32_t)head - 1];
        uint64_t next = atomic_load_explicit(&s->next, memory_order_relaxed);
        uint64_t after = ((head >> 32) + 1) << 32 | next;
        if (atomic_compare_exchange_weak_explicit(&t->head, &head, after, memory_order_acq_rel,
                                                  memory_order_acquire))
            return s;
    }
    return NULL;
}

static void push_free(struct inflight_slot *s)
{
    struct inflight *t = s->table;
    uint64_t index = (uint64_t)(s - t->slots) + 1;
    uint64_t head = atomic_load_explicit(&t->head, memory_order_relaxed), after;
    do {
        atomic_store_explicit(&s->next, (uint32_t)head, memory_order_relaxed);
        after = ((head >> 32) + 1) << 32 | index;
    } while (!atomic_compare_exchange_weak_explicit(&t->head, &head, after, memory_order_release,
                                                    memory_order_relaxed));
}

/* A slot that nobody had yet; those that a proxy before this one left set, and nobody has recovered, are
 * passed over. */
static struct inflight_slot *take_fresh(struct inflight *t)
{
    while (atomic_load_explicit(&t->fresh, memory_order_relaxed) < t->count) {
        uint32_t i = atomic_fetch_add_explicit(&t->fresh, 1, memory_order_relaxed);
        if (i >= t->count)
            break;
        struct inflight_slot *s = &t->slots[i];
        s->table = t;
        s->cell = &t->cells[i];
        if (atomic_load_explicit(&s->cell->state, memory_order_relaxed) == SLOT_FREE)
            return s;
    }
    return NULL;
}

struct inflight_slot *inflight_note(struct inflight *t, const char *id, const char *task, struct slice method,
                                    struct slice url)
{
    struct inflight_slot *s = pop_free(t);
    if (!s && !(s = take_fresh(t)))
        return NULL;
    struct cell *c = s->cell;
    struct slice task_text = slice_first(slice_str(task), TASK_BYTES - 1);
    method = slice_first(method, METHOD_BYTES - 1);
    url = slice_first(url, URL_BYTES - 1);
    size_t id_len = strnlen(id, ULID_CHARS);
    memcpy(c->id, id, id_len);
    memset(c->id + id_len, 0, ULID_CHARS - id_len);
    if (task_text.len)
        memcpy(c->task, task_text.ptr, task_text.len);
    if (method.len)
        memcpy(c->method, method.ptr, method.len);
    if (url.len)
        memcpy(c->url, url.ptr, url.len);
    c->task_len = (uint8_t)task_text.len;
    c->method_len = (uint8_t)method.len;
    c->url_len = (uint16_t)url.len;
    c->wall_ms = clock_wall_ms();
    atomic_store_explicit(&c->sent, 0, memory_order_relaxed);
    atomic_store_explicit(&c->received, 0, memory_order_relaxed);
    atomic_store_explicit(&c->state, SLOT_SET, memory_order_release);
    return s;
}

void inflight_sent(struct inflight_slot *s, uint64_t sent, uint64_t received)
{
    atomic_store_explicit(&s->cell->sent, sent, memory_order_relaxed);
    atomic_store_explicit(&s->cell->received, received, memory_order_relaxed);
}

void inflight_clear(struct inflight_slot *s)
{
    atomic_store_explicit(&s->cell->state, SLOT_FREE, memory_order_release);
    push_free(s);
}

/* Text of a slot as a C string: what could not stand in a name or a URL becomes '?'. */
static bool copy_text(const char *from, size_t len, char *ret, size_t size)
{
    if (len >= size)
        return false;
    for (size_t i = 0; i < len; i++)
        ret[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? '?' : from[i];
    ret[len] = '\0';
    return true;
}

static bool copy_id(const char *from, char ret[ULID_BYTES])
{
    for (size_t i = 0; i < ULID_CHARS; i++) {
        char c = from[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'A' && c <= 'Z' && !strchr("ILOU", c);
        if (!digit && !letter)
            return false;
        ret[i] = c;
    }
    ret[ULID_CHARS] = '\0';
    return true;
}

/* From a private copy: the original could change between a check and its use. */
static bool read_cell(const struct cell *shared, struct inflight_entry *ret)
{
    const int64_t latest = INT64_C(253402300799999); /* 9999-12-31 */
    struct cell c;
    memcpy(&c, shared, sizeof c);
    if (c.wall_ms < 0 || c.wall_ms > latest || !copy_id(c.id, ret->id) ||
        !copy_text(c.task, c.task_len, ret->task, sizeof ret->task) ||
        !copy_text(c.method, c.method_len, ret->method, sizeof ret->method) ||
        !copy_text(c.url, c.url_len, ret->url, sizeof ret->url))
        return false;
    ret->wall_ms = c.wall_ms;
    ret->sent = atomic_load_explicit(&c.sent, memory_order_relaxed);
    ret->received = atomic_load_explicit(&c.received, memory_order_relaxed);
    return true;
}

static void recover_cell(struct cell *c, void (*each)(void *arg, const struct inflight_entry *entry),
                         void *arg)
{
    struct inflight_entry entry;
    if (atomic_load_explicit(&c->state, memory_order_acquire) != SLOT_SET)
        return;
    if (read_cell(c, &entry))
        each(arg, &entry);
    atomic_store_explicit(&c->state, SLOT_FREE, memory_order_release);
}

/* Reading a hole of a memfd allocates it: only the parts that somebody wrote are looked at. */
void inflight_recover(struct inflight *t, void (*each)(void *arg, const struct inflight_entry *entry),
                      void *arg)
{
    uint64_t size = (uint64_t)t->count * sizeof(struct cell), at = 0;
    uint32_t next = 0;
    while (at < size) {
        off_t data = lseek(t->fd, (off_t)at, SEEK_DATA);
        if (data < 0)
            return;
        off_t hole = lseek(t->fd, data, SEEK_HOLE);
        uint64_t end = hole < 0 || (uint64_t)hole > size ? size : (uint64_t)hole;
        uint32_t first = (uint32_t)((uint64_t)data / sizeof(struct cell));
        uint32_t last = (uint32_t)((end - 1) / sizeof(struct cell));
        for (uint32_t i = first > next ? first : next; i <= last && i < t->count; i++)
            recover_cell(&t->cells[i], each, arg);
        next = last + 1;
        at = end;
    }
}
