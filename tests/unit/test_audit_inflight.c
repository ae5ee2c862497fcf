/* The in-flight table: what was noted and not cleared comes back, and nothing that is written into the
 * shared memory can hurt who reads it. */
#include "audit/inflight.h"
#include "base/crypto.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char id[] = "01M7YV5TF2BNH4Y1SCER4B016C";

struct table {
    int fd;
    struct inflight *map;
};

static void make(struct table *t, unsigned slots)
{
    struct err e = {0};
    t->fd = inflight_create(slots, &e);
    if (t->fd < 0 || inflight_map(t->fd, &t->map, &e) < 0)
        fail_msg("%s", e.text);
}

static void drop(struct table *t)
{
    inflight_free(t->map);
    close(t->fd);
}

static struct inflight_slot *note(struct table *t, const char *url)
{
    return inflight_note(t->map, id, "widgets", SLICE("POST"), slice_str(url));
}

struct seen {
    unsigned count;
    struct inflight_entry last;
};

static void on_entry(void *arg, const struct inflight_entry *entry)
{
    struct seen *s = arg;
    s->count++;
    s->last = *entry;
}

static struct seen recover(struct table *t)
{
    struct seen s = {0};
    inflight_recover(t->map, on_entry, &s);
    return s;
}

static void what_was_not_cleared_comes_back_once(void **state)
{
    (void)state;
    struct table t;
    make(&t, 8);
    struct inflight_slot *done = note(&t, "https://api.test/done"), *open = note(&t, "https://api.test/open");
    assert_true(done && open);
    inflight_sent(open, 7, 9);
    inflight_clear(done);
    struct seen s = recover(&t);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.last.id, id);
    assert_string_equal(s.last.task, "widgets");
    assert_string_equal(s.last.method, "POST");
    assert_string_equal(s.last.url, "https://api.test/open");
    assert_int_equal(s.last.sent, 7);
    assert_int_equal(s.last.received, 9);
    assert_true(s.last.wall_ms > 1700000000000);
    assert_int_equal(recover(&t).count, 0);
    drop(&t);
}

static void it_comes_back_through_another_mapping(void **state)
{
    (void)state;
    struct table proxy, supervisor;
    make(&proxy, 100);
    struct err e;
    assert_non_null(note(&proxy, "https://api.test/"));
    supervisor.fd = dup(proxy.fd);
    assert_int_equal(inflight_map(supervisor.fd, &supervisor.map, &e), 0);
    drop(&proxy);
    assert_int_equal(recover(&supervisor).count, 1);
    drop(&supervisor);
}

static void a_full_table_refuses_until_a_slot_is_cleared(void **state)
{
    (void)state;
    struct table t;
    struct inflight_slot *slots[5];
    make(&t, ARRAY_LEN(slots));
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(slots); i++)
            assert_non_null(slots[i] = note(&t, "https://api.test/"));
        assert_null(note(&t, "https://api.test/"));
        for (size_t i = 0; i < ARRAY_LEN(slots); i++)
            inflight_clear(slots[i]);
    }
    drop(&t);
}

static void slots_that_nobody_recovered_are_not_taken(void **state)
{
    (void)state;
    struct table first, second;
    make(&first, 3);
    struct err e;
    assert_non_null(note(&first, "https://api.test/lost"));
    second.fd = dup(first.fd);
    assert_int_equal(inflight_map(second.fd, &second.map, &e), 0);
    assert_non_null(note(&second, "https://api.test/2"));
    assert_non_null(note(&second, "https://api.test/3"));
    assert_null(note(&second, "https://api.test/4"));
    assert_int_equal(recover(&second).count, 3);
    drop(&first);
    drop(&second);
}

static void long_texts_are_cut_not_overrun(void **state)
{
    (void)state;
    struct table t;
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    make(&t, 2);
    assert_non_null(inflight_note(t.map, text, text, slice_str(text), slice_str(text)));
    assert_non_null(inflight_note(t.map, id, text, slice_str(text), slice_str(text)));
    struct seen s = recover(&t); /* the first has no id that could be one, and is dropped */
    assert_int_equal(s.count, 1);
    assert_int_equal(strlen(s.last.task), sizeof s.last.task - 1);
    assert_int_equal(strlen(s.last.method), sizeof s.last.method - 1);
    assert_int_equal(strlen(s.last.url), sizeof s.last.url - 1);
    drop(&t);
}

static void assert_harmless(const struct inflight_entry *entry)
{
    const char *texts[] = {entry->id, entry->task, entry->method, entry->url};
    const size_t sizes[] = {sizeof entry->id, sizeof entry->task, sizeof entry->method, sizeof entry->url};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_true(strnlen(texts[i], sizes[i]) < sizes[i]);
        for (const char *c = texts[i]; *c; c++)
            assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
    assert_true(entry->wall_ms >= 0);
}

static void on_hostile(void *arg, const struct inflight_entry *entry)
{
    assert_harmless(entry);
    ++*(unsigned *)arg;
}

/* First a valid slot of which one byte after the other is set to each of a few values, then noise. */
static void hostile_content_is_dropped_or_harmless(void **state)
{
    (void)state;
    struct table t;
    make(&t, 64);
    struct stat st;
    assert_non_null(note(&t, "https://api.test/"));
    assert_int_equal(fstat(t.fd, &st), 0);
    size_t size = (size_t)st.st_size, slot = size / 64;
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0), *good = malloc(slot);
    assert_true(memory != MAP_FAILED && good);
    memcpy(good, memory, slot);
    static const uint8_t values[] = {0, 1, '\n', 0x7f, 0x80, 0xff};
    unsigned seen = 0;
    for (size_t at = 0; at < slot; at++) {
        for (size_t i = 0; i < sizeof values; i++) {
            memcpy(memory, good, slot);
            memory[at] = values[i];
            inflight_recover(t.map, on_hostile, &seen);
        }
    }
    assert_true(seen > slot); /* most of these still say something */
    for (int round = 0; round < 20; round++) {
        assert_int_equal(crypto_random(memory, size), 0);
        for (size_t i = 0; i < 64; i++)
            memcpy(memory + i * slot, good, 4 + (size_t)round); /* the state, and more and more of the rest */
        inflight_recover(t.map, on_hostile, &seen);
    }
    free(good);
    munmap(memory, size);
    drop(&t);
}

static void what_is_no_table_is_not_mapped(void **state)
{
    (void)state;
    struct inflight *map = NULL;
    struct err e;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(inflight_map(fileno(file), &map, &e), -1);
    fclose(file);
    int fd = memfd_create("unsealed", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(inflight_map(fd, &map, &e), -1);
    close(fd);
    assert_null(map);
    assert_int_equal(inflight_create(0, &e), -1);
    fd = inflight_create(4, &e);
    assert_true(ftruncate(fd, 0) < 0); /* nobody can make readers of it die */
    close(fd);
}

static void a_limit_on_file_sizes_makes_the_table_smaller_or_is_an_error(void **state)
{
    (void)state;
    struct rlimit before, limit;
    struct err e;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 20000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct table t;
    make(&t, 1000); /* not a SIGXFSZ */
    assert_non_null(note(&t, "https://api.test/"));
    drop(&t);
    limit.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(inflight_create(1000, &e), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

static void *note_and_clear(void *arg)
{
    struct table *t = arg;
    unsigned full = 0;
    for (int i = 0; i < 20000; i++) {
        struct inflight_slot *a = note(t, "https://api.test/a"), *b = note(t, "https://api.test/b");
        if (!a || !b)
            full++;
        if (b)
            inflight_clear(b);
        if (a)
            inflight_clear(a);
    }
    return full ? arg : NULL;
}

static void threads_never_share_a_slot_nor_lose_one(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    struct table t;
    pthread_t threads[THREADS];
    make(&t, 2 * THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_and_clear, &t), 0);
    for (int i = 0; i < THREADS; i++) {
        void *full;
        pthread_join(threads[i], &full);
        assert_null(full);
    }
    assert_int_equal(recover(&t).count, 0);
    for (int i = 0; i < 2 * THREADS; i++)
        assert_non_null(note(&t, "https://api.test/"));
    assert_null(note(&t, "https://api.test/"));
    drop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_cleared_comes_back_once),
        cmocka_unit_test(it_comes_back_through_another_mapping),
        cmocka_unit_test(a_full_table_refuses_until_a_slot_is_cleared),
        cmocka_unit_test(slots_that_nobody_recovered_are_not_taken),
        cmocka_unit_test(long_texts_are_cut_not_overrun),
        cmocka_unit_test(hostile_content_is_dropped_or_harmless),
        cmocka_unit_test(what_is_no_table_is_not_mapped),
        cmocka_unit_test(a_limit_on_file_sizes_makes_the_table_smaller_or_is_an_error),
        cmocka_unit_test(threads_never_share_a_slot_nor_lose_one),
    };
    return cmocka_run_group_tests_name("audit_inflight", tests, NULL, NULL);
}
