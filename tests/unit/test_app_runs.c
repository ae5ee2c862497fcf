/* The folders of dead runs go, those of live ones stay. */
#include "app/runs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/exeat-runs-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static const char *path(const char *name)
{
    static char text[256];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

static bool is_there(const char *name)
{
    struct stat st;
    return lstat(path(name), &st) == 0;
}

static int claim(const char *id)
{
    int lock = -1;
    struct err e = {0};
    if (runs_claim(folder, id, &lock, &e) < 0)
        fail_msg("%s", e.text);
    return lock;
}

static void put_file(const char *name)
{
    FILE *f = fopen(path(name), "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

/* All are dead then, and the last claim is given up and removed. */
static int tear_down(void **state)
{
    (void)state;
    close(claim("last"));
    return rmdir(path("last")) == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void a_live_run_keeps_its_folder(void **state)
{
    (void)state;
    int first = claim("first");
    put_file("first/ca.pem");
    int second = claim("second");
    assert_true(is_there("first/ca.pem") && is_there("second"));
    struct stat st;
    assert_int_equal(stat(path("first"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    close(first);
    close(second);
}

static void a_killed_run_is_swept_with_all_that_lies_in_it(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        int lock = -1;
        if (runs_claim(folder, "dead", &lock, NULL) < 0)
            _exit(1);
        pause();
    }
    while (!is_there("dead"))
        usleep(1000);
    int early = claim("early");
    assert_true(is_there("dead"));
    assert_int_equal(mkdir(path("dead/a"), 0700), 0);
    assert_int_equal(mkdir(path("dead/a/b"), 0700), 0);
    put_file("dead/a/b/file");
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    int late = claim("late");
    assert_false(is_there("dead"));
    assert_true(is_there("early"));
    close(early);
    close(late);
}

static void links_are_removed_and_not_followed(void **state)
{
    char outside[] = "/tmp/exeat-outside-XXXXXX", file[64];
    (void)state;
    assert_non_null(mkdtemp(outside));
    snprintf(file, sizeof file, "%s/precious", outside);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    close(claim("dead"));
    assert_int_equal(symlink(outside, path("dead/link")), 0);
    assert_int_equal(symlink(outside, path("aside")), 0);
    close(claim("next"));
    assert_false(is_there("dead"));
    assert_true(is_there("aside")); /* no folder of a run */
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(unlink(path("aside")), 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(outside), 0);
}

static void a_name_that_is_taken_is_an_error(void **state)
{
    (void)state;
    int lock = claim("one"), other = -1;
    struct err e = {0};
    assert_int_equal(runs_claim(folder, "one", &other, &e), -1);
    assert_int_equal(other, -1);
    assert_non_null(strstr(e.text, "/one"));
    close(lock);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_live_run_keeps_its_folder),
        CASE(a_killed_run_is_swept_with_all_that_lies_in_it),
        CASE(links_are_removed_and_not_followed),
        CASE(a_name_that_is_taken_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
