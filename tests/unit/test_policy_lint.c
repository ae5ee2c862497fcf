/* Lints the policies of tests/cases/lint.  Each ends in lines `# expect: LINE:COLUMN: LEVEL: ID`: exactly these must
 * be found, in this order. */
#include "case_files.h"
#include "policy/lint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { FOUND_BYTES = 64 << 10, CASES_LEAST = 30 };
enum { NOW_MS = 1800000000 }; /* seconds since 1970; in 2027 */

static void note(void *arg, const struct lint_finding *f)
{
    assert_string_equal(f->file, "policy.yaml");
    assert_true(strlen(f->message) > 20);
    assert_int_equal(
        buf_printf(arg, "%u:%u: %s: %s\n", f->line, f->column, lint_level_name(f->level), f->id), 0);
}

static void gather_expected(struct slice text, struct buf *ret)
{
    static const struct slice mark = {"# expect: ", 10};
    struct slice line;
    while (slice_next(&text, '\n', &line))
        if (slice_starts(line, mark))
            assert_int_equal(buf_printf(ret, "%.*s\n", SLICE_FMT(slice_skip(line, mark.len))), 0);
    assert_int_equal(buf_append(ret, SLICE("\0")), 0);
}

static void findings_are_as_expected(void **state)
{
    AUTO_BUF text = BUF_INIT(CASE_FILE_BYTES);
    AUTO_BUF found = BUF_INIT(FOUND_BYTES);
    AUTO_BUF wanted = BUF_INIT(FOUND_BYTES);
    AUTO(policy) *policy = NULL;
    struct err e = {0};
    case_read(*state, NULL, &text);
    if (policy_compile("policy.yaml", buf_slice(&text), "task", NULL, NULL, &policy, &e) < 0)
        fail_msg("%s", e.text);
    policy_lint(policy, NOW_MS * INT64_C(1000), note, &found);
    assert_int_equal(buf_append(&found, SLICE("\0")), 0);
    gather_expected(buf_slice(&text), &wanted);
    assert_string_equal(found.data + found.start, wanted.data + wanted.start);
}

int main(void)
{
    return case_run_all("lint", CASES_LEAST, findings_are_as_expected);
}
