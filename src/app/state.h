/* Where exeat keeps what is one user's own: $XDG_STATE_HOME/exeat, else ~/.local/state/exeat
 * (XDG Base Directory Specification: a relative path in the variable counts as unset). */
#pragma once
#include "base/err.h"

#include <limits.h>

enum { STATE_PATH_BYTES = PATH_MAX - 128 }; /* leaves room for names below it */

/* The state folder, or `below` in it ("audit", "trust"); "" is the folder itself.  Nothing is made. */
MUST_USE int state_path(const char *below, char ret[STATE_PATH_BYTES], struct err *e);
/* Makes a folder that state_path named. */
MUST_USE int state_make(const char *folder, struct err *e);
