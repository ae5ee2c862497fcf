/* Cases as lines of a file under tests/cases/http/: "INPUT => EXPECTED".
 *
 * A line that starts with '#' is a comment and says what the lines below it are about.  Both sides may
 * hold \r \n \t \0 \s (a space) \\ \xHH, and \{TEXT*N} for TEXT repeated N times.  What a test makes of
 * an input is printed in the same notation, so that a failure can be read beside its line. */
#pragma once
#include "base/buf.h"
#include "http/fault.h"

/* Writes to `out` what the code under test makes of `input`. */
typedef void http_case_run(struct slice input, struct buf *out);

/* Runs every line; each that differs is printed with file and line, then the test fails.
 * A file with fewer than `at_least` cases fails too: a test that reads nothing proves nothing. */
void http_cases_check(const char *file, unsigned at_least, http_case_run *run);

/* The id that the case files use: "malformed", "ambiguous-target", … */
const char *http_case_fault(enum http_fault fault);
/* Appends in the notation above. */
void http_case_put(struct buf *out, struct slice text);
void http_case_printf(struct buf *out, const char *fmt, ...) PRINTF(2, 3);
