#include "regex/regex.h"

#include "base/caps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

struct row {
    const char *pattern, *text;
    unsigned flags;
    enum regex_result result;
};

static const struct row rows[] = {
    {"/a", "/a", 0, REGEX_MATCH},
    {"/a", "/ab", 0, REGEX_NO_MATCH},
    {"/a", "x/a", 0, REGEX_NO_MATCH},
    {"/a|/b", "/bx", 0, REGEX_NO_MATCH},
    {"/a|/ab", "/ab", 0, REGEX_MATCH}, /* goes on after the first alternative did not reach the end */
    {"/a$", "/a\n", 0, REGEX_NO_MATCH},
    {"/a.*", "/a\n", 0, REGEX_NO_MATCH},
    {"/A", "/a", 0, REGEX_NO_MATCH},
    {"/A", "/a", REGEX_NOCASE, REGEX_MATCH},
    {"/\\xe9", "/\xc9", REGEX_NOCASE, REGEX_NO_MATCH}, /* case is ASCII */
    {"/.", "/\xc3\xa9", 0, REGEX_NO_MATCH},            /* a byte, not a character */
    {"/a\\K", "/a", 0, REGEX_MATCH},
    {"/a(*ACCEPT)b", "/ax", 0, REGEX_NO_MATCH},
    {"", "", 0, REGEX_MATCH},
    {"(a|aa)*[bc]d", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaad", 0, REGEX_LIMIT},
};

static void an_expression_matches_whole_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {0};
        AUTO(regex) *r = NULL;
        if (regex_compile(slice_str(rows[i].pattern), rows[i].flags, &r, NULL, &e) < 0)
            fail_msg("%s: %s", rows[i].pattern, e.text);
        if (regex_match(r, slice_str(rows[i].text)) != rows[i].result)
            fail_msg("row %zu: %s", i, rows[i].pattern);
    }
}

static void bad_patterns_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *pattern;
        size_t offset;
    } bad[] = {{"/a(", 3}, {"[z", 2}, {"/a**", 3}, {"\\C", 2}, {"(*UTF)a", 0}, {"(*LIMIT_MATCH=9)a", 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        struct regex *r = NULL;
        size_t offset = 999;
        assert_int_equal(regex_compile(slice_str(bad[i].pattern), 0, &r, &offset, &e), -1);
        assert_null(r);
        assert_int_equal(offset, bad[i].offset);
        assert_true(e.text[0]);
    }
}

static void a_pattern_over_the_cap_is_refused(void **state)
{
    (void)state;
    char text[CAP_REGEX_PATTERN_BYTES + 1];
    struct err e = {0};
    AUTO(regex) *r = NULL;
    memset(text, 'a', sizeof text);
    assert_int_equal(regex_compile(slice_of(text, sizeof text), 0, &r, NULL, &e), -1);
    assert_int_equal(regex_compile(slice_of(text, sizeof text - 1), 0, &r, NULL, &e), 0);
}

static void *match_often(void *arg)
{
    for (int i = 0; i < 200; i++)
        if (regex_match(arg, SLICE("/items/17")) != REGEX_MATCH)
            return arg;
    return NULL;
}

static void threads_share_an_expression(void **state)
{
    (void)state;
    struct err e;
    AUTO(regex) *r = NULL;
    pthread_t threads[4];
    assert_int_equal(regex_compile(SLICE("/items/[0-9]+"), 0, &r, NULL, &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, match_often, r), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expression_matches_whole_texts),
        cmocka_unit_test(bad_patterns_are_refused_with_their_place),
        cmocka_unit_test(a_pattern_over_the_cap_is_refused),
        cmocka_unit_test(threads_share_an_expression),
    };
    return cmocka_run_group_tests_name("regex", tests, NULL, NULL);
}
