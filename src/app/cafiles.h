/* The files of the CA, opened for the keeper: it reads, or fills, what the descriptors lead to. */
#pragma once
#include "base/err.h"

#include <stdbool.h>

struct cafiles {
    int cert, key;
    bool create; /* both are empty: the keeper makes a CA */
};

/* Makes absent files (the key 0600); refuses a key that others can read, and one file without the other. */
MUST_USE int cafiles_open(const char *cert, const char *key, struct cafiles *ret, struct err *e);
void cafiles_close(struct cafiles *f);
