/* Text from outside on a terminal: controls, and what reorders or hides text, become '?'. */
#pragma once
#include "base/buf.h"

/* Appends at most `max` characters of UTF-8 text (the last is an ellipsis where there were more) and adds to
 * *columns how many. */
MUST_USE int printable_append(struct buf *out, struct slice text, size_t max, size_t *columns);
/* As above, at most 200 characters (interfaces.md 7); `defang` (hxxps://) where no terminal may make a link of it. */
MUST_USE int printable_url(struct buf *out, struct slice url, size_t max, bool defang, size_t *columns);
/* Several lines, each ended by a newline; bytes that are no UTF-8 become '?' too. */
MUST_USE int printable_lines(struct buf *out, struct slice text);
/* The same within the text, a '?' for each byte: for who has no memory to spare. */
void printable_replace(char *text, size_t len);
