/* Parses the configurations of tests/cases/config-errors.  Each ends in lines `# expect: LINE:COLUMN:
 * message`: exactly these must be reported, in this order. */
#include "app/config.h"
#include "case_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { REPORTS_BYTES = 64 << 10 };

static void note(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    assert_string_equal(file, "/etc/exeat/exeat.yaml");
    assert_int_equal(buf_printf(arg, "# expect: %u:%u: %s\n", line, column, message), 0);
}

/* The end of the file, from its first expectation on. */
static struct slice expected(struct slice text)
{
    static const struct slice mark = {"# expect: ", 10};
    while (text.len && !slice_starts(text, mark)) {
        struct slice line;
        if (!slice_next(&text, '\n', &line))
            break;
    }
    return text;
}

static void errors_are_reported_as_expected(void **state)
{
    AUTO_BUF text = BUF_INIT(CASE_FILE_BYTES);
    AUTO_BUF reports = BUF_INIT(REPORTS_BYTES);
    AUTO(config) *config = NULL;
    struct err e = {0};
    case_read(*state, NULL, &text);
    struct problems problems = {
        .file = "/etc/exeat/exeat.yaml", .report = note, .report_arg = &reports, .first = &e};
    assert_int_equal(config_parse(buf_slice(&text), &problems, &config), -1);
    assert_null(config);
    struct slice wanted = expected(buf_slice(&text));
    if (wanted.len == 0 || !slice_eq(wanted, buf_slice(&reports)))
        fail_msg("expected:\n%.*sreported:\n%.*s", SLICE_FMT(wanted), SLICE_FMT(buf_slice(&reports)));
    assert_memory_equal(e.text, "/etc/exeat/exeat.yaml:", 22);
}

int main(void)
{
    return case_run_all("config-errors", 40, errors_are_reported_as_expected);
}
