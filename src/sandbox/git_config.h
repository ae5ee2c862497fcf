/* Reads the text of a git configuration file (git-config(1), "Syntax"), without running git and without
 * following its includes.  Pure: bytes in, calls out. */
#pragma once
#include "base/slice.h"

enum { GIT_CONFIG_KEY = 512, GIT_CONFIG_VALUE = 4096 };

/* One variable.  key: "section.name" or "section.subsection.name", section and name in lower case; value:
 * without quotes and escapes, "true" where there is no `=`.  Both end with a NUL and are valid during the
 * call only. Anything but 0 ends the reading with that result. */
typedef int git_config_each(void *ctx, const char *key, const char *value);

/* -1 where git itself would refuse the file, or a key or value is over its limit; what came before was told.
 */
MUST_USE int git_config_read(struct slice text, git_config_each *each, void *ctx);
