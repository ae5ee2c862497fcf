#include "sandbox/jail.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/version.h"
#include "sandbox/jail_streams.h"
#include "sandbox/jail_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEP_TIMEOUT_MS = 60000, MOUNT_ARGUMENTS_MAX = 60000, ERRORS_SHOWN = 600, FAILED = 125 };

/* bwrap(1).  The network stays: it is the launcher's.  No --new-session: pid 1 makes the session itself,
 * with a terminal of the jail's.  Its own pid 1 would be ours to write to through /proc/1/mem: --as-pid-1. */
static const char *const namespaces[] = {
    "--unshare-user",       "--unshare-pid", "--unshare-ipc", "--unshare-uts",
    "--unshare-cgroup-try", "--hostname",    "exeat",         "--die-with-parent",
    "--as-pid-1",           "--cap-drop",    "ALL",           NULL,
};

int jail_step_failed(enum jail_step step, struct err *e)
{
    const struct jail_step_row *row = jail_step_row(step);
    struct err why = *e;
    return err_set(e, "the jail: cannot %s (step %s): %.700s; %s", row->what, row->name, why.text, row->fix);
}

/* --- the launcher --- */

struct launcher {
    const struct jail_options *o;
    int control, handover, errors;
    int streams[JAIL_STREAMS];          /* instead of the standard descriptors; -1: as they are */
    char numbers[1 + JAIL_STREAMS][12]; /* for pid 1: of its end, and of the streams */
    pid_t parent;
    struct network network;
};

/* Credentials that change take this with them (prctl(2)), so it is asked for again before exec. */
static int die_with_parent(const struct launcher *l, struct err *e)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != l->parent)
        return err_set(e, "our parent has gone");
    return 0;
}

static int jail_step_user(struct launcher *l, struct err *e)
{
    return jail_user_become(l->o, e);
}

static int jail_step_network(struct launcher *l, struct err *e)
{
    return network_enter(&l->o->network, &l->network, e);
}

static int jail_step_handover(struct launcher *l, struct err *e)
{
    if (jail_say(l->control, JAIL_NETWORK, 0) < 0)
        return err_sys(e, "the supervisor is gone");
    if (network_send(l->handover, &l->network, e) < 0)
        return -1;
    network_close(&l->network);
    return 0;
}

/* Nothing but what bubblewrap and pid 1 need survives exec. */
static int keep_descriptors(const struct launcher *l, struct err *e)
{
    AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ||
        fcntl(l->control, F_SETFD, 0) < 0)
        return err_sys(e, "descriptors");
    for (size_t i = 0; i < JAIL_STREAMS; i++)
        if (l->streams[i] >= 0 && fcntl(l->streams[i], F_SETFD, 0) < 0)
            return err_sys(e, "descriptors");
    return dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(l->errors, 2) < 0 ? err_sys(e, "descriptors") : 0;
}

static size_t fill_arguments(struct launcher *l, const char **ret)
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(l->numbers); i++)
        snprintf(l->numbers[i], sizeof l->numbers[i], "%d", i ? l->streams[i - 1] : l->control);
    ret[n++] = l->o->bubblewrap;
    for (const char *const *a = namespaces; *a; a++)
        ret[n++] = *a;
    for (const char *const *a = mounts_arguments(l->o->mounts); *a && n < MOUNT_ARGUMENTS_MAX; a++)
        ret[n++] = *a;
    ret[n++] = "--";
    ret[n++] = l->o->init;
    for (size_t i = 0; i < ARRAY_LEN(l->numbers); i++)
        ret[n++] = l->numbers[i];
    ret[n] = NULL;
    return n;
}

static int jail_step_mounts(struct launcher *l, struct err *e)
{
    return mounts_enter(l->o->mounts, e) < 0 ? -1 : jail_streams_open(l->streams, e);
}

/* No environment: the command's comes by another way, and bubblewrap and pid 1 need none. */
static int jail_step_bubblewrap(struct launcher *l, struct err *e)
{
    static char *const environment[] = {NULL};
    const char **arguments = calloc(MOUNT_ARGUMENTS_MAX + 16, sizeof *arguments);
    if (!arguments || fill_arguments(l, arguments) >= MOUNT_ARGUMENTS_MAX)
        return err_set(e, "too many mounts");
    if (die_with_parent(l, e) < 0 || keep_descriptors(l, e) < 0)
        return -1;
    execve(l->o->bubblewrap, (char *const *)(uintptr_t)arguments, environment);
    return err_sys(e, "%s", l->o->bubblewrap);
}

static const struct {
    enum jail_step step;
    int (*run)(struct launcher *l, struct err *e);
} steps[] = {
    {JAIL_STEP_user, jail_step_user},
    {JAIL_STEP_network, jail_step_network},
    {JAIL_STEP_handover, jail_step_handover},
    {JAIL_STEP_mounts, jail_step_mounts},
    {JAIL_STEP_bubblewrap, jail_step_bubblewrap},
};

/* Not of the caller's session: what is typed on its terminal is for the command, through the jail's. */
NORETURN static void launch(struct launcher *l)
{
    struct err e = {0};
    sigset_t none;
    sigemptyset(&none);
    for (int signo = 1; signo < NSIG; signo++)
        if (signo != SIGKILL && signo != SIGSTOP)
            signal(signo, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    network_init(&l->network);
    if (die_with_parent(l, &e) < 0)
        _exit(FAILED);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (jail_test_failure(l->o->fail, steps[i].step, &e) < 0 || steps[i].run(l, &e) < 0) {
            jail_say_failed(l->control, steps[i].step, &e);
            break;
        }
    _exit(FAILED);
}

/* --- what pid 1 is told --- */

static int put_text(struct buf *texts, const char *text)
{
    return buf_append(texts, slice_of(text, strlen(text) + 1));
}

static int put_list(struct buf *texts, const char *const *list, uint32_t *ret_count)
{
    uint32_t count = 0;
    for (; *list; list++, count++)
        if (put_text(texts, *list) < 0)
            return -1;
    *ret_count = count;
    return 0;
}

static int pack_texts(const struct jail_options *o, struct jail_setup *ret, struct err *e)
{
    AUTO_BUF texts = BUF_INIT(JAIL_TEXTS_MAX);
    if (put_text(&texts, o->path) < 0 || put_text(&texts, o->directory) < 0 ||
        put_list(&texts, o->arguments, &ret->arguments) < 0 ||
        put_list(&texts, o->environment, &ret->environment) < 0 ||
        put_list(&texts, o->write, &ret->write) < 0)
        return err_set(e, "the command's arguments and environment are too long");
    ret->bytes = (uint32_t)buf_len(&texts);
    AUTO_FD int fd = memfd_create("exeat-jail", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || io_write_all(fd, buf_slice(&texts)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        return err_sys(e, "memfd");
    return TAKE_FD(fd);
}

/* The jail's terminal begins as the caller's is. */
static void describe_terminals(struct jail_setup *s)
{
    for (int fd = 0; fd < 3; fd++)
        if (tcgetattr(fd, &s->modes) == 0) {
            s->terminals |= 1u << fd;
            if (ioctl(fd, TIOCGWINSZ, &s->size) < 0)
                s->size = (struct winsize){.ws_row = 24, .ws_col = 80};
        }
}

/* Waits in the socket until pid 1 is there to read it. */
static int send_setup(const struct jail_options *o, int control, struct err *e)
{
    struct jail_setup s = {.type = JAIL_SETUP,
                           .landlock = o->landlock,
                           .fail = o->fail,
                           .debug = o->debug,
                           .ignored = o->ignored,
                           .blocked = o->blocked};
    snprintf(s.version, sizeof s.version, "%s", version_text());
    describe_terminals(&s);
    AUTO_FD int texts = pack_texts(o, &s, e);
    if (texts < 0)
        return -1;
    const int fds[] = {texts, 0, 1, 2};
    if (jail_send(control, &s, sizeof s, fds, ARRAY_LEN(fds)) == 0 || errno == EPIPE)
        return 0; /* a launcher that has failed already has said why: expect() reads it */
    return err_sys(e, "the jail's socket");
}

int jail_check_descriptor(int fd, struct err *e)
{
    struct stat st;
    int domain = AF_UNIX;
    socklen_t len = sizeof domain;
    if (fstat(fd, &st) < 0)
        return err_sys(e, "descriptor %d", fd);
    if (S_ISDIR(st.st_mode) || (fcntl(fd, F_GETFL) & O_PATH))
        return err_set(e, "is a folder, through which the command would leave its jail: redirect it");
    if (S_ISSOCK(st.st_mode) && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
        domain != AF_UNIX)
        return err_set(e, "is a network connection, which nobody would judge: redirect it");
    return 0;
}

/* --- what comes back --- */

/* Bubblewrap tells its troubles in words only; the last line says what it was. */
static int explain_end(const struct jail *j, struct err *e)
{
    char text[ERRORS_SHOWN + 1];
    ssize_t n = pread(j->errors, text, ERRORS_SHOWN, 0);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return err_set(e, "%s", text[0] ? text : "bubblewrap ended without a word");
}

/* The next message, which has to be of this type. */
static int expect(struct jail *j, enum jail_message_type type, struct jail_packet *ret, struct err *e)
{
    switch (jail_receive(j->control, STEP_TIMEOUT_MS, ret, e)) {
    case JAIL_GOT:
        break;
    case JAIL_END:
        explain_end(j, e);
        return jail_step_failed(JAIL_STEP_bubblewrap, e);
    case JAIL_LATE:
        err_set(e, "nothing was heard of it for %d s", STEP_TIMEOUT_MS / 1000);
        return jail_step_failed(JAIL_STEP_bubblewrap, e);
    case JAIL_BROKEN:
        return jail_step_failed(JAIL_STEP_bubblewrap, e);
    }
    if (ret->type == type)
        return 0;
    jail_packet_close(ret);
    if (ret->type != JAIL_FAILED)
        return err_set(e, "the jail breaks the protocol");
    e->sys = ret->message.sys;
    err_set(e, "%s", ret->message.text);
    return jail_step_failed(ret->message.step, e);
}

/* Pairs of ends: [0] ours, [1] the launcher's. */
struct ends {
    int control[2], handover[2];
};

static void close_ends(struct ends *s, int side)
{
    fd_auto_close(&s->control[side]);
    fd_auto_close(&s->handover[side]);
}

static int open_ends(struct ends *s, int *ret_errors, struct err *e)
{
    const int on = 1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->control) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->handover) < 0 ||
        setsockopt(s->control[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
        return err_sys(e, "cannot make a socket pair");
    *ret_errors = memfd_create("exeat-bubblewrap", MFD_CLOEXEC);
    return *ret_errors < 0 ? err_sys(e, "memfd") : 0;
}

static int fork_launcher(const struct jail_options *o, const struct ends *s, struct jail *j, struct err *e)
{
    struct launcher l = {.o = o,
                         .control = s->control[1],
                         .handover = s->handover[1],
                         .errors = j->errors,
                         .streams = {-1, -1, -1},
                         .parent = getpid()};
    j->pid = fork();
    if (j->pid < 0)
        return err_sys(e, "fork");
    if (j->pid == 0)
        launch(&l);
    return 0;
}

static int start(const struct jail_options *o, struct ends *s, struct jail *j, struct network *ret_network,
                 struct err *e)
{
    struct jail_packet p;
    if (open_ends(s, &j->errors, e) < 0 || fork_launcher(o, s, j, e) < 0)
        return -1;
    close_ends(s, 1);
    j->control = TAKE_FD(s->control[0]);
    if (send_setup(o, j->control, e) < 0 || expect(j, JAIL_NETWORK, &p, e) < 0)
        return -1;
    jail_packet_close(&p);
    return network_receive(s->handover[0], ret_network, e) < 0 ? jail_step_failed(JAIL_STEP_handover, e) : 0;
}

int jail_start(const struct jail_options *o, struct jail *ret, struct network *ret_network, struct err *e)
{
    struct jail j = JAIL_NONE;
    struct ends ends = {{-1, -1}, {-1, -1}};
    int result = start(o, &ends, &j, ret_network, e);
    close_ends(&ends, 0);
    close_ends(&ends, 1);
    if (result < 0)
        jail_kill(&j);
    else
        *ret = j;
    return result;
}

int jail_await(struct jail *j, struct err *e)
{
    struct jail_packet p;
    if (expect(j, JAIL_READY, &p, e) < 0)
        return -1;
    j->abi = p.message.value;
    j->inner = p.pid;
    if (p.fd_count == 1) {
        j->master = p.fds[0];
        p.fd_count = 0;
    }
    jail_packet_close(&p);
    return 0;
}

int jail_go(struct jail *j, struct err *e)
{
    struct jail_packet p = {.fd_count = 0};
    if (jail_say(j->control, JAIL_GO, 0) < 0)
        return err_sys(e, "the jail has ended before the command started");
    if (expect(j, JAIL_STARTED, &p, e) == 0) {
        jail_packet_close(&p);
        return 0;
    }
    return p.type == JAIL_NOT_STARTED && p.message.sys > 0 ? p.message.sys : -1;
}

void jail_kill(struct jail *j)
{
    if (j->pid > 0) {
        kill(j->pid, SIGKILL);
        while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    j->pid = 0;
    fd_auto_close(&j->control);
    fd_auto_close(&j->errors);
    fd_auto_close(&j->master);
    j->control = j->errors = j->master = -1;
}
