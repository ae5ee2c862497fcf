#include "base/macros.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void fd_auto_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

void str_auto_free(char **s)
{
    free(*s);
    *s = NULL;
}
