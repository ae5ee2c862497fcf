#include "app/run_pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Without room for so long, the caller's terminal is stopped, and the rest is nobody's. */
enum { BYTES = 64 << 10, SHOWN_MS = 10000 };

static void want(struct run_pty *p)
{
    bool front = p->raw;
    loop_io_want(&p->typed,
                 (front && buf_space(&p->in) ? LOOP_READ : 0) | (buf_len(&p->out) ? LOOP_WRITE : 0));
    loop_io_want(&p->shown,
                 p->ended ? 0 : (buf_space(&p->out) ? LOOP_READ : 0) | (buf_len(&p->in) ? LOOP_WRITE : 0));
}

/* False at the end; EIO is how a terminal says that the other side is closed (pts(4)). */
static bool pull(int fd, struct buf *b)
{
    char bytes[4096];
    size_t room = buf_space(b) < sizeof bytes ? buf_space(b) : sizeof bytes;
    if (room == 0)
        return true;
    ssize_t n = read(fd, bytes, room);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    return n > 0 && buf_append(b, slice_of(bytes, (size_t)n)) == 0;
}

static bool push(int fd, struct buf *b)
{
    struct slice left = buf_slice(b);
    if (left.len == 0)
        return true;
    ssize_t n = write(fd, left.ptr, left.len);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    buf_consume(b, (size_t)n);
    return true;
}

/* Our terminal is gone: the command hears it by SIGHUP, which the caller gets and passes on. */
static void on_tty(struct loop_io *io, int events)
{
    struct run_pty *p = CONTAINER_OF(io, struct run_pty, typed);
    bool alive = !(events & LOOP_WRITE) || push(p->tty, &p->out);
    if (alive && (events & LOOP_READ))
        alive = pull(p->tty, &p->in);
    if (!alive) {
        loop_io_stop(&p->typed);
        buf_clear(&p->out);
        p->raw = false;
    }
    want(p);
}

static void on_master(struct loop_io *io, int events)
{
    struct run_pty *p = CONTAINER_OF(io, struct run_pty, shown);
    if ((events & LOOP_WRITE) && !push(p->master, &p->in))
        p->ended = true;
    if ((events & LOOP_READ) && !pull(p->master, &p->out))
        p->ended = true;
    want(p);
}

/* /dev/tty is a description of our own: that it does not block is nobody else's trouble. */
static int open_tty(struct err *e)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        return fd;
    for (int i = 0; i < 3; i++)
        if (isatty(i))
            return fcntl(i, F_DUPFD_CLOEXEC, 3);
    return err_set(e, "no terminal");
}

static bool in_front(const struct run_pty *p)
{
    pid_t front = tcgetpgrp(p->tty);
    return front < 0 || front == getpgrp(); /* below 0: not our controlling terminal, nobody else's either */
}

int run_pty_start(struct run_pty *p, struct loop *loop, int master, struct err *e)
{
    *p = (struct run_pty){.loop = loop,
                          .tty = -1,
                          .master = master,
                          .guardian = RUN_GUARDIAN_NONE,
                          .in = BUF_INIT(BYTES),
                          .out = BUF_INIT(BYTES)};
    if (master < 0)
        return 0;
    p->tty = open_tty(e);
    if (p->tty < 0 || tcgetattr(p->tty, &p->before) < 0 || fcntl(master, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(e, "the terminal");
    if (run_guardian_start(&p->guardian, p->tty, e) < 0)
        return -1;
    loop_io_init(&p->typed, loop, p->tty, on_tty);
    loop_io_init(&p->shown, loop, master, on_master);
    run_pty_resize(p);
    run_pty_enter(p);
    return 0;
}

void run_pty_resize(struct run_pty *p)
{
    struct winsize size;
    if (p->master >= 0 && ioctl(p->tty, TIOCGWINSZ, &size) == 0)
        ioctl(p->master, TIOCSWINSZ, &size);
}

/* SIGTTOU would stop a process that changes modes from the background; we look first, and somebody may have
 * been quicker. */
static void set_modes(const struct run_pty *p, const struct termios *modes)
{
    sigset_t block, before;
    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    sigprocmask(SIG_BLOCK, &block, &before);
    tcsetattr(p->tty, TCSADRAIN, modes);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

void run_pty_enter(struct run_pty *p)
{
    if (p->master < 0)
        return;
    if (!p->raw && in_front(p) && tcgetattr(p->tty, &p->before) == 0) {
        struct termios raw = p->before;
        cfmakeraw(&raw);
        /* In a pipeline others write to this terminal too, and expect lines to end as ever. */
        if (!isatty(STDOUT_FILENO))
            raw.c_oflag |= p->before.c_oflag & OPOST;
        run_guardian_note(&p->guardian, &p->before, &raw);
        set_modes(p, &raw);
        p->raw = true;
    }
    run_pty_resize(p);
    want(p);
}

void run_pty_leave(struct run_pty *p)
{
    if (p->master < 0)
        return;
    if (p->raw) {
        set_modes(p, &p->before);
        run_guardian_forget(&p->guardian);
    }
    p->raw = false;
    want(p);
}

/* What was written before the end is still in the kernel, and all that is when a read finds nothing more
 * (pid 1 keeps the jail's side open until we are done: sandbox/inner.h). */
static void show_last_words(struct run_pty *p)
{
    for (;;) {
        size_t before = buf_len(&p->out);
        if (!p->ended && !pull(p->master, &p->out))
            p->ended = true;
        bool all = p->ended || (buf_len(&p->out) == before && buf_space(&p->out));
        if (all && buf_len(&p->out) == 0)
            return;
        struct pollfd out = {.fd = p->tty, .events = POLLOUT};
        if (poll(&out, 1, SHOWN_MS) <= 0 || !push(p->tty, &p->out))
            return;
    }
}

void run_pty_stop(struct run_pty *p)
{
    if (p->loop && p->master >= 0 && p->tty >= 0) {
        loop_io_stop(&p->typed);
        loop_io_stop(&p->shown);
        show_last_words(p);
        if (p->raw)
            set_modes(p, &p->before);
    }
    if (p->loop) {
        run_guardian_stop(&p->guardian);
        fd_auto_close(&p->tty);
        fd_auto_close(&p->master);
    }
    p->raw = false;
    p->loop = NULL;
    buf_free(&p->in);
    buf_free(&p->out);
}
