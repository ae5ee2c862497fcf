/* Bundles: what goes in comes out, and nothing else is taken for one. */
#include "app/bundle.h"
#include "base/io.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { HEAD_BYTES = 8, BYTES = 4096 };

static int seal_text(struct slice text, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, text), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void fill(struct buf *entries)
{
    struct err e;
    assert_int_equal(bundle_append(entries, BUNDLE_CONFIG, "exeat.yaml", SLICE("exeat: 1\n"), &e), 0);
    assert_int_equal(bundle_append(entries, BUNDLE_POLICY, "a.yaml", SLICE("allow: []\n"), &e), 0);
    assert_int_equal(bundle_append(entries, BUNDLE_POLICY, "empty.yaml", SLICE(""), &e), 0);
    assert_int_equal(bundle_append(entries, BUNDLE_TOKEN, "a.yaml", SLICE("secret"), &e), 0);
}

static int sealed(void)
{
    AUTO_BUF entries = BUF_INIT(BYTES);
    struct err e;
    fill(&entries);
    int fd = bundle_seal(&entries, &e);
    assert_true(fd >= 0);
    return fd;
}

static void texts_are_found_by_kind_and_name(void **state)
{
    (void)state;
    AUTO(bundle) *b = NULL;
    AUTO_FD int fd = sealed();
    struct err e;
    const char *name = NULL;
    assert_int_equal(bundle_open(fd, &b, &e), 0);
    assert_true(slice_eq(bundle_find(b, BUNDLE_CONFIG, NULL, &name), SLICE("exeat: 1\n")));
    assert_string_equal(name, "exeat.yaml");
    assert_true(slice_eq(bundle_find(b, BUNDLE_POLICY, "a.yaml", NULL), SLICE("allow: []\n")));
    assert_true(slice_eq(bundle_find(b, BUNDLE_TOKEN, "a.yaml", NULL), SLICE("secret")));
    assert_null(bundle_find(b, BUNDLE_ROOTS, NULL, NULL).ptr);
    assert_null(bundle_find(b, BUNDLE_POLICY, "b.yaml", NULL).ptr);
}

static void an_empty_text_is_there_all_the_same(void **state)
{
    (void)state;
    AUTO(bundle) *b = NULL;
    AUTO_FD int fd = sealed();
    struct err e;
    assert_int_equal(bundle_open(fd, &b, &e), 0);
    struct slice text = bundle_find(b, BUNDLE_POLICY, "empty.yaml", NULL);
    assert_non_null(text.ptr);
    assert_int_equal(text.len, 0);
}

static void what_was_sealed_cannot_change(void **state)
{
    (void)state;
    AUTO_FD int fd = sealed();
    assert_int_equal(pwrite(fd, "x", 1, HEAD_BYTES), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_ptr_equal(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

static void what_is_not_sealed_is_refused(void **state)
{
    (void)state;
    AUTO(bundle) *b = NULL;
    AUTO_FD int fd = seal_text(SLICE("EXEATBN1"), F_SEAL_GROW | F_SEAL_SHRINK);
    struct err e;
    assert_int_equal(bundle_open(fd, &b, &e), -1);
    assert_null(b);
}

static int try_open(struct slice text)
{
    AUTO(bundle) *b = NULL;
    AUTO_FD int fd = seal_text(text, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    struct err e;
    return bundle_open(fd, &b, &e);
}

static size_t whole_bundle(char *ret)
{
    AUTO_BUF entries = BUF_INIT(BYTES);
    fill(&entries);
    memcpy(ret, "EXEATBN1", HEAD_BYTES);
    memcpy(ret + HEAD_BYTES, entries.data + entries.start, buf_len(&entries));
    return HEAD_BYTES + buf_len(&entries);
}

static void a_bundle_cut_anywhere_is_refused_or_ends_with_an_entry(void **state)
{
    (void)state;
    char text[BYTES];
    size_t len = whole_bundle(text), good = 0;
    for (size_t cut = 0; cut <= len; cut++)
        good += try_open(slice_of(text, cut)) == 0;
    assert_int_equal(good, 5); /* no entry, one, … four */
}

static void lengths_that_reach_too_far_are_refused(void **state)
{
    (void)state;
    char text[BYTES];
    size_t len = whole_bundle(text);
    for (size_t field = 0; field < 16; field++) { /* kind, length of the name, length of the text */
        char broken[BYTES];
        memcpy(broken, text, len);
        broken[HEAD_BYTES + field] = (char)0xff;
        assert_int_equal(try_open(slice_of(broken, len)), -1);
    }
}

static void a_name_without_its_end_is_refused(void **state)
{
    (void)state;
    char text[BYTES];
    size_t len = whole_bundle(text);
    char *end = memchr(text + HEAD_BYTES + 16, '\0', len - HEAD_BYTES - 16);
    assert_non_null(end);
    *end = 'x';
    assert_int_equal(try_open(slice_of(text, len)), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_found_by_kind_and_name),
        cmocka_unit_test(an_empty_text_is_there_all_the_same),
        cmocka_unit_test(what_was_sealed_cannot_change),
        cmocka_unit_test(what_is_not_sealed_is_refused),
        cmocka_unit_test(a_bundle_cut_anywhere_is_refused_or_ends_with_an_entry),
        cmocka_unit_test(lengths_that_reach_too_far_are_refused),
        cmocka_unit_test(a_name_without_its_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
