/* Compiles the policies of tests/cases/policy-errors.  Each ends in lines `# expect: LINE:COLUMN: message`:
 * exactly these must be reported, in this order.  A `*` at the end stands for any rest (the words of a
 * library), at the start for any place.  What they extend lies in tests/cases/extends; an error there has its
 * file's name before the place. */
#include "case_files.h"
#include "policy/policy.h"
#include "policy_texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

enum { REPORTS_BYTES = 64 << 10, BOMB_MS = 250 };

static void note(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    bool own = strcmp(file, "policy.yaml") == 0;
    assert_int_equal(
        buf_printf(arg, "%s%s%u:%u: %s\n", own ? "" : file, own ? "" : ":", line, column, message), 0);
}

static bool matches(struct slice got, struct slice wanted)
{
    if (slice_ends(wanted, SLICE("*")))
        return slice_starts(got, slice_first(wanted, wanted.len - 1));
    if (slice_starts(wanted, SLICE("*")))
        return slice_ends(got, slice_skip(wanted, 1));
    return slice_eq(got, wanted);
}

/* The next expectation of a case. */
static bool next_expected(struct slice *text, struct slice *ret)
{
    static const struct slice mark = {"# expect: ", 10};
    struct slice line;
    while (slice_next(text, '\n', &line))
        if (slice_starts(line, mark)) {
            *ret = slice_skip(line, mark.len);
            return true;
        }
    return false;
}

static void compare(struct slice text, struct slice reports, const struct err *first)
{
    struct slice wanted, got, all = reports;
    bool is_first = true;
    while (next_expected(&text, &wanted)) {
        if (!slice_next(&reports, '\n', &got) || !matches(got, wanted))
            fail_msg("expected \"%.*s\", reported:\n%.*s", SLICE_FMT(wanted), SLICE_FMT(all));
        if (is_first && got.ptr[0] != '0')
            assert_true(slice_ends(slice_str(first->text), got));
        is_first = false;
    }
    assert_false(is_first);
    if (reports.len)
        fail_msg("not expected: %.*s", SLICE_FMT(reports));
}

static int64_t cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void errors_are_reported_as_expected(void **state)
{
    AUTO_BUF text = BUF_INIT(CASE_FILE_BYTES);
    AUTO_BUF reports = BUF_INIT(REPORTS_BYTES);
    AUTO(policy) *policy = NULL;
    struct err e = {0};
    case_read(*state, NULL, &text);
    int64_t start = cpu_ms();
    struct policy_texts texts = {.count = 0};
    const struct policy_source from = {"policy.yaml", buf_slice(&text), "task", policy_texts_find, &texts};
    assert_int_equal(policy_compile_source(&from, note, &reports, &policy, &e), -1);
    policy_texts_clear(&texts);
    assert_in_range(cpu_ms() - start, 0, BOMB_MS);
    assert_null(policy);
    compare(buf_slice(&text), buf_slice(&reports), &e);
}

int main(void)
{
    return case_run_all("policy-errors", 120, errors_are_reported_as_expected);
}
