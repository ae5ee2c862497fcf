/* Reading a log back: each kind of tampering is found, and said where; rotation is followed. */
#include "audit/reader.h"
#include "audit/verify.h"
#include "audit_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RECORDS = 6 };

static void write_log(struct audit_fixture *f, unsigned count)
{
    struct audit_log *log = fixture_open(f);
    fixture_write(log, count);
    audit_close(log);
}

/* Line `number` (from 1), with its newline. */
static struct slice line_of(struct slice text, unsigned number)
{
    struct slice line = {0};
    while (number-- > 0) {
        assert_true(text.len > 0);
        ptrdiff_t end = slice_find(text, '\n');
        assert_true(end >= 0);
        line = slice_first(text, (size_t)end + 1);
        text = slice_skip(text, line.len);
    }
    return line;
}

/* What somebody made of the log: "1 2 3 4 5 6" is all lines as they were; -N is line N with a byte
 * changed, 0 a line that is no record. */
static const struct tampering {
    const char *what;
    int lines[RECORDS + 2]; /* ended by END */
    const char *found;      /* NULL: the chain is whole */
} tamperings[] = {
#define END 99
    {"nothing", {1, 2, 3, 4, 5, 6, END}, NULL},
    {"a byte of the first record",
     {-1, 2, 3, 4, 5, 6, END},
     "audit.jsonl:1: edited: record 1 has another hash"},
    {"a byte in the middle", {1, 2, -3, 4, 5, 6, END}, "audit.jsonl:3: edited: record 3 has another hash"},
    {"the last but one", {1, 2, 3, 4, -5, 6, END}, "audit.jsonl:5: edited: record 5 has another hash"},
    {"a line taken out", {1, 2, 4, 5, 6, END}, "audit.jsonl:3: record 3 is missing before this one (4)"},
    {"several taken out", {1, 5, 6, END}, "audit.jsonl:2: records 2 to 4 are missing before this one (5)"},
    {"the first taken out",
     {2, 3, 4, 5, 6, END},
     "audit.jsonl:1: records 1 to 1 are missing, and no checkpoint"},
    {"two lines swapped",
     {1, 2, 4, 3, 5, 6, END},
     "audit.jsonl:3: out of order: record 4 stands before record 3"},
    {"a line twice",
     {1, 2, 2, 3, 4, 5, 6, END},
     "audit.jsonl:3: out of order: record 2 stands after record 2"},
    {"a line put in", {1, 2, 0, 3, 4, 5, 6, END}, "audit.jsonl:3: edited: this line is no record"},
    {"a line put behind", {1, 2, 3, 4, 5, 6, 0, END}, "audit.jsonl:7: edited: this line is no record"},
    /* what a chain cannot show: --head is for these */
    {"the tail cut off", {1, 2, 3, 4, END}, NULL},
    {"the last record", {1, 2, 3, 4, 5, -6, END}, NULL},
};

static void put_line(struct buf *out, struct slice text, int number)
{
    struct slice line = number == 0 ? SLICE("hello\n") : line_of(text, (unsigned)abs(number));
    size_t start = buf_len(out);
    assert_int_equal(buf_append(out, line), 0);
    if (number < 0) {
        char *task = memmem(out->data + start, line.len, "\"task\":\"t\"", 10);
        assert_non_null(task);
        task[8] = 'u';
    }
}

static void each_tampering_is_found_and_said_where(void **state)
{
    struct audit_fixture *f = *state;
    AUTO_BUF room;
    write_log(f, RECORDS);
    struct slice text = fixture_read(f, "audit.jsonl", &room);
    for (size_t i = 0; i < ARRAY_LEN(tamperings); i++) {
        const struct tampering *t = &tamperings[i];
        AUTO_BUF made = BUF_INIT(1 << 20);
        for (const int *line = t->lines; *line != END; line++)
            put_line(&made, text, *line);
        fixture_replace(f, "audit.jsonl", buf_slice(&made));
        const char *found = fixture_verify(f);
        if (!found != !t->found || (found && !strstr(found, t->found)))
            fail_msg("%s: found \"%s\"", t->what, found ? found : "nothing");
    }
}

enum { LONG_BYTES = 3 << 20 };

/* Its pieces could be made to look like records, and its line is one line. */
static void a_line_longer_than_any_record_is_one_line_and_no_record(void **state)
{
    struct audit_fixture *f = *state;
    AUTO_BUF room;
    char path[256];
    struct err e;
    AUTO(log_reader) *r = NULL;
    struct slice line;
    write_log(f, RECORDS);
    struct slice text = fixture_read(f, "audit.jsonl", &room);
    AUTO_BUF made = BUF_INIT(2 * LONG_BYTES);
    put_line(&made, text, 1);
    while (buf_len(&made) < LONG_BYTES)
        assert_int_equal(buf_append(&made, slice_first(line_of(text, 2), line_of(text, 2).len - 1)), 0);
    assert_int_equal(buf_append(&made, SLICE("\n")), 0);
    put_line(&made, text, 2);
    fixture_replace(f, "audit.jsonl", buf_slice(&made));
    assert_non_null(strstr(fixture_verify(f), "audit.jsonl:2: edited: this line is no record"));
    fixture_path(f, "audit.jsonl", path);
    assert_int_equal(log_reader_open(path, &r, &e), 0);
    for (unsigned number = 1; number <= 3; number++) {
        assert_int_equal(log_reader_next(r, &line, &e), LOG_LINE);
        assert_int_equal(log_reader_place(r)->line, number);
        assert_int_equal(line.len, number == 2 ? 0 : line_of(text, number / 2 + 1).len - 1);
    }
    assert_int_equal(log_reader_next(r, &line, &e), LOG_END);
}

static void verify_with_head(const struct audit_fixture *f, uint64_t seq, const char *hash,
                             struct log_verdict *ret)
{
    char path[256];
    struct err e;
    AUTO(log_reader) *r = NULL;
    fixture_path(f, "audit.jsonl", path);
    assert_int_equal(log_reader_open(path, &r, &e), 0);
    assert_int_equal(log_verify(r, seq, hash, &(struct verify_keys){0}, ret, &e), 0);
}

static void a_noted_head_shows_a_cut_tail_and_a_changed_last_record(void **state)
{
    struct audit_fixture *f = *state;
    struct log_verdict v;
    AUTO_BUF room;
    write_log(f, RECORDS);
    verify_with_head(f, 0, "", &v);
    assert_false(v.broken);
    assert_int_equal(v.last_seq, RECORDS);
    char hash[65];
    memcpy(hash, v.hash, sizeof hash);
    verify_with_head(f, RECORDS, hash, &v);
    assert_false(v.broken);

    struct slice text = fixture_read(f, "audit.jsonl", &room);
    AUTO_BUF changed = BUF_INIT(1 << 20);
    for (int i = 1; i <= RECORDS; i++)
        put_line(&changed, text, i == RECORDS ? -i : i);
    fixture_replace(f, "audit.jsonl", buf_slice(&changed));
    verify_with_head(f, RECORDS, hash, &v);
    assert_true(v.broken && strstr(v.problem, "has not the hash that was given"));

    fixture_replace(f, "audit.jsonl", slice_first(text, text.len - line_of(text, RECORDS).len));
    verify_with_head(f, RECORDS, hash, &v);
    assert_true(v.broken && strstr(v.problem, "cut: record 6 was written"));
}

/* Files that begin with records 1, 6 and 11, and an empty current one. */
static void write_rotated(struct audit_fixture *f)
{
    f->options.rotate = 1000;
    for (int i = 0; i < 3; i++)
        write_log(f, 5);
}

static void tampering_with_files_is_found(void **state)
{
    struct audit_fixture *f = *state;
    write_rotated(f);
    assert_null(fixture_verify(f));
    const struct {
        const char *file, *found;
    } gone[] = {
        {"audit.jsonl.000000000006", "audit.jsonl.000000000011:1: records 6 to 10 are missing"},
        {"audit.jsonl.000000000001",
         "audit.jsonl.000000000006:1: records 1 to 5 are missing, and no checkpoint"},
    };
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        assert_int_equal(renameat(f->dir_fd, gone[i].file, f->dir_fd, "away"), 0);
        const char *found = fixture_verify(f);
        assert_non_null(found);
        if (!strstr(found, gone[i].found))
            fail_msg("%s gone: found \"%s\"", gone[i].file, found);
        assert_int_equal(renameat(f->dir_fd, "away", f->dir_fd, gone[i].file), 0);
    }
    assert_null(fixture_verify(f));
}

static unsigned read_lines(struct log_reader *r)
{
    unsigned n = 0;
    struct slice line;
    struct err e = {0};
    enum log_read read;
    while ((read = log_reader_next(r, &line, &e)) == LOG_LINE)
        n++;
    if (read == LOG_ERROR)
        fail_msg("%s", e.text);
    return n;
}

static void a_reader_follows_the_log_over_rotations(void **state)
{
    struct audit_fixture *f = *state;
    AUTO(log_reader) *r = NULL;
    struct err e;
    char path[256];
    fixture_path(f, "audit.jsonl", path);
    assert_int_equal(log_reader_open(path, &r, &e), -1);
    write_rotated(f);
    assert_int_equal(log_reader_open(path, &r, &e), 0);
    assert_int_equal(read_lines(r), 15);
    assert_int_equal(read_lines(r), 0);
    f->options.rotate = 0;
    write_log(f, 1);
    assert_int_equal(read_lines(r), 1);
    f->options.rotate = 1000;
    write_log(f, 5); /* rotated at its end: what was appended before must not be passed over */
    write_log(f, 5); /* and once more, so that the reader is two files behind */
    assert_int_equal(read_lines(r), 10);
}

static void a_line_without_end_is_no_memory_bomb(void **state)
{
    struct audit_fixture *f = *state;
    AUTO_BUF text = BUF_INIT(8 << 20);
    char *at = buf_reserve(&text, 1 << 20);
    memset(at, 'x', 1 << 20);
    buf_commit(&text, 1 << 20);
    fixture_replace(f, "audit.jsonl", buf_slice(&text));
    const char *found = fixture_verify(f);
    assert_true(found && strstr(found, "audit.jsonl:1: edited: this line is no record"));
}

static void logs_in_a_folder_are_found_oldest_first(void **state)
{
    struct audit_fixture *f = *state;
    static const char *const names[] = {"b.jsonl", "a.jsonl", "c.txt"};
    char **found;
    size_t count;
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        fixture_replace(f, names[i], SLICE("x\n"));
        usleep(20000);
    }
    assert_int_equal(log_reader_find(f->dir, &found, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_non_null(strstr(found[0], "/b.jsonl"));
    assert_non_null(strstr(found[1], "/a.jsonl"));
    free(found[0]);
    free(found[1]);
    free(found);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, audit_fixture_setup, audit_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_tampering_is_found_and_said_where),
        TEST(a_line_longer_than_any_record_is_one_line_and_no_record),
        TEST(a_noted_head_shows_a_cut_tail_and_a_changed_last_record),
        TEST(tampering_with_files_is_found),
        TEST(a_reader_follows_the_log_over_rotations),
        TEST(a_line_without_end_is_no_memory_bomb),
        TEST(logs_in_a_folder_are_found_oldest_first),
    };
    return cmocka_run_group_tests_name("audit_verify", tests, NULL, NULL);
}
