/* Whether this very process runs in a jail of `exeat run`: an agent tries what an answer's hint names, and
 * must be told that it is for the person outside. */
#pragma once
#include <stdbool.h>

/* Looks for what every jail has and nothing else makes; a jailed program could cheat itself only. */
bool inside_jail(void);
