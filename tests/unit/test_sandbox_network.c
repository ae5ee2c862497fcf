/* sandbox/network: handing over, asking, and what is said where namespaces are refused.  A network itself is
 * tried in tests/e2e/test_capture.py and tests/sandbox. */
#include "base/io.h"
#include "sandbox/netlink.h"
#include "sandbox/network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool same_file(int a, int b)
{
    struct stat one, other;
    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino &&
           one.st_dev == other.st_dev;
}

static void descriptors_arrive_in_their_places(void **state)
{
    struct network n, got;
    struct err e;
    int pair[2];
    (void)state;
    network_init(&n);
    network_init(&got);
    n.proxy = socket(AF_INET, SOCK_STREAM, 0);
    n.dns_udp6 = socket(AF_INET, SOCK_DGRAM, 0);
    n.nft = open("/dev/null", O_RDONLY);
    n.services[0] = open("/dev/zero", O_RDONLY);
    n.services[1] = open("/dev/null", O_RDONLY);
    n.ipv6 = true;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(network_send(pair[0], &n, &e), 0);
    assert_int_equal(network_receive(pair[1], &got, &e), 0);
    assert_true(same_file(n.proxy, got.proxy) && same_file(n.dns_udp6, got.dns_udp6) &&
                same_file(n.nft, got.nft));
    assert_true(same_file(n.services[0], got.services[0]) && same_file(n.services[1], got.services[1]));
    assert_int_equal(got.services[2], -1);
    assert_true(got.ipv6 && got.proxy6 == -1 && got.capture4 == -1 && got.diag == -1);
    assert_true(fcntl(got.proxy, F_GETFD) & FD_CLOEXEC);
    network_close(&got);
    assert_int_equal(got.proxy, -1);
    network_close(&n);
    close(pair[0]);
    close(pair[1]);
}

static void what_is_no_network_is_refused(void **state)
{
    struct network got;
    struct err e;
    int pair[2];
    (void)state;
    network_init(&got);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(write(pair[0], "something else", 14), 14);
    assert_int_equal(network_receive(pair[1], &got, &e), -1);
    assert_int_equal(got.proxy, -1);
    close(pair[0]);
    assert_int_equal(network_receive(pair[1], &got, &e), -1);
    close(pair[1]);
}

/* --- who has a connection --- */

static void connection(int *ret_client, int *ret_listener)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    *ret_listener = socket(AF_INET, SOCK_STREAM, 0);
    *ret_client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*ret_listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(*ret_listener, 1), 0);
    assert_int_equal(getsockname(*ret_listener, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(connect(*ret_client, (struct sockaddr *)&a, sizeof a), 0);
}

static void a_connection_is_found_by_its_ends(void **state)
{
    AUTO_FD int diag = netlink_open(NETLINK_SOCK_DIAG);
    struct sockaddr_in local, remote;
    socklen_t len = sizeof local;
    struct stat st;
    uint64_t inode = 0;
    int client, listener;
    (void)state;
    connection(&client, &listener);
    assert_int_equal(getsockname(client, (struct sockaddr *)&local, &len), 0);
    assert_int_equal(getpeername(client, (struct sockaddr *)&remote, &len), 0);
    if (network_inode(diag, (struct sockaddr *)&local, (struct sockaddr *)&remote, &inode) < 0 &&
        errno == ENOENT)
        skip(); /* a kernel without inet_diag */
    assert_int_equal(fstat(client, &st), 0);
    assert_int_equal(inode, st.st_ino);
    remote.sin_port = htons(1);
    inode = 7;
    assert_int_equal(network_inode(diag, (struct sockaddr *)&local, (struct sockaddr *)&remote, &inode), -1);
    assert_int_equal(inode, 7);
    close(client);
    close(listener);
}

/* --- why not --- */

static const struct {
    const char *file, *value;
    int sys;
    const char *says; /* NULL: nothing of these */
} refusals[] = {
    {"proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", EPERM,
     "apparmor_parser -r"},
    {"proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n", EPERM, NULL},
    {"proc/sys/kernel/unprivileged_userns_clone", "0\n", EPERM, "kernel.unprivileged_userns_clone=1"},
    {"proc/sys/user/max_user_namespaces", "0\n", ENOSPC, "user.max_user_namespaces="},
    {"proc/sys/user/max_user_namespaces", "15000\n", ENOSPC, NULL},
    {".dockerenv", "", EPERM, "docker run --security-opt"},
    {"run/.containerenv", "", EPERM, "podman run --security-opt"},
    {".dockerenv", "", ENOMEM, NULL}, /* no refusal */
};

static void make_folders(const char *root, const char *file)
{
    char path[300];
    for (const char *slash = strchr(file, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof path, "%s/%.*s", root, (int)(slash - file), file);
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    }
}

static void a_refusal_names_its_cause_and_one_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        char root[] = "/tmp/exeat-network-XXXXXX", path[300], clean[80];
        struct err e = {0};
        assert_non_null(mkdtemp(root));
        make_folders(root, refusals[i].file);
        snprintf(path, sizeof path, "%s/%s", root, refusals[i].file);
        assert_int_equal(io_replace_file(path, slice_str(refusals[i].value), 0600, &e), 0);
        errno = refusals[i].sys;
        assert_int_equal(network_explain(root, "cannot do it", &e), -1);
        assert_int_equal(e.sys, refusals[i].sys);
        assert_true(strncmp(e.text, "cannot do it: ", 14) == 0);
        bool helps = strstr(e.text, "this helps: ") != NULL;
        assert_true(helps == (refusals[i].says != NULL));
        if (refusals[i].says)
            assert_non_null(strstr(e.text, refusals[i].says));
        snprintf(clean, sizeof clean, "rm -r %s", root);
        assert_int_equal(system(clean), 0);
    }
}

/* --- netlink --- */

static void a_request_that_does_not_fit_is_not_sent(void **state)
{
    struct netlink_request r;
    char large[NETLINK_REQUEST_BYTES] = {0};
    (void)state;
    netlink_begin(&r, 1, NLM_F_REQUEST, large, 16);
    netlink_put(&r, 1, large, sizeof large);
    assert_true(r.overflow);
    assert_int_equal(netlink_ask(-1, &r, NULL, NULL), -1);
    assert_int_equal(errno, EMSGSIZE);
}

static void attributes_that_lie_about_their_length_end_the_walk(void **state)
{
    char bytes[16] __attribute__((aligned(4))) = {0};
    const struct nlattr whole = {.nla_len = 8, .nla_type = 5}, lies = {.nla_len = 200, .nla_type = 6};
    (void)state;
    memcpy(bytes, &whole, sizeof whole);
    memcpy(bytes + 8, &lies, sizeof lies);
    assert_non_null(netlink_find(bytes, bytes + sizeof bytes, 5));
    assert_null(netlink_find(bytes, bytes + sizeof bytes, 6));
    assert_null(netlink_value(netlink_find(bytes, bytes + sizeof bytes, 5), 5));
    assert_non_null(netlink_value(netlink_find(bytes, bytes + sizeof bytes, 5), 4));
}

/* As on a kernel before SO_NETNS_COOKIE, for this process from here on. */
static int forget_netns_cookie(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_getsockopt, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 71, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {ARRAY_LEN(code), code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1
                                                      : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* What a listener of this machine's is answered; "" is: taken. */
static struct err judge_own_listener(void)
{
    struct network n;
    struct err e = {0};
    network_init(&n);
    n.proxy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (n.proxy < 0 || listen(n.proxy, 1) < 0 || network_check(&n, &e) == 0)
        e.text[0] = '\0';
    network_close(&n);
    return e;
}

static void sockets_of_this_machine_are_refused_also_where_the_kernel_cannot_tell(void **state)
{
    int status = -1;
    struct err e = judge_own_listener();
    (void)state;
    if (!strstr(e.text, "not those of a jail") && !strstr(e.text, "5.14"))
        fail_msg("%s", e.text);
    pid_t pid = fork();
    if (pid == 0) {
        if (forget_netns_cookie() < 0)
            _exit(2);
        e = judge_own_listener();
        _exit(strstr(e.text, "5.14") ? 0 : 1);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_arrive_in_their_places),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(a_connection_is_found_by_its_ends),
        cmocka_unit_test(a_refusal_names_its_cause_and_one_command),
        cmocka_unit_test(a_request_that_does_not_fit_is_not_sent),
        cmocka_unit_test(sockets_of_this_machine_are_refused_also_where_the_kernel_cannot_tell),
        cmocka_unit_test(attributes_that_lie_about_their_length_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
