/* Path patterns against path patterns. */
#include "policy/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Whether every path that `narrow` matches is matched by `wide`. */
static const struct {
    const char *wide, *narrow;
    bool covers;
} globs[] = {
    {"/a", "/a", true},          {"/a", "/b", false},         {"/a", "/a/", false},
    {"/*", "/a", true},          {"/*", "/a/b", false},       {"/*", "/**", false},
    {"/**", "/**", true},        {"/**", "/", true},          {"/**", "/a/*/b", true},
    {"/a/**", "/a", true},       {"/a/**", "/a/**", true},    {"/a/**", "/ab/**", false},
    {"/a/**", "/*/x", false},    {"/**/x", "/a/x", true},     {"/**/x", "/a/**", false},
    {"/**/x", "/**/a/x", true},  {"/a*", "/ab*", true},       {"/ab*", "/a*", false},
    {"/a*c", "/abc", true},      {"/*a", "/*b", false},       {"/*/b", "/a/b", true},
    {"/a/*/c", "/a/**", false},  {"/a/**/c", "/a/b/c", true}, {"/a/**/c", "/a/**/b/c", true},
    {"/**/**", "/a", true},      {"/*/**", "/a", true},       {"/*/**", "/**", false},
};

static void a_pattern_covers_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(globs); i++)
        if (glob_covers(slice_str(globs[i].wide), slice_str(globs[i].narrow)) != globs[i].covers)
            fail_msg("%s %s %s", globs[i].wide, globs[i].covers ? "covers" : "does not cover", globs[i].narrow);
}

/* Far too many segments are not told apart, and cost nothing. */
static void a_pattern_of_many_segments_covers_nothing(void **state)
{
    (void)state;
    char many[CAP_GLOB_BYTES + 1];
    for (size_t i = 0; i + 3 <= CAP_GLOB_BYTES; i += 3)
        memcpy(many + i, "/**", 3);
    assert_false(glob_covers(slice_of(many, 2046), slice_of(many, 2046)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_covers_what_it_says),
        cmocka_unit_test(a_pattern_of_many_segments_covers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
