/* What a role cannot do any more once it has locked itself in.  Each probe runs in a process of its own,
 * which applies the profile and then tries. */
#include "base/macros.h"
#include "base/sanitized.h"
#include "sandbox/lockin.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { BAD_SETUP = 99 };

/* What the kernel lets a probe find: nothing of it is set in a process that may do anything. */
static struct place {
    char folder[64], inside[96], outside[96];
    int dir, socket;
    bool landlock;
} place;

/* 0: it worked, else errno. */
typedef int probe(void);

static int result(long r)
{
    return r < 0 ? errno : 0;
}

static int probe_open_passwd(void)
{
    return result(open("/etc/passwd", O_RDONLY));
}

static int probe_open_proc(void)
{
    return result(open("/proc/self/maps", O_RDONLY));
}

static int probe_read_outside(void)
{
    return result(open(place.outside, O_RDONLY));
}

static int probe_write_outside(void)
{
    return result(openat(AT_FDCWD, place.outside, O_WRONLY));
}

static int probe_list_root(void)
{
    return result(open("/", O_RDONLY | O_DIRECTORY));
}

static int probe_socket_tcp(void)
{
    return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int probe_socket_udp6(void)
{
    return result(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static int probe_socket_raw(void)
{
    return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int probe_socket_unix(void)
{
    return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int probe_socket_packet(void)
{
    return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int probe_socket_route(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int probe_socket_diag(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW, 4 /* NETLINK_SOCK_DIAG */));
}

static int probe_execve(void)
{
    char *const none[] = {NULL};
    return result(execve("/bin/true", none, none));
}

static int probe_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static int probe_ptrace(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int probe_vm_read(void)
{
    char byte;
    struct iovec v = {&byte, 1};
    return result(process_vm_readv(getpid(), &v, 1, &v, 1, 0));
}

static int probe_unshare(void)
{
    return result(unshare(CLONE_NEWUSER));
}

static int probe_kill(void)
{
    return result(kill(getppid(), 0));
}

static int probe_executable_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno
                                                                                                     : 0;
}

static int probe_make_executable(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? BAD_SETUP : result(mprotect(at, 4096, PROT_READ | PROT_EXEC));
}

static int probe_memory(void)
{
    void *at = malloc(32 << 20);
    if (!at)
        return errno;
    memset(at, 1, 32 << 20);
    free(at);
    return 0;
}

static int probe_raise_limit(void)
{
    struct rlimit l = {1 << 20, 1 << 20};
    return result(setrlimit(RLIMIT_CORE, &l));
}

static int probe_log(void)
{
    int fd = openat(place.dir, "log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) < 0 || fsync(fd) < 0 || ftruncate(fd, 0) < 0)
        return errno;
    if (renameat(place.dir, "log", place.dir, "log.1") < 0 || unlinkat(place.dir, "log.1", 0) < 0)
        return errno;
    return 0;
}

static int probe_make_folder(void)
{
    return result(mkdirat(place.dir, "folder", 0700));
}

static int probe_link(void)
{
    return result(symlinkat("/etc/passwd", place.dir, "link"));
}

static void *in_thread(void *arg)
{
    *(int *)arg = 7;
    return NULL;
}

static int probe_thread(void)
{
    pthread_t t;
    int value = 0;
    int why = pthread_create(&t, NULL, in_thread, &value);
    if (why == 0)
        pthread_join(t, NULL);
    return why ? why : value == 7 ? 0 : EPROTO;
}

static int probe_talk(void)
{
    char text[2];
    struct timespec now;
    if (send(place.socket, "hi", 2, MSG_NOSIGNAL) != 2 || recv(place.socket, text, 2, MSG_DONTWAIT) != 2)
        return errno;
    return result(getrandom(text, sizeof text, 0)) || result(clock_gettime(CLOCK_REALTIME, &now));
}

static int probe_resolv_conf(void)
{
    int why = result(open("/etc/resolv.conf", O_RDONLY));
    return why == ENOENT ? 0 : why;
}

enum outcome { WORKS, EPERM_, REFUSED /* EPERM or EACCES */, KILLED, REFUSED_BY_LANDLOCK };

static const struct row {
    const char *name;
    probe *try;
    enum outcome keeper, proxy;
} rows[] = {
    {"talk over a socket that is there", probe_talk, WORKS, WORKS},
    {"allocate memory", probe_memory, WORKS, WORKS},
    {"open /etc/passwd", probe_open_passwd, REFUSED, REFUSED_BY_LANDLOCK},
    {"open /proc/self/maps", probe_open_proc, REFUSED, REFUSED_BY_LANDLOCK},
    {"read a file beside the log's folder", probe_read_outside, REFUSED, REFUSED_BY_LANDLOCK},
    {"write a file beside the log's folder", probe_write_outside, REFUSED, REFUSED_BY_LANDLOCK},
    {"list the root", probe_list_root, REFUSED, REFUSED_BY_LANDLOCK},
    {"write, rename and remove the log", probe_log, REFUSED, WORKS},
    {"make a folder beside the log", probe_make_folder, EPERM_, EPERM_},
    {"make a link beside the log", probe_link, EPERM_, EPERM_},
    {"read resolv.conf", probe_resolv_conf, REFUSED, REFUSED_BY_LANDLOCK},
    {"make a TCP socket", probe_socket_tcp, EPERM_, WORKS},
    {"make a UDP socket", probe_socket_udp6, EPERM_, WORKS},
    {"make a raw socket", probe_socket_raw, EPERM_, EPERM_},
    {"make a Unix socket", probe_socket_unix, EPERM_, EPERM_},
    {"make a packet socket", probe_socket_packet, KILLED, KILLED},
    {"ask for routes", probe_socket_route, EPERM_, WORKS},
    {"look at other sockets", probe_socket_diag, EPERM_, EPERM_},
    {"execute a program", probe_execve, KILLED, KILLED},
    {"fork", probe_fork, EPERM_, EPERM_},
    {"start a thread", probe_thread, EPERM_, WORKS},
    {"trace", probe_ptrace, KILLED, KILLED},
    {"read a process's memory", probe_vm_read, KILLED, KILLED},
    {"make a namespace", probe_unshare, KILLED, KILLED},
    {"signal another process", probe_kill, EPERM_, EPERM_},
    {"map executable memory", probe_executable_memory, EPERM_, EPERM_},
    {"make memory executable", probe_make_executable, EPERM_, EPERM_},
    {"raise a limit", probe_raise_limit, EPERM_, EPERM_},
};

/* The exit status of a process that locks itself in and tries. */
static int try_in_child(enum lockin_role role, probe *try)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit no_core = {0, 0};
        const struct lockin_paths paths = {.audit_dir = role == LOCKIN_PROXY ? place.dir : -1};
        char note[LOCKIN_NOTE_BYTES];
        struct err e;
        if (setrlimit(RLIMIT_CORE, &no_core) < 0 || lockin_apply(role, &paths, note, &e) < 0)
            _exit(BAD_SETUP);
        _exit(try());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == BAD_SETUP);
    return status;
}

static bool as_expected(enum outcome want, int status)
{
    int why = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    switch (want) {
    case WORKS:
        return why == 0;
    case EPERM_:
        return why == EPERM;
    case REFUSED:
        return why == EPERM || why == EACCES;
    case KILLED:
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
    case REFUSED_BY_LANDLOCK:
        return why == EACCES || (!place.landlock && why == 0);
    }
    return false;
}

static void try_all(enum lockin_role role)
{
    if (SANITIZED)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum outcome want = role == LOCKIN_KEEPER ? rows[i].keeper : rows[i].proxy;
        int status = try_in_child(role, rows[i].try);
        if (!as_expected(want, status))
            fail_msg("%s: expected outcome %d, got status %#x", rows[i].name, (int)want, (unsigned)status);
    }
}

static void a_keeper_can_only_talk(void **state)
{
    (void)state;
    try_all(LOCKIN_KEEPER);
}

static void a_proxy_can_dial_and_write_its_log(void **state)
{
    (void)state;
    try_all(LOCKIN_PROXY);
}

/* The probes prove something only where they work without a profile. */
static void without_a_profile_the_probes_work(void **state)
{
    (void)state;
    static probe *const harmless[] = {probe_talk,         probe_memory,      probe_open_passwd,
                                      probe_read_outside, probe_list_root,   probe_log,
                                      probe_socket_tcp,   probe_socket_unix, probe_fork,
                                      probe_thread,       probe_kill,        probe_executable_memory,
                                      probe_vm_read,      probe_socket_diag};
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
        assert_int_equal(harmless[i](), 0);
}

static int set_up(void **state)
{
    (void)state;
    int pair[2];
    snprintf(place.folder, sizeof place.folder, "/tmp/exeat-test-XXXXXX");
    if (!mkdtemp(place.folder) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        return -1;
    snprintf(place.inside, sizeof place.inside, "%s/audit", place.folder);
    snprintf(place.outside, sizeof place.outside, "%s/outside", place.folder);
    int outside = open(place.outside, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (outside < 0 || mkdir(place.inside, 0700) < 0)
        return -1;
    close(outside);
    place.dir = open(place.inside, O_RDONLY | O_DIRECTORY);
    /* One end talks to itself through the other's buffer: what is sent on [1] is there to be read. */
    place.socket = pair[0];
    for (int i = 0; i < 200; i++)
        if (send(pair[1], "hi", 2, 0) != 2)
            return -1;
    place.landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
    return place.dir < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(place.outside);
    return rmdir(place.inside) < 0 || rmdir(place.folder) < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_profile_the_probes_work),
        cmocka_unit_test(a_keeper_can_only_talk),
        cmocka_unit_test(a_proxy_can_dial_and_write_its_log),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
