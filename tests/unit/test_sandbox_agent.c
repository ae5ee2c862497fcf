/* The system calls of an agent: each probe runs in a process of its own, without the filter and with it.
 * Numbers are passed as they would be by hostile code: with bits above those that the kernel reads. */
#include "base/macros.h"
#include "sandbox/agent_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOT_DENIED = 0, KILLED = 250, BAD_SETUP = 251 };
#define HIGH                                                                                                 \
    (1UL << 40) /* the kernel takes an int and does not see it; a filter that compares 64 bits would */

/* What the kernel says may differ (no such file, bad address): denied is only what has the filter's errno. */
static const struct probe {
    const char *name;
    int denied; /* errno; NOT_DENIED; KILLED */
    bool debug;
    long call;
    unsigned long args[6];
} probes[] = {
    {"a TCP socket", NOT_DENIED, false, SYS_socket, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0}},
    {"a TCP socket by name",
     NOT_DENIED,
     false,
     SYS_socket,
     {AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP}},
    {"a UDP socket", NOT_DENIED, false, SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_UDP}},
    {"a local socket", NOT_DENIED, false, SYS_socket, {AF_UNIX, SOCK_SEQPACKET, 0}},
    {"getifaddrs", NOT_DENIED, false, SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}},
    {"a raw socket", EPERM, false, SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP}},
    {"a raw IPv6 socket", EPERM, false, SYS_socket, {AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6}},
    {"a ping socket", EPERM, false, SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}},
    {"SCTP", EPERM, false, SYS_socket, {AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP}},
    {"SCTP as a stream", EPERM, false, SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}},
    {"UDP-Lite", EPERM, false, SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE}},
    {"multipath TCP", EPROTONOSUPPORT, false, SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_MPTCP}},
    {"netfilter", EPERM, false, SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER}},
    {"sock_diag", EPERM, false, SYS_socket, {AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG}},
    {"packets", EAFNOSUPPORT, false, SYS_socket, {AF_PACKET, SOCK_RAW, 0}},
    {"packets, with bits above", EAFNOSUPPORT, false, SYS_socket, {AF_PACKET | HIGH, SOCK_RAW, 0}},
    {"raw, with bits above", EPERM, false, SYS_socket, {AF_INET | HIGH, SOCK_RAW | HIGH, IPPROTO_RAW | HIGH}},
    {"the hypervisor", EAFNOSUPPORT, false, SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}},
    {"the kernel's ciphers", EAFNOSUPPORT, false, SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}},
    {"express data path", EAFNOSUPPORT, false, SYS_socket, {AF_XDP, SOCK_RAW, 0}},
    {"bluetooth", EAFNOSUPPORT, false, SYS_socket, {AF_BLUETOOTH, SOCK_RAW, 0}},
    {"a family that is none", EAFNOSUPPORT, false, SYS_socket, {0, SOCK_STREAM, 0}},
    {"a pair of TIPC", EAFNOSUPPORT, false, SYS_socketpair, {AF_TIPC, SOCK_STREAM, 0, 0}},

    {"a user namespace", EPERM, false, SYS_unshare, {CLONE_NEWUSER}},
    {"a process in a user namespace", EPERM, false, SYS_clone, {CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0}},
    {"a process in a network namespace",
     EPERM,
     false,
     SYS_clone,
     {CLONE_NEWNET | HIGH | SIGCHLD, 0, 0, 0, 0}},
    {"clone3", ENOSYS, false, SYS_clone3, {0, 0}},
    {"another's namespace", EPERM, false, SYS_setns, {0, 0}},

    {"a mount", EPERM, false, SYS_mount, {0, 0, 0, 0, 0}},
    {"a mount less", EPERM, false, SYS_umount2, {0, 0}},
    {"the new mount calls", EPERM, false, SYS_open_tree, {0, 0, 0}},
    {"a file system context", EPERM, false, SYS_fsopen, {0, 0}},
    {"attributes of mounts", EPERM, false, SYS_mount_setattr, {0, 0, 0, 0, 0}},
    {"open_tree_attr, of a newer kernel", ENOSYS, false, 467, {0, 0, 0, 0, 0}},
    {"a call that nobody knows yet", ENOSYS, false, 999, {0}},
    {"another root", EPERM, false, SYS_chroot, {0}},
    {"files by handle", EPERM, false, SYS_open_by_handle_at, {0, 0, 0}},

    {"a file with a setuid bit",
     EPERM,
     false,
     SYS_openat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent/x", O_CREAT | O_WRONLY, 04755}},
    {"a file with a setgid bit",
     EPERM,
     false,
     SYS_openat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent/x", O_CREAT | O_WRONLY, 02755}},
    {"a file without a name and with a setuid bit",
     EPERM,
     false,
     SYS_openat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent", O_TMPFILE | O_WRONLY, 04755}},
    {"a plain new file",
     NOT_DENIED,
     false,
     SYS_openat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent/x", O_CREAT | O_WRONLY, 0755}},
    {"reading, with bits where no mode is read",
     NOT_DENIED,
     false,
     SYS_openat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/dev/null", O_RDONLY, 04755}},
    {"a folder, with bits where no mode is read",
     NOT_DENIED,
     false,
     SYS_openat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/", O_RDONLY | O_DIRECTORY, 04755}},
    {"openat2", ENOSYS, false, SYS_openat2, {0, 0, 0, 0}},
    {"setuid by fchmodat",
     EPERM,
     false,
     SYS_fchmodat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent", 04755}},
    {"setuid by fchmodat2",
     EPERM,
     false,
     452,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent", 04755, 0}},
    {"setuid by fchmod", EPERM, false, SYS_fchmod, {(unsigned long)-1, 04755}},
    {"a mode with a sticky bit", NOT_DENIED, false, SYS_fchmod, {(unsigned long)-1, 01777}},
    {"a device",
     EPERM,
     false,
     SYS_mknodat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent/x", S_IFCHR | 0600, 0}},
    {"a block device",
     EPERM,
     false,
     SYS_mknodat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent/x", S_IFBLK, 0}},
    {"a pipe with a setuid bit",
     EPERM,
     false,
     SYS_mknodat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent/x", S_IFIFO | 04600, 0}},
    {"a pipe with a name",
     NOT_DENIED,
     false,
     SYS_mknodat,
     {(unsigned long)AT_FDCWD, (unsigned long)"/nonexistent/x", S_IFIFO | 0600, 0}},

    {"keystrokes for a terminal", EPERM, false, SYS_ioctl, {0, TIOCSTI, 0}},
    {"keystrokes, with bits above", EPERM, false, SYS_ioctl, {0, TIOCSTI | HIGH, 0}},
    {"pasting into the console", EPERM, false, SYS_ioctl, {0, TIOCLINUX, 0}},
    {"a line discipline", EPERM, false, SYS_ioctl, {0, TIOCSETD, 0}},
    {"the size of a window", NOT_DENIED, false, SYS_ioctl, {(unsigned long)-1, TIOCGWINSZ, 0}},

    {"memory of others", EPERM, false, SYS_process_vm_readv, {0, 0, 0, 0, 0, 0}},
    {"writing memory of others", EPERM, false, SYS_process_vm_writev, {0, 0, 0, 0, 0, 0}},
    {"tracing", EPERM, false, SYS_ptrace, {0xffff, 0, 0, 0}},
    {"tracing, for debuggers", NOT_DENIED, true, SYS_ptrace, {0xffff, 0, 0, 0}},
    {"mounts, for debuggers too", EPERM, true, SYS_mount, {0, 0, 0, 0, 0}},
    {"descriptors of others", EPERM, false, SYS_pidfd_getfd, {0, 0, 0}},
    {"comparing", EPERM, false, SYS_kcmp, {0, 0, 0, 0, 0}},
    {"eBPF", EPERM, false, SYS_bpf, {0, 0, 0}},
    {"perf", EPERM, false, SYS_perf_event_open, {0, 0, 0, 0, 0}},
    {"userfaultfd", EPERM, false, SYS_userfaultfd, {0}},
    {"io_uring", ENOSYS, false, SYS_io_uring_setup, {0, 0}},
    {"keys", EPERM, false, SYS_keyctl, {0, 0, 0, 0, 0}},
    {"a new key", EPERM, false, SYS_add_key, {0, 0, 0, 0, 0}},
    {"another kernel", EPERM, false, SYS_kexec_load, {0, 0, 0, 0}},
    {"a module", EPERM, false, SYS_finit_module, {0, 0, 0}},
    {"the clock", EPERM, false, SYS_clock_settime, {0, 0}},
    {"the kernel's messages", EPERM, false, SYS_syslog, {3, 0, 0}},
    {"readable code", EPERM, false, SYS_personality, {0x0400000}},
    {"asking for the personality", NOT_DENIED, false, SYS_personality, {0xffffffff}},
    {"forking", NOT_DENIED, false, SYS_clone, {SIGCHLD | CLONE_VM, 0, 0, 0, 0}},
#ifdef __x86_64__
    {"x32", KILLED, false, 0x40000000 | SYS_getpid, {0}},
    {"open, with a setuid bit",
     EPERM,
     false,
     SYS_open,
     {(unsigned long)"/nonexistent/x", O_CREAT | O_WRONLY, 04755}},
    {"creat, with a setuid bit", EPERM, false, SYS_creat, {(unsigned long)"/nonexistent/x", 04755}},
    {"chmod to setuid", EPERM, false, SYS_chmod, {(unsigned long)"/nonexistent", 04755}},
    {"ports", EPERM, false, SYS_iopl, {3}},
#endif
};

/* A process of its own, because a filter stays. What clone makes must not go on with the test. */
static int try(const struct probe *p, bool filtered)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (filtered && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || agent_filter_apply(p->debug) < 0))
            _exit(BAD_SETUP);
        const unsigned long *a = p->args;
        errno = 0;
        bool clones = p->call == SYS_clone;
        long r = clones ? syscall(SYS_clone, (a[0] & ~(unsigned long)CLONE_VM), 0, 0, 0, 0)
                        : syscall(p->call, a[0], a[1], a[2], a[3], a[4], a[5]);
        _exit(r < 0 ? errno & 0xff : 0);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return BAD_SETUP;
    return WIFSIGNALED(status) ? KILLED : WEXITSTATUS(status);
}

static void each_probe_gets_what_the_table_says(void **state UNUSED)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        const struct probe *p = &probes[i];
        int got = try(p, true);
        int bare = p->denied ? 0 : try(p, false);
        bool right = p->denied ? got == p->denied : got == bare;
        if (right)
            continue;
        print_error("%s: %d, expected %d\n", p->name, got, p->denied ? p->denied : bare);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void the_other_architecture_is_killed(void **state UNUSED)
{
#ifdef __x86_64__
    pid_t pid = fork();
    if (pid == 0) {
        long r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || agent_filter_apply(false) < 0)
            _exit(BAD_SETUP);
        __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory"); /* getpid(2) as i386 numbers it */
        _exit(r > 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
#else
    skip();
#endif
}

static void the_filter_fits_and_rows_of_a_call_stand_together(void **state UNUSED)
{
    struct sock_filter code[AGENT_FILTER_MAX];
    const char *seen[500], *why, *name;
    size_t count = 0;
    int refused;
    assert_in_range(agent_filter_build(false, code), 100, AGENT_FILTER_MAX);
    assert_true(agent_filter_build(true, code) < agent_filter_build(false, code));
    for (size_t i = 0; (name = agent_filter_row(i, &why, &refused)); i++) {
        assert_true(why[0] != '\0');
        if (count && strcmp(seen[count - 1], name) == 0)
            continue;
        for (size_t j = 0; j < count; j++)
            assert_string_not_equal(seen[j], name);
        assert_true(count < ARRAY_LEN(seen));
        seen[count++] = name;
    }
    assert_true(count > 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_probe_gets_what_the_table_says),
        cmocka_unit_test(the_other_architecture_is_killed),
        cmocka_unit_test(the_filter_fits_and_rows_of_a_call_stand_together),
    };
    return cmocka_run_group_tests_name("sandbox/agent_filter", tests, NULL, NULL);
}
