#include "app/inside.h"

#include "sandbox/mounts.h"

#include <unistd.h>

bool inside_jail(void)
{
    return access(MOUNTS_INIT, F_OK) == 0;
}
