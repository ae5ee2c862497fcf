#include "app/reload_socket.h"

#include "app/folders.h"
#include "app/runs.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CALLERS_MAX = 8, TEXTS_BYTES = 64 << 20, ANSWER_SECONDS = 60 };

/* A path in a socket's address has at most 107 bytes (unix(7)): by its folder's descriptor any is short. */
static int make_address(int dir_fd, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", dir_fd, RELOAD_SOCKET);
    return n > 0 && (size_t)n < sizeof ret->sun_path ? 0 : -1;
}

/* At most one descriptor; -1 at the end, or for a message that is none of ours. */
static ssize_t receive(int fd, char *text, size_t size, int *ret_fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec io = {text, size};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    *ret_fd = -1;
    if (n <= 0)
        return n;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    return n;
}

/* --- the supervisor's side --- */

struct caller {
    struct loop_io io;
    struct reload_socket *socket;
    int fd;       /* -1: free */
    bool waiting; /* its order was taken */
};

struct reload_socket {
    struct loop *loop;
    struct loop_io io;
    int fd, dir_fd;
    const char *about;
    reload_take *take;
    void *arg;
    struct caller callers[CALLERS_MAX];
};

static bool same_namespace(pid_t pid)
{
    char path[64];
    struct stat ours, theirs;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    return stat("/proc/self/ns/net", &ours) == 0 && stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
           ours.st_ino == theirs.st_ino;
}

static bool is_welcome(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    return (peer.uid == geteuid() || peer.uid == 0) && same_namespace(peer.pid);
}

static void dismiss(struct caller *c)
{
    if (c->fd < 0)
        return;
    loop_io_stop(&c->io);
    close(c->fd);
    c->fd = -1;
    c->waiting = false;
}

static void send_to(struct caller *c, char level, const char *line)
{
    char packet[RELOAD_LINE_BYTES];
    int n = snprintf(packet, sizeof packet, "%c%s", level, line);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof packet ? (size_t)n : sizeof packet - 1;
    /* one that does not read is not waited for */
    if (c->fd >= 0 && send(c->fd, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        dismiss(c);
}

void reload_socket_say(struct reload_socket *r, char level, const char *line)
{
    for (size_t i = 0; r && i < CALLERS_MAX; i++)
        if (r->callers[i].waiting)
            send_to(&r->callers[i], level, line);
}

void reload_socket_end(struct reload_socket *r, int status)
{
    const char text[] = {(char)('0' + status), '\0'};
    reload_socket_say(r, 'x', text);
    for (size_t i = 0; r && i < CALLERS_MAX; i++)
        if (r->callers[i].waiting)
            dismiss(&r->callers[i]);
}

/* Copied before it is judged: the other side may keep the memory and write on. */
static int read_texts(int fd, struct trust_record **ret)
{
    AUTO_BUF text = BUF_INIT(TEXTS_BYTES);
    struct err e;
    if (lseek(fd, 0, SEEK_SET) < 0 || io_read_all(fd, "texts", &text, &e) < 0)
        return -1;
    return trust_parse(buf_slice(&text), ret, &e);
}

static void on_packet(struct loop_io *io, int events UNUSED)
{
    struct caller *c = CONTAINER_OF(io, struct caller, io);
    char order;
    int received;
    ssize_t n = receive(c->fd, &order, 1, &received);
    AUTO_FD int texts_fd = received;
    struct trust_record *texts = NULL;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bool known = n == 1 && (order == RELOAD_FILES || order == RELOAD_KEEPER || order == RELOAD_ABOUT);
    if (!known || c->waiting || (texts_fd >= 0 && read_texts(texts_fd, &texts) < 0)) {
        dismiss(c);
        return;
    }
    c->waiting = true;
    if (order == RELOAD_ABOUT) {
        send_to(c, 'i', c->socket->about);
        send_to(c, 'x', "0");
        dismiss(c);
        return;
    }
    c->socket->take(c->socket->arg, (enum reload_order)order, texts);
}

static void on_caller(struct loop_io *io, int events UNUSED)
{
    struct reload_socket *r = CONTAINER_OF(io, struct reload_socket, io);
    AUTO_FD int fd = accept4(r->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || !is_welcome(fd))
        return;
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        struct caller *c = &r->callers[i];
        if (c->fd >= 0)
            continue;
        c->fd = TAKE_FD(fd);
        loop_io_init(&c->io, r->loop, c->fd, on_packet);
        loop_io_want(&c->io, LOOP_READ);
        return;
    }
}

/* The mode before the name: bind(2) makes the file by the umask. */
static int listen_in(int dir_fd, struct err *e)
{
    struct sockaddr_un address;
    AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || make_address(dir_fd, &address) < 0)
        return err_sys(e, "%s: cannot make this socket", RELOAD_SOCKET);
    unlinkat(dir_fd, RELOAD_SOCKET, 0);
    mode_t mask = umask(0177);
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
    umask(mask);
    if (bound < 0 || listen(fd, CALLERS_MAX) < 0)
        return err_sys(e, "%s: cannot listen", RELOAD_SOCKET);
    return TAKE_FD(fd);
}

int reload_socket_open(struct loop *loop, const char *dir, const char *about, reload_take *take, void *arg,
                       struct reload_socket **ret, struct err *e)
{
    AUTO_FD int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return err_sys(e, "%s: cannot open", dir);
    AUTO_FD int fd = listen_in(dir_fd, e);
    struct reload_socket *r = fd < 0 ? NULL : calloc(1, sizeof *r);
    if (!r)
        return fd < 0 ? err_wrap(e, "%s", dir) : err_set(e, "no memory");
    *r = (struct reload_socket){.loop = loop, .fd = TAKE_FD(fd), .dir_fd = TAKE_FD(dir_fd), .about = about ? about : "",
                                .take = take, .arg = arg};
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        r->callers[i].fd = -1;
        r->callers[i].socket = r;
    }
    loop_io_init(&r->io, loop, r->fd, on_caller);
    loop_io_want(&r->io, LOOP_READ);
    *ret = r;
    return 0;
}

void reload_socket_free(struct reload_socket *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < CALLERS_MAX; i++)
        dismiss(&r->callers[i]);
    loop_io_stop(&r->io);
    unlinkat(r->dir_fd, RELOAD_SOCKET, 0);
    close(r->fd);
    close(r->dir_fd);
    free(r);
}

int reload_place_make(struct reload_place *p, const char *state, const char *run, struct err *e)
{
    char all[sizeof p->dir];
    int n = snprintf(all, sizeof all, "%s/" RELOAD_RUNS, state);
    int m = snprintf(p->dir, sizeof p->dir, "%s/" RELOAD_RUNS "/%s", state, run);
    if (n < 0 || m < 0 || (size_t)m >= sizeof p->dir)
        return err_set(e, "%s: path too long", state);
    return folders_make(all, e) < 0 || runs_claim(all, run, &p->lock, e) < 0 ? err_wrap(e, "orders") : 0;
}

void reload_place_remove(struct reload_place *p)
{
    if (p->dir[0])
        rmdir(p->dir);
    fd_auto_close(&p->lock);
    *p = RELOAD_PLACE_NONE;
}

/* --- the caller's side --- */

static int connect_to(const char *dir, struct err *e)
{
    struct sockaddr_un address;
    struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    AUTO_FD int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0 && errno == ENOENT)
        return -2;
    AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (dir_fd < 0 || fd < 0 || make_address(dir_fd, &address) < 0)
        return err_sys(e, "%s: cannot open", dir);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return errno == ENOENT || errno == ECONNREFUSED ? -2 : err_sys(e, "%s/%s: cannot connect", dir, RELOAD_SOCKET);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
        return err_sys(e, "%s: cannot wait", dir);
    return TAKE_FD(fd);
}

static int send_order(int fd, enum reload_order order, struct slice texts, struct err *e)
{
    char byte = (char)order;
    struct iovec io = {&byte, 1};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    AUTO_FD int memory = texts.ptr ? memfd_create("texts", MFD_CLOEXEC) : -1;
    if (texts.ptr) {
        if (memory < 0 || io_write_all(memory, texts) < 0)
            return err_sys(e, "cannot hand the texts on");
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &memory, sizeof memory);
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL) == 1 ? 0 : err_sys(e, "cannot send");
}

int reload_ask(const char *dir, enum reload_order order, struct slice texts, reload_line *line, void *arg,
               int *ret_status, struct err *e)
{
    char packet[RELOAD_LINE_BYTES];
    int none;
    AUTO_FD int fd = connect_to(dir, e);
    if (fd < 0)
        return fd == -2 ? 1 : -1;
    if (send_order(fd, order, texts, e) < 0)
        return -1;
    for (;;) {
        ssize_t n = receive(fd, packet, sizeof packet, &none);
        if (none >= 0)
            close(none);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, "%s: no answer: it has ended, or does not talk to this user", dir);
        if (packet[0] == 'x') {
            *ret_status = n > 1 && packet[1] >= '0' && packet[1] <= '9' ? packet[1] - '0' : 2;
            return 0;
        }
        line(arg, packet[0], slice_of(packet + 1, (size_t)n - 1));
    }
}
