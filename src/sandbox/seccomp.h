/* System calls that a role may make (seccomp(2)): the table of calls.def as a filter in the kernel. */
#pragma once
#include "sandbox/lockin.h"

/* Applies to the calling process, which has one thread.  Another architecture's calls kill. */
MUST_USE int seccomp_role(enum lockin_role role, struct err *e);
