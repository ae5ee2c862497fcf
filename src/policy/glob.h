/* Path patterns: `*` is any run of characters inside one segment, `**` as a whole segment is any number
 * of segments, none included.
 *
 * So a pattern that ends in a `**` segment matches everything below, and the path before it itself.
 * Iterative, no recursion: at worst |pattern| * |path| steps.
 */
#pragma once
#include "base/slice.h"

enum { CAP_GLOB_BYTES = 2048 };

/* NULL where the pattern is well-formed, else what is wrong.  It is canonical (http_pattern_canonical). */
const char *glob_check(struct slice pattern);
/* With `fold`, letters of the path are compared in lower case and the pattern must be in it (ASCII). */
bool glob_match(struct slice pattern, struct slice path, bool fold);
/* Whether every path that `narrow` matches is matched by `wide`; false also where that is hard to tell. */
bool glob_covers(struct slice wide, struct slice narrow);
/* Text without `/`: one segment of the above. */
bool glob_match_segment(struct slice pattern, struct slice text, bool fold);
