#include "app/role.h"

#include "base/sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a role may know of the environment.  Sanitizers are told by theirs where to report. */
static const struct variable {
    const char *name;
    bool sanitized_only;
} environment_kept[] = {
    {"LANG", false},        {"TZ", false},          {"ASAN_OPTIONS", true},
    {"LSAN_OPTIONS", true}, {"TSAN_OPTIONS", true}, {"UBSAN_OPTIONS", true},
};

enum { ENVIRONMENT_MAX = ARRAY_LEN(environment_kept) };

/* The folder of our own executable. */
static int own_folder(char ret[PATH_MAX], struct err *e)
{
    ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
    if (n <= 0)
        return err_sys(e, "/proc/self/exe: cannot read");
    ret[n] = '\0';
    char *end = strrchr(ret, '/');
    if (!end)
        return err_set(e, "/proc/self/exe: not a path");
    *end = '\0';
    return 0;
}

/* In a build tree our folder's parent has config.status; installed it never does. */
static bool in_build_tree(const char *folder)
{
    char marker[PATH_MAX];
    int n = snprintf(marker, PATH_MAX, "%s/../config.status", folder);
    return n > 0 && n < PATH_MAX && access(marker, X_OK) == 0;
}

static bool try_path(char ret[PATH_MAX], const char *folder, const char *below, const char *name)
{
    int n = snprintf(ret, PATH_MAX, "%s%s/%s", folder, below, name);
    return n > 0 && n < PATH_MAX && access(ret, X_OK) == 0;
}

/* In a build tree the roles stand beside us; installed they never do, and
 * a program called `proxy` in /usr/bin is somebody else's.  ../libexec is the same place after
 * `make install DESTDIR=`. */
int role_find(const char *name, char ret[PATH_MAX], struct err *e)
{
    char folder[PATH_MAX];
    if (own_folder(folder, e) < 0)
        return -1;
    if (in_build_tree(folder) && try_path(ret, folder, "", name))
        return 0;
    if (try_path(ret, folder, "/../libexec/exeat", name) || try_path(ret, EXEAT_LIBEXECDIR, "", name))
        return 0;
    return err_set(e, "the program `%s` is missing: expected it as %s/%s", name, EXEAT_LIBEXECDIR, name);
}

int role_data(const char *name, char ret[PATH_MAX], struct err *e)
{
    char folder[PATH_MAX];
    if (own_folder(folder, e) < 0)
        return -1;
    if (in_build_tree(folder))
        return try_path(ret, folder, "/../conf", name)
                   ? 0
                   : err_set(e, "the folder conf/%s is missing in the build tree: run make", name);
    if (try_path(ret, folder, "/../share/exeat", name) || try_path(ret, EXEAT_DATADIR, "", name))
        return 0;
    return err_set(e, "the folder %s/%s is missing", EXEAT_DATADIR, name);
}

static size_t fill_environment(char texts[ENVIRONMENT_MAX][256], char *ret[ENVIRONMENT_MAX + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < ENVIRONMENT_MAX; i++) {
        const struct variable *v = &environment_kept[i];
        const char *value = getenv(v->name);
        if (!value || (v->sanitized_only && !SANITIZED))
            continue;
        int n = snprintf(texts[count], sizeof texts[count], "%s=%s", v->name, value);
        if (n <= 0 || (size_t)n >= sizeof texts[count])
            continue;
        ret[count] = texts[count];
        count++;
    }
    ret[count] = NULL;
    return count;
}

/* Between fork and exec: async-signal-safe calls only (signal-safety(7)). */
NORETURN static void become(const char *path, const char *name, int control, char **environment, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    for (int signo = 1; signo < 32; signo++)
        signal(signo, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    int null = open("/dev/null", O_RDWR);
    bool ready = null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
                 dup2(control, ROLE_CONTROL_FD) >= 0 && close_range(ROLE_CONTROL_FD + 1, ~0U, 0) == 0;
    /* Our parent may have gone before prctl: then no signal will ever come. */
    ready = ready && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
    char *const arguments[] = {(char *)(uintptr_t)name, NULL};
    if (ready)
        execve(path, arguments, environment);
    _exit(127);
}

/* dup2 onto itself would leave close-on-exec set. */
static int above_control(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, ROLE_CONTROL_FD + 1);
    close(fd);
    return moved;
}

int role_spawn(const char *name, enum ipc_end end, struct role *ret, struct err *e)
{
    char path[PATH_MAX], texts[ENVIRONMENT_MAX][256], *environment[ENVIRONMENT_MAX + 1];
    int pair[2];
    if (role_find(name, path, e) < 0)
        return -1;
    fill_environment(texts, environment);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, "cannot make a socket pair");
    AUTO_FD int ours = pair[0];
    AUTO_FD int theirs = above_control(pair[1]);
    pid_t parent = getpid();
    pid_t pid = theirs < 0 ? -1 : fork();
    if (pid < 0)
        return err_sys(e, "cannot start the %s", name);
    if (pid == 0)
        become(path, name, theirs, environment, parent);
    struct ipc ipc = {0};
    if (ipc_open(&ipc, ours, IPC_SUPERVISOR, end, e) < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return -1;
    }
    ours = -1;
    *ret = (struct role){.name = name, .pid = pid, .ipc = ipc};
    return 0;
}

void role_kill(struct role *r)
{
    if (r->pid > 0) {
        kill(r->pid, SIGKILL);
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    r->pid = 0;
    ipc_close(&r->ipc);
}

int role_enter(enum ipc_end self, struct ipc *ret, struct err *e)
{
    int type = 0;
    socklen_t len = sizeof type;
    if (getsockopt(ROLE_CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
        return err_set(e, "this program is a part of exeat and is started by it");
    const struct rlimit no_core = {0, 0};
    /* The leak detector traces us, which nobody else may. */
    if (prctl(PR_SET_DUMPABLE, SANITIZED) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &no_core) < 0 || fcntl(ROLE_CONTROL_FD, F_SETFD, FD_CLOEXEC) < 0)
        return err_sys(e, "cannot give up privileges");
    signal(SIGPIPE, SIG_IGN);
    return ipc_open(ret, ROLE_CONTROL_FD, self, IPC_SUPERVISOR, e);
}

int role_fail(struct ipc *c, const struct err *e)
{
    if (ipc_send(c, IPC_FAILED, slice_str(e->text), NULL, 0, NULL) < 0) {
        /* The supervisor is gone too, or will see our end. */
    }
    return 1;
}
