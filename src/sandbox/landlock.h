/* Files that a role may touch (landlock(7)). */
#pragma once
#include "sandbox/lockin.h"

/* Returns the ABI version that holds now, 0 where the kernel has no Landlock; -1 on failure. */
MUST_USE int landlock_role(enum lockin_role role, const struct lockin_paths *paths, struct err *e);
