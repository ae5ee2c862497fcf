/* What is kept of a trusted policy: the format, and who may have written it. */
#include "app/trust.h"
#include "base/buf.h"
#include "base/io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { RECORD_BYTES = 1 << 20 };
#define PATH "/home/me/widgets/.exeat.yaml"
#define TIME "2026-11-21T08:00:00.123Z"

/* A text may look like the format's own lines. */
static const struct files_given files[] = {
    {".exeat.yaml", {"exeat: 1\nend\n", 13}},
    {"team.yaml", {"", 0}},
    {"a/b c.yaml", {"file x 3 y\nabc", 14}},
};

static struct buf printed(void)
{
    struct buf text = BUF_INIT(RECORD_BYTES);
    struct err e;
    assert_int_equal(trust_print(PATH, TIME, files, ARRAY_LEN(files), &text, &e), 0);
    return text;
}

static void what_is_printed_is_read_again(void **state)
{
    (void)state;
    struct buf text = printed();
    AUTO(trust_record) *t = NULL;
    struct err e;
    assert_int_equal(trust_parse(buf_slice(&text), &t, &e), 0);
    assert_string_equal(t->path, PATH);
    assert_string_equal(t->time, TIME);
    assert_true(trust_covers(t, files, ARRAY_LEN(files)));
    assert_false(trust_covers(t, files, ARRAY_LEN(files) - 1));
    assert_false(trust_covers(NULL, files, ARRAY_LEN(files)));
    buf_free(&text);
}

/* Every single byte counts: one that is changed is noticed, and so is an end that is missing. */
static void a_damaged_record_is_none(void **state)
{
    (void)state;
    struct buf text = printed();
    char *bytes = text.data + text.start;
    size_t path_end = strlen("exeat trust 1\npath " PATH "\ntime " TIME);
    for (size_t i = 0; i < buf_len(&text); i++) {
        AUTO(trust_record) *t = NULL;
        struct err e;
        bytes[i] ^= 0x01;
        bool parsed = trust_parse(buf_slice(&text), &t, &e) == 0;
        bytes[i] ^= 0x01;
        bool is_name = parsed && !trust_covers(t, files, ARRAY_LEN(files));
        if (parsed && !is_name && i > path_end)
            fail_msg("byte %zu", i);
    }
    for (size_t len = 0; len < buf_len(&text); len++) {
        AUTO(trust_record) *t = NULL;
        struct err e;
        assert_int_equal(trust_parse(slice_of(bytes, len), &t, &e), -1);
    }
    buf_free(&text);
}

static void a_path_with_a_line_break_is_refused(void **state)
{
    (void)state;
    AUTO_BUF text = BUF_INIT(RECORD_BYTES);
    struct err e;
    assert_int_equal(trust_print("/home/me/a\nend\n/.exeat.yaml", TIME, files, 1, &text, &e), -1);
}

/* --- on disk --- */

static char state_dir[64];

static int make_state(void **state)
{
    (void)state;
    snprintf(state_dir, sizeof state_dir, "/tmp/exeat-trust-XXXXXX");
    if (!mkdtemp(state_dir))
        return -1;
    return setenv("XDG_STATE_HOME", state_dir, 1);
}

static int remove_state(void **state)
{
    (void)state;
    char path[200];
    struct err e;
    int forgotten = trust_forget(PATH, &e);
    static const char *const folders[] = {"/exeat/trust", "/exeat", ""};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        snprintf(path, sizeof path, "%s%s", state_dir, folders[i]);
        if (rmdir(path) < 0)
            return -1;
    }
    return forgotten < 0 ? -1 : 0;
}

static char *record_path(void)
{
    char command[200];
    static char path[300];
    snprintf(command, sizeof command, "ls %s/exeat/trust/*", state_dir);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    assert_non_null(fgets(path, sizeof path, out));
    path[strcspn(path, "\n")] = '\0';
    pclose(out);
    return path;
}

static void trust_is_given_and_taken_back(void **state)
{
    (void)state;
    AUTO(trust_record) *t = NULL;
    AUTO(trust_record) *gone = NULL;
    struct err e;
    struct stat st;
    assert_int_equal(trust_read(PATH, &t, &e), 0);
    assert_null(t);
    assert_int_equal(trust_write(PATH, files, ARRAY_LEN(files), &e), 0);
    assert_int_equal(trust_read(PATH, &t, &e), 0);
    assert_true(trust_covers(t, files, ARRAY_LEN(files)));
    assert_int_equal(stat(record_path(), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(trust_forget(PATH, &e), 0);
    assert_int_equal(trust_forget(PATH, &e), 1);
    assert_int_equal(trust_read(PATH, &gone, &e), 0);
    assert_null(gone);
}

static void a_record_that_others_may_write_is_an_error(void **state)
{
    (void)state;
    AUTO(trust_record) *t = NULL;
    struct err e;
    assert_int_equal(trust_write(PATH, files, ARRAY_LEN(files), &e), 0);
    assert_int_equal(chmod(record_path(), 0620), 0);
    assert_int_equal(trust_read(PATH, &t, &e), -1);
    assert_int_equal(chmod(record_path(), 0602), 0);
    assert_int_equal(trust_read(PATH, &t, &e), -1);
    assert_int_equal(chmod(record_path(), 0600), 0);
    assert_int_equal(trust_read(PATH, &t, &e), 0);
}

static void a_record_of_another_policy_is_an_error(void **state)
{
    (void)state;
    AUTO(trust_record) *t = NULL;
    AUTO_BUF other = BUF_INIT(RECORD_BYTES);
    struct err e;
    assert_int_equal(trust_write(PATH, files, ARRAY_LEN(files), &e), 0);
    assert_int_equal(trust_print("/home/me/other/.exeat.yaml", TIME, files, 1, &other, &e), 0);
    assert_int_equal(io_replace_file(record_path(), buf_slice(&other), 0600, &e), 0);
    assert_int_equal(trust_read(PATH, &t, &e), -1);
}

static void a_record_behind_a_link_is_an_error(void **state)
{
    (void)state;
    AUTO(trust_record) *t = NULL;
    char moved[400];
    struct err e;
    assert_int_equal(trust_write(PATH, files, ARRAY_LEN(files), &e), 0);
    const char *record = record_path();
    snprintf(moved, sizeof moved, "%s/moved", state_dir);
    assert_int_equal(rename(record, moved), 0);
    assert_int_equal(symlink(moved, record), 0);
    assert_int_equal(trust_read(PATH, &t, &e), -1);
    assert_int_equal(unlink(moved), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_is_read_again),
        cmocka_unit_test(a_damaged_record_is_none),
        cmocka_unit_test(a_path_with_a_line_break_is_refused),
        cmocka_unit_test_setup_teardown(trust_is_given_and_taken_back, make_state, remove_state),
        cmocka_unit_test_setup_teardown(a_record_that_others_may_write_is_an_error, make_state, remove_state),
        cmocka_unit_test_setup_teardown(a_record_of_another_policy_is_an_error, make_state, remove_state),
        cmocka_unit_test_setup_teardown(a_record_behind_a_link_is_an_error, make_state, remove_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
