#include "app/bundle.h"

#include "base/io.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = {'E', 'X', 'E', 'A', 'T', 'B', 'N', '1'};
static const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

struct entry_head {
    uint32_t kind;
    uint32_t name_len; /* with the NUL that ends it */
    uint64_t text_len;
};

struct entry {
    enum bundle_kind kind;
    const char *name;
    struct slice text;
};

struct bundle {
    void *map;
    size_t size;
    size_t count;
    struct entry entries[];
};

int bundle_append(struct buf *out, enum bundle_kind kind, const char *name, struct slice text, struct err *e)
{
    size_t name_len = strlen(name) + 1;
    struct entry_head h = {(uint32_t)kind, (uint32_t)name_len, text.len};
    if (name_len > BUNDLE_NAME_BYTES)
        return err_set(e, "%s: name too long", name);
    if (buf_append(out, slice_of((const char *)&h, sizeof h)) < 0 ||
        buf_append(out, slice_of(name, name_len)) < 0 || buf_append(out, text) < 0)
        return err_set(e, "%s: the files of the configuration are larger than %u bytes in all", name,
                       CAP_BUNDLE_BYTES);
    return 0;
}

int bundle_seal(const struct buf *entries, struct err *e)
{
    AUTO_FD int fd = memfd_create("exeat-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_sys(e, "cannot make a memfd");
    if (io_write_all(fd, slice_of(magic, sizeof magic)) < 0 || io_write_all(fd, buf_slice(entries)) < 0)
        return err_sys(e, "cannot write a memfd");
    if (fcntl(fd, F_ADD_SEALS, seals) < 0)
        return err_sys(e, "cannot seal a memfd");
    return TAKE_FD(fd);
}

/* Cuts one entry off *rest; 0 at the end, -1 where the bytes are not a bundle. */
static int next_entry(struct slice *rest, struct entry *ret)
{
    struct entry_head h;
    if (rest->len == 0)
        return 0;
    if (rest->len < sizeof h)
        return -1;
    memcpy(&h, rest->ptr, sizeof h);
    struct slice body = slice_skip(*rest, sizeof h);
    if (h.kind == 0 || h.kind >= BUNDLE_KIND_END || h.name_len == 0 || h.name_len > BUNDLE_NAME_BYTES ||
        h.name_len > body.len || h.text_len > body.len - h.name_len)
        return -1;
    if (memchr(body.ptr, '\0', h.name_len) != body.ptr + h.name_len - 1)
        return -1;
    *ret = (struct entry){(enum bundle_kind)h.kind, body.ptr, slice_of(body.ptr + h.name_len, h.text_len)};
    *rest = slice_skip(body, h.name_len + h.text_len);
    return 1;
}

static int count_entries(struct slice all)
{
    struct entry entry;
    int count = 0, more;
    while ((more = next_entry(&all, &entry)) > 0)
        if (++count > BUNDLE_ENTRIES_MAX)
            return -1;
    return more < 0 ? -1 : count;
}

static struct bundle *index_entries(void *map, size_t size, struct slice all, int count)
{
    struct bundle *b = calloc(1, sizeof *b + (size_t)count * sizeof b->entries[0]);
    if (!b)
        return NULL;
    b->map = map;
    b->size = size;
    b->count = (size_t)count;
    for (size_t i = 0; i < b->count; i++)
        if (next_entry(&all, &b->entries[i]) < 0)
            break; /* cannot be: counted a moment ago, and sealed */
    return b;
}

int bundle_open(int fd, struct bundle **ret, struct err *e)
{
    struct stat st;
    int has = fcntl(fd, F_GET_SEALS);
    if (has < 0 || (has & seals) != seals)
        return err_set(e, "bundle: not sealed");
    if (fstat(fd, &st) < 0 || (size_t)st.st_size < sizeof magic ||
        (uint64_t)st.st_size > CAP_BUNDLE_BYTES + sizeof magic)
        return err_set(e, "bundle: wrong size");
    size_t size = (size_t)st.st_size;
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return err_sys(e, "bundle: cannot map");
    struct slice all = slice_skip(slice_of(map, size), sizeof magic);
    int count = memcmp(map, magic, sizeof magic) == 0 ? count_entries(all) : -1;
    struct bundle *b = count < 0 ? NULL : index_entries(map, size, all, count);
    if (!b) {
        munmap(map, size);
        return err_set(e, count < 0 ? "bundle: malformed" : "bundle: no memory");
    }
    *ret = b;
    return 0;
}

void bundle_free(struct bundle *b)
{
    if (!b)
        return;
    munmap(b->map, b->size);
    free(b);
}

struct slice bundle_find(const struct bundle *b, enum bundle_kind kind, const char *name,
                         const char **ret_name)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct entry *entry = &b->entries[i];
        if (entry->kind != kind || (name && strcmp(entry->name, name) != 0))
            continue;
        if (ret_name)
            *ret_name = entry->name;
        return entry->text.ptr ? entry->text : SLICE("");
    }
    return (struct slice){0};
}
