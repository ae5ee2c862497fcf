#include "app/whoasked.h"

#include "audit/redact_args.h"
#include "base/clock.h"
#include "sandbox/network.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 64, LINK_BYTES = 64, COMMAND_LINE_BYTES = 4096, PATIENCE_NS = 20000000 };

void whoasked_init(struct whoasked *w, int diag)
{
    *w = (struct whoasked){.diag = diag};
    AUTO_FD int ns = diag < 0 ? -1 : ioctl(diag, SIOCGSKNS); /* network_namespaces(7): of a socket */
    struct stat st;
    if (ns >= 0 && fstat(ns, &st) == 0)
        w->namespace = st.st_ino;
}

/* "what:[NUMBER]" is what links in /proc say of namespaces and sockets. */
static bool link_is(int dir, const char *name, const char *what, uint64_t number)
{
    char text[LINK_BYTES], wanted[LINK_BYTES];
    ssize_t n = readlinkat(dir, name, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    snprintf(wanted, sizeof wanted, "%s:[%llu]", what, (unsigned long long)number);
    return strcmp(text, wanted) == 0;
}

static bool has_socket(int process, uint64_t inode, int64_t until)
{
    bool found = false;
    int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (struct dirent *d; !found && (d = readdir(dir)) != NULL && clock_mono_ns() < until;)
        found = d->d_name[0] != '.' && link_is(dirfd(dir), d->d_name, "socket", inode);
    closedir(dir);
    return found;
}

/* Returns a descriptor of /proc/PID where that process is in the jail and has the socket, else -1. */
static int open_owner(const struct whoasked *w, int pid, uint64_t inode, int64_t until)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%d", pid);
    AUTO_FD int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (process < 0 || !link_is(process, "ns/net", "net", w->namespace) || !has_socket(process, inode, until))
        return -1;
    return TAKE_FD(process);
}

static int search_all(const struct whoasked *w, uint64_t inode, int64_t until, int *ret_pid)
{
    int process = -1;
    DIR *proc = opendir("/proc");
    if (!proc)
        return -1;
    for (struct dirent *d; process < 0 && (d = readdir(proc)) != NULL && clock_mono_ns() < until;) {
        uint64_t pid;
        if (slice_to_u64(slice_str(d->d_name), INT32_MAX, &pid) < 0)
            continue;
        process = open_owner(w, (int)pid, inode, until);
        *ret_pid = (int)pid;
    }
    closedir(proc);
    return process;
}

static int search(struct whoasked *w, uint64_t inode, int *ret_pid)
{
    int64_t until = clock_mono_ns() + PATIENCE_NS;
    for (size_t i = 0; i < WHOASKED_RECENT; i++) {
        int process = w->recent[i] ? open_owner(w, w->recent[i], inode, until) : -1;
        if (process >= 0) {
            *ret_pid = w->recent[i];
            return process;
        }
    }
    int process = search_all(w, inode, until, ret_pid);
    if (process >= 0)
        w->recent[w->next++ % WHOASKED_RECENT] = *ret_pid;
    return process;
}

static void read_exe(int process, struct client_answer *ret)
{
    ssize_t n = readlinkat(process, "exe", ret->exe, sizeof ret->exe - 1);
    if (n == (ssize_t)sizeof ret->exe - 1)
        n = 0; /* cut: not a path that anybody could look up */
    ret->exe[n > 0 ? n : 0] = '\0';
}

static void read_arguments(int process, struct client_answer *ret)
{
    char line[COMMAND_LINE_BYTES];
    AUTO_FD int fd = openat(process, "cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line);
    if (n > 0)
        ret->args_len = (uint16_t)redact_args(slice_of(line, (size_t)n), ret->args, sizeof ret->args);
}

static int look_up(struct whoasked *w, const struct client_question *q, uint64_t *ret_inode)
{
    struct sockaddr_storage local, remote;
    if (!w->namespace || (q->local.family != AF_INET && q->local.family != AF_INET6) ||
        q->local.family != q->remote.family)
        return -1;
    fetch_address_to_sockaddr(&q->local, &local);
    fetch_address_to_sockaddr(&q->remote, &remote);
    return network_inode(w->diag, (struct sockaddr *)&local, (struct sockaddr *)&remote, ret_inode);
}

void whoasked_answer(struct whoasked *w, const struct client_question *q, struct client_answer *ret)
{
    uint64_t inode;
    int pid;
    memset(ret, 0, sizeof *ret);
    ret->id = q->id;
    AUTO_FD int process = look_up(w, q, &inode) < 0 ? -1 : search(w, inode, &pid);
    if (process < 0)
        return;
    ret->pid = pid;
    read_exe(process, ret);
    read_arguments(process, ret);
}
