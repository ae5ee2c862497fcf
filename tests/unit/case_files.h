/* Cases that are folders or files under tests/cases, each run as one test with the name of its folder. */
#pragma once
#include "base/buf.h"

enum { CASE_PATH_BYTES = 4096, CASE_FILE_BYTES = 2 << 20 };

/* tests/cases/<kind>/<name> in the source tree. */
void case_path(const char *kind, const char *name, char ret[CASE_PATH_BYTES]);
/* The whole file at <path>[/<file>]; fails the test where it cannot be read.  `file` may be NULL. */
void case_read(const char *path, const char *file, struct buf *ret);
/* Runs `test` once for each entry of tests/cases/<kind>, in alphabetical order; `*state` is its path.
 * Returns the number of failures, as cmocka does; less than `at_least` entries are a failure. */
int case_run_all(const char *kind, size_t at_least, void (*test)(void **state));
