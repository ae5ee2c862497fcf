/* Shows that the mechanism works; goes when the first real test comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void cmocka_speaks_tap(void **state)
{
    (void)state;
    assert_true(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cmocka_speaks_tap),
    };
    return cmocka_run_group_tests_name("base_placeholder", tests, NULL, NULL);
}
