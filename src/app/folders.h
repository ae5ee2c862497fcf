/* Folders of ours: state, audit log.  Made where absent, for their owner alone (0700). */
#pragma once
#include "base/err.h"

/* With all that is missing above it; one that exists stays as it is. */
MUST_USE int folders_make(const char *path, struct err *e);
/* Makes the folder of a file and opens it; *ret_name is the file's name in it, inside `path`. */
MUST_USE int folders_open_parent(const char *path, const char **ret_name, struct err *e);
