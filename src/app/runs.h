/* The private folders of runs: FOLDER/ID, one each, gone with its run.
 *
 * A run that was killed leaves its folder behind; the next one removes it.  Which ones live is told by a lock
 * (flock(2)) on the folder itself, which ends with the process that holds it, however that ends. */
#pragma once
#include "base/err.h"

/* Removes the folders of dead runs, then makes FOLDER/ID, 0700, and locks it; FOLDER is there.  *ret_lock is
 * the caller's: closing it gives the folder up.  What cannot be removed is left, and said on standard error.
 */
MUST_USE int runs_claim(const char *folder, const char *id, int *ret_lock, struct err *e);

/* Removes FOLDER/NAME with all that is in it, by descriptor and without following links, unless somebody holds
 * a lock on it.  -1: not whole. */
int runs_remove(int folder, const char *name);
