/* The record of what was trusted, and how a run gets it (app/trust.h).
 *
 * What must hold: a record that is read, written again, is the same to the byte: no two texts say the same,
 * and nothing in it is passed over; it covers exactly its own files. */
#include "app/trust.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_print_the_same(const struct trust_record *t, struct slice input)
{
    AUTO_BUF out = BUF_INIT(16 << 20);
    struct err e;
    must(trust_print(t->path, t->time, t->files, t->count, &out, &e) == 0);
    must(slice_eq(buf_slice(&out), input));
}

static void must_cover_its_own_alone(const struct trust_record *t)
{
    const struct files_given *first = &t->files[0];
    must(trust_covers(t, t->files, t->count) && !trust_covers(t, t->files, t->count - 1));
    must(!trust_covers(NULL, t->files, t->count));
    if (first->text.len == 0 || t->count > 1)
        return;
    const struct files_given shorter = {first->path, slice_first(first->text, first->text.len - 1)};
    must(!trust_covers(t, &shorter, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(size ? (const char *)data : "", size);
    AUTO(trust_record) *t = NULL;
    struct err e = {0};
    if (trust_parse(input, &t, &e) < 0) {
        must(e.text[0] != '\0');
        return 0;
    }
    must(t->count > 0 && t->count <= TRUST_FILES_MAX);
    must_print_the_same(t, input);
    must_cover_its_own_alone(t);
    return 0;
}
