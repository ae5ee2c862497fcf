#include "case_files.h"

#include "base/io.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

void case_path(const char *kind, const char *name, char ret[CASE_PATH_BYTES])
{
    const char *top = getenv("EXEAT_TOP_SRCDIR");
    snprintf(ret, CASE_PATH_BYTES, "%s/tests/cases/%s%s%s", top ? top : ".", kind, *name ? "/" : "", name);
}

void case_read(const char *path, const char *file, struct buf *ret)
{
    char whole[CASE_PATH_BYTES + 64];
    struct err e;
    snprintf(whole, sizeof whole, "%s%s%s", path, file ? "/" : "", file ? file : "");
    if (io_read_file(whole, ret, &e) < 0)
        fail_msg("%s", e.text);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int case_run_all(const char *kind, size_t at_least, void (*test)(void **state))
{
    char dir[CASE_PATH_BYTES];
    struct dirent **entries;
    case_path(kind, "", dir);
    int n = scandir(dir, &entries, is_visible, alphasort);
    if (n < 0 || (size_t)n < at_least) {
        printf("Bail out! %s: %d cases, %zu expected\n", dir, n, at_least);
        return 1;
    }
    struct CMUnitTest *tests = calloc((size_t)n, sizeof *tests);
    if (!tests)
        return 1;
    for (int i = 0; i < n; i++) {
        char *path = malloc(CASE_PATH_BYTES);
        if (!path)
            return 1;
        case_path(kind, entries[i]->d_name, path);
        tests[i] = (struct CMUnitTest){entries[i]->d_name, test, NULL, NULL, path};
    }
    int failed = _cmocka_run_group_tests(kind, tests, (size_t)n, NULL, NULL);
    for (int i = 0; i < n; i++) {
        free(tests[i].initial_state);
        free(entries[i]);
    }
    free(entries);
    free(tests);
    return failed;
}
