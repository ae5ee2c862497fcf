/* The caches of one task under the policies that it has had: the latest stay, and those in use. */
#include "app/run_kept.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TASK  "00112233445566aa-"
#define OTHER "ffffffffffffffff-"

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/exeat-kept-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static const char *path(const char *name)
{
    static char text[512];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

/* A cache with a file in a folder that nobody may write, used at `seconds`. */
static void put_cache(const char *name, int seconds)
{
    char inner[256];
    assert_int_equal(mkdir(path(name), 0700), 0);
    snprintf(inner, sizeof inner, "%.60s/modules", name);
    assert_int_equal(mkdir(path(inner), 0700), 0);
    snprintf(inner, sizeof inner, "%.60s/modules/file", name);
    FILE *f = fopen(path(inner), "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    snprintf(inner, sizeof inner, "%.60s/modules", name);
    assert_int_equal(chmod(path(inner), 0500), 0);
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path(name), times, 0), 0);
}

static bool is_there(const char *name)
{
    struct stat st;
    return lstat(path(name), &st) == 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "chmod -R u+w %s && rm -r %s", folder, folder);
    return system(command);
}

static void the_latest_of_the_task_stay(void **state)
{
    (void)state;
    static const char *const names[] = {TASK "0000000000000001", TASK "0000000000000002",
                                        TASK "0000000000000003", TASK "0000000000000004",
                                        OTHER "0000000000000001"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        put_cache(names[i], 1000 + (int)i);
    run_kept_sweep(path(names[0])); /* the one in hand is the oldest, and stays */
    assert_true(is_there(names[0]) && is_there(names[2]) && is_there(names[3]) && is_there(names[4]));
    assert_false(is_there(names[1]));
}

static void what_another_run_uses_stays(void **state)
{
    (void)state;
    static const char *const names[] = {TASK "0000000000000001", TASK "0000000000000002",
                                        TASK "0000000000000003", TASK "0000000000000004"};
    int lock = -1;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        put_cache(names[i], 1000 + (int)i);
    assert_int_equal(run_kept_claim(path(names[0]), &lock), 0);
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, path(names[0]), times, 0), 0);
    run_kept_sweep(path(names[3]));
    assert_true(is_there(names[0]));
    close(lock);
    run_kept_sweep(path(names[3]));
    assert_false(is_there(names[0]));
}

static void a_claim_makes_a_cache_the_latest(void **state)
{
    (void)state;
    struct stat st;
    int lock = -1;
    put_cache(TASK "0000000000000001", 1000);
    assert_int_equal(run_kept_claim(path(TASK "0000000000000001"), &lock), 0);
    assert_int_equal(stat(path(TASK "0000000000000001"), &st), 0);
    assert_true(st.st_mtim.tv_sec > 1000);
    close(lock);
    assert_int_equal(run_kept_claim(path("none"), &lock), -1);
}

static void a_link_with_such_a_name_leads_nowhere(void **state)
{
    (void)state;
    put_cache("elsewhere", 1000);
    for (int i = 1; i <= 4; i++) {
        char name[64];
        snprintf(name, sizeof name, TASK "000000000000000%d", i);
        assert_int_equal(symlink("elsewhere", path(name)), 0);
    }
    run_kept_sweep(path(TASK "0000000000000000"));
    assert_true(is_there("elsewhere/modules/file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_latest_of_the_task_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_another_run_uses_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_claim_makes_a_cache_the_latest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_with_such_a_name_leads_nowhere, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
