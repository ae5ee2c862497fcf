/* audit/redact_args: what of a command line may be seen: cases in tests/cases/audit/args. */
#include "audit/redact_args.h"
#include "http_cases.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { ROOM = 1024 };

static void redact(struct slice input, struct buf *out)
{
    char text[ROOM];
    http_case_put(out, slice_of(text, redact_args(input, text, sizeof text)));
}

static void command_lines_show_no_secret(void **state)
{
    (void)state;
    http_cases_check("../audit/args", 20, redact);
}

/* Whatever room there is, what is written ends with a NUL and holds nothing of a secret. */
static void little_room_is_never_exceeded(void **state)
{
    static const struct slice line = SLICE("prog\0--token\0s3cret\0https://u:s3cret@a.test/\0");
    (void)state;
    for (size_t size = 0; size < 80; size++) {
        char text[80];
        memset(text, '~', sizeof text);
        size_t n = redact_args(line, text, size);
        assert_true(n <= size);
        assert_true(n == 0 || text[n - 1] == '\0');
        for (size_t i = size; i < sizeof text; i++)
            assert_int_equal(text[i], '~');
        assert_null(memmem(text, n, "s3cret", 6));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_lines_show_no_secret),
        cmocka_unit_test(little_room_is_never_exceeded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
