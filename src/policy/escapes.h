/* Percent escapes as those see them who judge: once for allow rules, fully for deny rules. */
#pragma once
#include "base/slice.h"

/* RFC 3986 2.1, once: %2541 becomes %41.  What is no escape stays as it is.  With `plus`, a `+` is a space
 * (application/x-www-form-urlencoded).  Never longer than `in`; returns the length. */
size_t escapes_once(struct slice in, bool plus, char *ret);
/* Takes every escape away, also those that appear when one is taken away (%2561 is %61 is a), in lower
 * case.  For deny rules only: a server that decodes twice must not see what they forbid.  Never longer
 * than `in`, and `ret` may be the same bytes. */
size_t escapes_fully(struct slice in, char *ret);
