#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of newer ABIs than the oldest headers that we build with. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

/* As landlock(7) has it since ABI 6; the kernel takes as many bytes of it as its own version knows. */
struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};
enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1, SCOPE_SIGNAL = 2 };
enum { ABI_FIRST_SIZE = 8, ABI_NET = 4, ABI_SCOPES = 6 };

/* All that ABI 1 knows: what is handled and not granted by a rule is forbidden. */
static const uint64_t first_rights =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
    LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM;
static const uint64_t log_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                   LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                   LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
static const uint64_t read_rights =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
/* A rule for one file may not speak of folders. */
static const uint64_t file_rights = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |
                                    LANDLOCK_ACCESS_FS_IOCTL_DEV;
static const uint64_t device_rights = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

static uint64_t rights_of_abi(long abi)
{
    uint64_t rights = first_rights;
    if (abi >= 2)
        rights |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        rights |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    return rights;
}

static size_t attr_size(long abi)
{
    return abi >= ABI_SCOPES ? sizeof(struct ruleset_attr) : abi >= ABI_NET ? 16 : ABI_FIRST_SIZE;
}

long landlock_abi(struct err *e)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
        return 0;
    return abi < 0 ? err_sys(e, "Landlock") : abi;
}

static int grant(int ruleset, int fd, uint64_t rights)
{
    const struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

static int make_rules(const struct ruleset_attr *attr, long abi)
{
    return (int)syscall(SYS_landlock_create_ruleset, attr, attr_size(abi), 0);
}

int landlock_apply(int rules)
{
    return (int)syscall(SYS_landlock_restrict_self, rules, 0);
}

int landlock_role(enum lockin_role role, const struct lockin_paths *paths, struct err *e)
{
    long abi = landlock_abi(e);
    if (abi <= 0)
        return (int)abi;
    const struct ruleset_attr attr = {.handled_access_fs = rights_of_abi(abi)};
    AUTO_FD int ruleset = make_rules(&attr, abi);
    if (ruleset < 0)
        return err_sys(e, "Landlock: cannot make rules");
    if (role == LOCKIN_PROXY && grant(ruleset, paths->audit_dir, log_rights & attr.handled_access_fs) < 0)
        return err_sys(e, "Landlock: cannot add a rule");
    if (landlock_apply(ruleset) < 0)
        return err_sys(e, "Landlock: cannot apply the rules");
    return (int)abi;
}

/* --- an agent --- */

static int grant_path(int rules, const char *path, uint64_t rights, struct err *e)
{
    struct stat st;
    AUTO_FD int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == EACCES))
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "Landlock: %s", path);
    if (!S_ISDIR(st.st_mode))
        rights &= file_rights;
    return grant(rules, fd, rights) < 0 ? err_sys(e, "Landlock: %s", path) : 0;
}

/* Opened again through /proc/self/fd, a file keeps to how it was opened first.  Sockets, pipes and terminals
 * are nobody's path: the kernel refuses rules for some of them and needs none. */
static int grant_fd(int rules, int fd, uint64_t handled, struct err *e)
{
    static const uint64_t of_mode[O_ACCMODE + 1] = {
        [O_RDONLY] = LANDLOCK_ACCESS_FS_READ_FILE,
        [O_WRONLY] = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE,
        [O_RDWR] = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE,
    };
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "Landlock: descriptor %d", fd);
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode) && !S_ISFIFO(st.st_mode))
        return 0;
    uint64_t rights = of_mode[flags & O_ACCMODE] | (S_ISCHR(st.st_mode) ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0);
    if (grant(rules, fd, rights & handled) < 0 && errno != EBADFD && errno != EBADF)
        return err_sys(e, "Landlock: descriptor %d", fd);
    return 0;
}

int landlock_agent_rules(long abi, const struct landlock_agent *a, struct err *e)
{
    const struct ruleset_attr attr = {.handled_access_fs = rights_of_abi(abi),
                                      .scoped =
                                          abi >= ABI_SCOPES ? SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL : 0};
    uint64_t all = attr.handled_access_fs;
    AUTO_FD int rules = make_rules(&attr, abi);
    if (rules < 0)
        return err_sys(e, "Landlock: cannot make rules");
    if (grant_path(rules, "/", read_rights, e) < 0)
        return -1;
    for (size_t i = 0; i < a->write_count; i++)
        if (grant_path(rules, a->write[i], all & ~device_rights, e) < 0)
            return -1;
    for (size_t i = 0; i < a->fd_count; i++)
        if (grant_fd(rules, a->fds[i], all, e) < 0)
            return -1;
    return TAKE_FD(rules);
}
