/* "Did you mean …?": the known word that a mistyped one is closest to. */
#pragma once
#include "base/slice.h"

enum { NEAREST_WORD_BYTES = 64 }; /* longer words have no nearest one */

/* Edit distance (insert, delete, replace, swap of neighbours: "optimal string alignment"), ASCII case
 * ignored.  `at_most` is returned plus one where it is more. */
unsigned nearest_distance(struct slice a, struct slice b, unsigned at_most);

/* Walks words: start with NEAREST_INIT(word), offer each known one, read `best` (NULL: none is close). */
struct nearest {
    struct slice word;
    const char *best;
    unsigned distance; /* of best; a candidate must be nearer than this */
};
#define NEAREST_INIT(w) ((struct nearest){.word = (w), .distance = (w).len < 4 ? 2 : 3})
void nearest_offer(struct nearest *n, const char *known);
