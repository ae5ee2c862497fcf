/* "did you mean": the nearest of several names. */
#pragma once
#include "base/slice.h"

struct suggestion {
    struct slice typed;
    const char *name; /* the best so far; NULL where none is near enough to be meant */
    unsigned distance;
};

#define SUGGESTION_INIT(text) ((struct suggestion){.typed = (text)})

/* Edits between two names: insertions, deletions, replacements and swaps of neighbours, each 1
 * (optimal string alignment).  Names over 64 bytes are as far as can be. */
unsigned suggest_distance(struct slice a, struct slice b);
void suggest_consider(struct suggestion *s, const char *name);
