/* The writer: one chain whatever happens to the process, the file or the disk. */
#include "audit/chain.h"
#include "audit_fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char name[] = "audit.jsonl";

static void assert_whole(const struct audit_fixture *f)
{
    const char *problem = fixture_verify(f);
    if (problem)
        fail_msg("%s", problem);
}

static void the_first_record_names_no_other(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    fixture_write(log, 1);
    audit_close(log);
    AUTO_BUF room;
    struct slice line = fixture_read(f, name, &room), prev;
    uint64_t seq;
    assert_int_equal(fixture_lines(line), 1);
    assert_int_equal(chain_parse(slice_first(line, line.len - 1), &seq, &prev), 0);
    assert_int_equal(seq, 1);
    for (size_t i = 0; i < prev.len; i++)
        assert_int_equal(prev.ptr[i], '0');
}

static void the_file_is_the_owners_alone(void **state)
{
    struct audit_fixture *f = *state;
    mode_t mask = umask(0);
    struct audit_log *log = fixture_open(f);
    struct stat st;
    umask(mask);
    assert_int_equal(fstatat(f->dir_fd, name, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    audit_close(log);
}

static void a_chain_goes_on_when_the_log_is_opened_again(void **state)
{
    struct audit_fixture *f = *state;
    uint64_t seq;
    char hash[65], after[65];
    for (unsigned round = 1; round <= 4; round++) {
        struct audit_log *log = fixture_open(f);
        if (round > 1) {
            audit_head(log, &seq, after);
            assert_string_equal(hash, after);
        }
        fixture_write(log, 3);
        audit_head(log, &seq, hash);
        assert_int_equal(seq, 3 * round);
        audit_close(log);
    }
    assert_whole(f);
}

static void append_raw(const struct audit_fixture *f, struct slice bytes)
{
    AUTO_FD int fd = openat(f->dir_fd, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
}

static void half_a_line_left_by_a_crash_is_cut_off_on_record(void **state)
{
    struct audit_fixture *f = *state;
    static const char zeros[5000];
    const struct slice torn[] = {
        SLICE("{\"v\":1,\"seq\":4,\"id\":\"01M7YV5TF2BNH"),
        SLICE("{"),
        slice_of(zeros, sizeof zeros),
    };
    for (size_t i = 0; i < ARRAY_LEN(torn); i++) {
        struct audit_log *log = fixture_open(f);
        fixture_write(log, 3);
        audit_close(log);
        append_raw(f, torn[i]);
        assert_non_null(fixture_verify(f));

        char words[80];
        snprintf(words, sizeof words, "unfinished line of %zu bytes cut off, sha256=", torn[i].len);
        audit_close(fixture_open(f));
        AUTO_BUF room;
        assert_true(fixture_has(fixture_read(f, name, &room), words));
        assert_whole(f);
    }
}

static void a_file_that_is_no_log_is_left_alone(void **state)
{
    struct audit_fixture *f = *state;
    const struct slice others[] = {
        SLICE("hello\n"),     SLICE("no newline"),
        SLICE("{\"v\":2}\n"), SLICE("{\"v\":1,\"seq\":1,\"prev\":\"abc\"}\n"),
        SLICE("\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        AUTO_BUF room;
        fixture_replace(f, name, others[i]);
        fixture_open_fails(f, "move");
        assert_true(slice_eq(fixture_read(f, name, &room), others[i]));
    }
}

static void a_log_whose_last_lines_do_not_chain_is_refused(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    fixture_write(log, 3);
    audit_close(log);
    AUTO_BUF room;
    struct slice text = fixture_read(f, name, &room);
    size_t second = (size_t)slice_find(text, '\n') + 1;
    char *task = memmem(room.data + second, text.len - second, "\"task\":\"t\"", 10);
    task[8] = 'u'; /* of the second record: the hash in the third no longer fits */
    fixture_replace(f, name, text);
    fixture_open_fails(f, "does not follow");
}

static void a_log_has_one_writer(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    fixture_open_fails(f, "another process is writing");
    audit_close(log);
    audit_close(fixture_open(f));
}

static void links_and_open_modes_are_refused(void **state)
{
    struct audit_fixture *f = *state;
    append_raw(f, SLICE(""));
    assert_int_equal(linkat(f->dir_fd, name, f->dir_fd, "second", 0), 0);
    fixture_open_fails(f, "hard links");
    assert_int_equal(unlinkat(f->dir_fd, "second", 0), 0);
    assert_int_equal(fchmodat(f->dir_fd, name, 0620, 0), 0);
    fixture_open_fails(f, "chmod 600");
    assert_int_equal(renameat(f->dir_fd, name, f->dir_fd, "target"), 0);
    assert_int_equal(symlinkat("target", f->dir_fd, name), 0);
    fixture_open_fails(f, "symbolic link");
    assert_int_equal(unlinkat(f->dir_fd, name, 0), 0);
    assert_int_equal(mkfifoat(f->dir_fd, name, 0600), 0);
    fixture_open_fails(f, "not a regular file");
}

/* ---- a full disk ---- */

struct waiter {
    struct audit_ticket ticket;
    unsigned ok, failed;
};

static void on_written(struct audit_ticket *t, bool ok)
{
    struct waiter *w = LIST_ENTRY(t, struct waiter, ticket);
    w->ok += ok;
    w->failed += !ok;
}

static void ignore_wake(void *arg)
{
    (void)arg;
}

static const struct audit_event request = {.kind = AUDIT_REQUEST,
                                           .task = "t",
                                           .verdict = "allow",
                                           .method = SLICE("GET"),
                                           .url = SLICE("https://api.test/")};

/* Files of this process may grow to `bytes`; RLIM_INFINITY lifts it again. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool is_available(void *log)
{
    return audit_available(log);
}

static void a_full_disk_stops_traffic_and_loses_no_record(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    struct audit_port *port = audit_port_new(log, ignore_wake, NULL);
    struct waiter waiters[8] = {0};
    struct err e = {0};
    fixture_write(log, 2);
    limit_files(1000); /* the next write ends in the middle of a record */

    for (size_t i = 0; i < ARRAY_LEN(waiters); i++) {
        waiters[i].ticket.written = on_written;
        assert_int_equal(audit_queue(port, &request, &waiters[i].ticket), 0);
    }
    audit_commit(port);
    assert_false(audit_available(log));
    assert_true(audit_problem(log, &e));
    assert_non_null(strstr(e.text, "File too large"));
    for (size_t i = 0; i < ARRAY_LEN(waiters); i++) {
        assert_int_equal(waiters[i].failed, 1);
        assert_int_equal(waiters[i].ok, 0);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(audit_queue(port, &request, NULL), -1);
    assert_int_equal(audit_write_now(log, &request, &e), -1);
    AUTO_BUF room;
    struct slice text = fixture_read(f, name, &room);
    assert_int_equal(fixture_lines(text), 2); /* no half record stays behind */
    assert_int_equal(text.ptr[text.len - 1], '\n');
    audit_tick(log); /* still full */

    limit_files(RLIM_INFINITY);
    audit_tick(log);
    assert_true(fixture_wait(is_available, log));
    fixture_write(log, 1);
    audit_port_free(port);
    audit_close(log);
    AUTO_BUF later;
    text = fixture_read(f, name, &later);
    assert_int_equal(fixture_lines(text), 2 + 8 + 1 + 1);
    assert_true(fixture_has(
        text, "8 records delayed, 0 lost, 3 requests refused while the log could not be written"));
    assert_whole(f);
}

/* ---- what others do to the file ---- */

struct wanted {
    struct audit_log *log;
    const char *words;
    struct err problem;
};

static bool has_problem(void *arg)
{
    struct wanted *w = arg;
    audit_tick(w->log);
    return audit_problem(w->log, &w->problem) && strstr(w->problem.text, w->words);
}

static void assert_stops(struct audit_log *log, const char *words)
{
    struct wanted w = {.log = log, .words = words};
    if (!fixture_wait(has_problem, &w))
        fail_msg("\"%s\" does not say \"%s\"", w.problem.text, words);
    assert_false(audit_available(log));
}

static void a_log_that_was_moved_stops_traffic_until_it_is_back(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    fixture_write(log, 2);
    assert_int_equal(renameat(f->dir_fd, name, f->dir_fd, "away"), 0);
    assert_stops(log, "moved away");
    append_raw(f, SLICE(""));
    assert_stops(log, "another file");
    assert_int_equal(renameat(f->dir_fd, "away", f->dir_fd, name), 0);
    audit_tick(log);
    assert_true(fixture_wait(is_available, log));
    fixture_write(log, 1);
    audit_close(log);
    assert_whole(f);
}

static void a_deleted_log_stops_traffic(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    fixture_write(log, 2);
    assert_int_equal(unlinkat(f->dir_fd, name, 0), 0);
    assert_stops(log, "deleted");
    audit_close(log);
}

static void a_log_that_something_else_writes_to_stops_traffic(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    fixture_write(log, 2);
    append_raw(f, SLICE("hello\n"));
    assert_stops(log, "written to");
    audit_close(log);
    AUTO_BUF room;
    assert_true(fixture_has(fixture_read(f, name, &room), "hello\n")); /* evidence is not ours to cut */
}

/* ---- rotation ---- */

static bool has_rotated(void *arg)
{
    const struct audit_fixture *f = arg;
    return faccessat(f->dir_fd, "audit.jsonl.000000000001", F_OK, 0) == 0;
}

static void a_full_file_is_rotated_and_the_chain_goes_on(void **state)
{
    struct audit_fixture *f = *state;
    f->options.rotate = 4000;
    struct audit_log *log = fixture_open(f);
    audit_tick(log); /* the log's own thread runs from here on */
    fixture_write(log, 20);
    assert_true(fixture_wait(has_rotated, f));
    fixture_write(log, 20);
    audit_close(log);
    assert_whole(f);
    log = fixture_open(f);
    uint64_t seq;
    char hash[65];
    audit_head(log, &seq, hash);
    assert_true(seq >= 40);
    fixture_write(log, 1);
    audit_close(log);
    assert_whole(f);
}

static unsigned rotated_files(const struct audit_fixture *f)
{
    unsigned n = 0;
    for (unsigned seq = 1; seq < 2000; seq++) {
        char rotated[64];
        snprintf(rotated, sizeof rotated, "audit.jsonl.%012u", seq);
        n += faccessat(f->dir_fd, rotated, F_OK, 0) == 0;
    }
    return n;
}

static void dropped_files_are_named_by_a_checkpoint(void **state)
{
    struct audit_fixture *f = *state;
    f->options.rotate = 2000;
    f->options.keep = 2;
    for (int i = 0; i < 6; i++) {
        struct audit_log *log = fixture_open(f);
        fixture_write(log, 5);
        audit_close(log); /* rotates: more than 2000 bytes */
    }
    assert_int_equal(rotated_files(f), 2);
    assert_false(has_rotated(f));
    assert_whole(f);
    AUTO_BUF room;
    assert_true(fixture_has(fixture_read(f, name, &room), "\"detail\":\"dropping audit.jsonl.0000000000"));
}

static void a_file_younger_than_keep_stays(void **state)
{
    static const int64_t hour_ms = 3600 * 1000;
    struct audit_fixture *f = *state;
    f->options.rotate = 2000;
    f->options.keep = 1;
    f->options.keep_age_ms = hour_ms;
    for (int i = 0; i < 4; i++) {
        struct audit_log *log = fixture_open(f);
        fixture_write(log, 5);
        audit_close(log);
    }
    assert_int_equal(rotated_files(f), 4);
    const struct timespec old[2] = {{.tv_sec = time(NULL) - 3700}, {.tv_sec = time(NULL) - 3700}};
    assert_int_equal(utimensat(f->dir_fd, "audit.jsonl.000000000001", old, 0), 0);
    audit_close(fixture_open(f));
    assert_int_equal(rotated_files(f), 3);
    assert_false(has_rotated(f));
    f->options.keep_age_ms = 0;
    audit_close(fixture_open(f));
    assert_int_equal(rotated_files(f), 1);
    assert_whole(f);
}

static void without_rotation_nothing_is_dropped(void **state)
{
    struct audit_fixture *f = *state;
    f->options.rotate = 1000;
    for (int i = 0; i < 3; i++) {
        struct audit_log *log = fixture_open(f);
        fixture_write(log, 5);
        audit_close(log);
    }
    f->options.rotate = 0;
    f->options.keep = 0;
    audit_close(fixture_open(f));
    assert_int_equal(rotated_files(f), 3);
    assert_whole(f);
}

static void a_crash_between_the_two_renames_of_a_rotation_is_mended(void **state)
{
    struct audit_fixture *f = *state;
    struct audit_log *log = fixture_open(f);
    fixture_write(log, 5);
    audit_close(log);
    assert_int_equal(renameat(f->dir_fd, name, f->dir_fd, "audit.jsonl.000000000001"), 0);
    log = fixture_open(f);
    fixture_write(log, 1);
    uint64_t seq;
    char hash[65];
    audit_head(log, &seq, hash);
    assert_int_equal(seq, 6);
    audit_close(log);
    assert_whole(f);
}

static void a_killed_writer_leaves_whole_records(void **state)
{
    struct audit_fixture *f = *state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct audit_log *log;
        struct err e;
        const struct audit_event ev = {.kind = AUDIT_STOP, .ns = -1};
        if (audit_open(&f->options, &log, &e) < 0)
            _exit(1);
        for (unsigned i = 0;; i++) {
            if (audit_write_now(log, &ev, &e) < 0 || (i == 100 && write(ready[1], "x", 1) != 1))
                _exit(1);
        }
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    struct audit_log *log = fixture_open(f);
    uint64_t seq;
    char hash[65];
    audit_head(log, &seq, hash);
    assert_true(seq > 100);
    fixture_write(log, 1);
    audit_close(log);
    assert_whole(f);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, audit_fixture_setup, audit_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_record_names_no_other),
        TEST(the_file_is_the_owners_alone),
        TEST(a_chain_goes_on_when_the_log_is_opened_again),
        TEST(half_a_line_left_by_a_crash_is_cut_off_on_record),
        TEST(a_file_that_is_no_log_is_left_alone),
        TEST(a_log_whose_last_lines_do_not_chain_is_refused),
        TEST(a_log_has_one_writer),
        TEST(links_and_open_modes_are_refused),
        TEST(a_full_disk_stops_traffic_and_loses_no_record),
        TEST(a_log_that_was_moved_stops_traffic_until_it_is_back),
        TEST(a_deleted_log_stops_traffic),
        TEST(a_log_that_something_else_writes_to_stops_traffic),
        TEST(a_full_file_is_rotated_and_the_chain_goes_on),
        TEST(dropped_files_are_named_by_a_checkpoint),
        TEST(a_file_younger_than_keep_stays),
        TEST(without_rotation_nothing_is_dropped),
        TEST(a_crash_between_the_two_renames_of_a_rotation_is_mended),
        TEST(a_killed_writer_leaves_whole_records),
    };
    return cmocka_run_group_tests_name("audit_log", tests, NULL, NULL);
}
