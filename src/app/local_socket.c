#include "app/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NAMESPACE "/proc/self/ns/net"

static int make_address(int dir_fd, const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
    if (n > 0 && (size_t)n < sizeof ret->sun_path)
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}

static int make_socket(int flags)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
}

/* What an earlier one left behind, and nothing else: a socket at which nobody is. */
static int clear_name(int dir_fd, const char *name, const struct sockaddr_un *address, struct err *e)
{
    struct stat st;
    AUTO_FD int fd = make_socket(0);
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", name);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, "%s: is there, and is no socket", name);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return err_set(e, "%s: somebody serves there already", name);
    return unlinkat(dir_fd, name, 0) < 0 ? err_sys(e, "%s", name) : 0;
}

int local_socket_listen(int dir_fd, const char *name, mode_t mode, int backlog, struct err *e)
{
    struct sockaddr_un address;
    AUTO_FD int fd = make_socket(SOCK_NONBLOCK);
    if (fd < 0 || make_address(dir_fd, name, &address) < 0)
        return err_sys(e, "%s: cannot make this socket", name);
    if (clear_name(dir_fd, name, &address, e) < 0)
        return -1;
    mode_t mask = umask(0777 & ~mode); /* bind(2) makes the file by it */
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
    umask(mask);
    if (bound < 0 || listen(fd, backlog) < 0)
        return err_sys(e, "%s: cannot listen", name);
    return TAKE_FD(fd);
}

static int explain(const char *path, struct err *e)
{
    switch (errno) {
    case ENOENT:
    case ECONNREFUSED:
        return err_set(e, "%s: no daemon serves there: `control: %s` in the configuration of `exeat proxy`",
                       path, path);
    case EACCES:
        return err_sys(e, "%s: this user may not connect there", path);
    case EPROTOTYPE:
        return err_set(e, "%s: is no socket of exeat's", path);
    default:
        return err_sys(e, "%s: cannot connect", path);
    }
}

int local_socket_connect(const char *path, struct err *e)
{
    char folder[PATH_MAX];
    const char *end = strrchr(path, '/'), *name = end ? end + 1 : path;
    struct sockaddr_un address;
    int n = snprintf(folder, sizeof folder, "%.*s", end ? (int)(end - path) + 1 : 1, end ? path : ".");
    if (n < 0 || (size_t)n >= sizeof folder)
        return err_set(e, "%s: path too long", path);
    AUTO_FD int dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_FD int fd = make_socket(0);
    if (dir_fd < 0 || fd < 0 || make_address(dir_fd, name, &address) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return explain(path, e);
    return TAKE_FD(fd);
}

int local_socket_peer(int fd, uid_t *ret)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -1;
    *ret = peer.uid;
    return 0;
}

int local_namespace_open(struct err *e)
{
    int fd = open(NAMESPACE, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_sys(e, NAMESPACE) : fd;
}

/* By its name, "net:[4026531840]", which is the kernel's own where no "/" stands before it (nsfs, proc(5)):
 * fstat(2) would ask the file system that a stranger's file lies in, and wait for it. */
bool local_namespace_is_ours(int fd)
{
    char ours[64], theirs[64], link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(NAMESPACE, ours, sizeof ours), m = readlink(link, theirs, sizeof theirs);
    return n > 0 && (size_t)n < sizeof ours && n == m && memcmp(ours, theirs, (size_t)n) == 0;
}
