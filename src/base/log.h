/* Lines on standard error, for roles and commands; libraries return errors instead.
 * One line is one write(2), so that lines of several processes do not mix. */
#pragma once
#include "base/macros.h"

/* Stands before each line: "exeat proxy: …".  Set once at the start; a literal. */
void log_set_name(const char *name);
void log_info(const char *fmt, ...) PRINTF(1, 2);
void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_error(const char *fmt, ...) PRINTF(1, 2);
