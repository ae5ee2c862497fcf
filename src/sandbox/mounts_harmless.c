/* Making harmless what a jail has left, by descriptor: the names come from it, and so do the modes of the
 * folders, by which it may have closed them to their owner. */
#include "sandbox/mounts_internal.h"

#include "base/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SUFFIX_BYTES = 6, OWNERS_BITS = S_IRWXU, MODE_BITS = 07777 };

bool mounts_open_up(int dir, const char *name)
{
    AUTO_FD int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char path[64];
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* fchmod(2) takes no O_PATH */
    return chmod(path, (st.st_mode & MODE_BITS) | OWNERS_BITS) == 0;
}

/* After a failure for which the mode of `dir` may be to blame. */
static bool may_write_now(int dir)
{
    struct stat st;
    return errno == EACCES && fstat(dir, &st) == 0 &&
           fchmod(dir, (st.st_mode & MODE_BITS) | OWNERS_BITS) == 0;
}

bool mounts_unlink(int dir, const char *name)
{
    return unlinkat(dir, name, 0) == 0 || (may_write_now(dir) && unlinkat(dir, name, 0) == 0);
}

static bool move(int dir, const char *name, const char *to)
{
    return renameat2(dir, name, dir, to, RENAME_NOREPLACE) == 0 ||
           (may_write_now(dir) && renameat2(dir, name, dir, to, RENAME_NOREPLACE) == 0);
}

/* Nobody can have prepared anything under a name that nobody could guess. */
bool mounts_put_aside(int dir, const char *name, const char *to, char ret_to[NAME_MAX + 1])
{
    uint8_t random[SUFFIX_BYTES];
    char suffix[2 * SUFFIX_BYTES + 1];
    if (crypto_random(random, sizeof random) < 0)
        return false;
    crypto_hex(random, sizeof random, suffix);
    snprintf(ret_to, NAME_MAX + 1, "%.200s.%s", to, suffix);
    return move(dir, name, ret_to);
}

bool mounts_disarm(int dir, const char *name, char ret_to[NAME_MAX + 1])
{
    char to[NAME_MAX + 1];
    snprintf(to, sizeof to, "%s.disarmed", name);
    if (!move(dir, name, to))
        return errno == EEXIST && mounts_put_aside(dir, name, to, ret_to);
    snprintf(ret_to, NAME_MAX + 1, "%s", to);
    return true;
}
