/* Messages between supervisor and roles: the table is the law for both ends. */
#include "app/ipc.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
    struct ipc supervisor, role;
};

static struct pair make_pair(enum ipc_end role)
{
    struct pair p;
    struct err e;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(ipc_open(&p.supervisor, fds[0], IPC_SUPERVISOR, role, &e), 0);
    assert_int_equal(ipc_open(&p.role, fds[1], role, IPC_SUPERVISOR, &e), 0);
    return p;
}

static void close_pair(struct pair *p)
{
    ipc_close(&p->supervisor);
    ipc_close(&p->role);
}

static void serve(struct pair *p)
{
    p->supervisor.phase = p->role.phase = IPC_SERVING;
}

static void a_message_arrives_with_text_and_descriptors(void **state)
{
    (void)state;
    struct pair p = make_pair(IPC_PROXY);
    struct ipc_message m;
    struct err e;
    char text[8];
    serve(&p);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(ipc_send(&p.supervisor, IPC_RELOAD, SLICE("hi\n"), &fd, 1, &e), 0);
    assert_int_equal(ipc_recv(&p.role, 1000, &m, &e), IPC_GOT);
    assert_int_equal(m.type, IPC_RELOAD);
    assert_int_equal(m.fd_count, 1);
    assert_int_equal(fcntl(m.fds[0], F_GETFD), FD_CLOEXEC);
    ipc_text(&m, text, sizeof text);
    assert_string_equal(text, "hi?");
    ipc_message_close(&m);
    close(fd);
    close_pair(&p);
}

static void the_largest_message_passes_and_a_larger_one_is_not_sent(void **state)
{
    (void)state;
    static char text[CAP_IPC_MESSAGE_BYTES];
    struct pair p = make_pair(IPC_PROXY);
    struct ipc_message m;
    struct err e;
    serve(&p);
    memset(text, 'x', sizeof text);
    size_t most = CAP_IPC_MESSAGE_BYTES - 8;
    assert_int_equal(ipc_send(&p.supervisor, IPC_RELOAD_BROKEN, slice_of(text, most), NULL, 0, &e), 0);
    assert_int_equal(ipc_recv(&p.role, 1000, &m, &e), IPC_GOT);
    assert_int_equal(m.payload.len, most);
    assert_int_equal(ipc_send(&p.supervisor, IPC_RELOAD_BROKEN, slice_of(text, most + 1), NULL, 0, &e), -1);
    close_pair(&p);
}

static const struct forbidden {
    const char *why;
    enum ipc_end role;
    bool from_role;
    enum ipc_type type;
    enum ipc_phase phase;
    size_t fds;
} forbidden_cases[] = {
    {"no such message", IPC_PROXY, false, IPC_NONE, IPC_SERVING, 0},
    {"no such message", IPC_PROXY, false, IPC_TYPE_COUNT, IPC_SERVING, 0},
    {"a proxy does not order a reload", IPC_PROXY, true, IPC_RELOAD, IPC_SERVING, 1},
    {"a keeper is not told to reload", IPC_KEEPER, false, IPC_RELOAD, IPC_SERVING, 1},
    {"a keeper's setup is not a proxy's", IPC_PROXY, false, IPC_KEEPER_SETUP, IPC_SETUP, 1},
    {"setup comes once", IPC_PROXY, false, IPC_PROXY_SETUP, IPC_SERVING, 5},
    {"ready comes once", IPC_PROXY, true, IPC_READY, IPC_SERVING, 0},
    {"a reload has a bundle", IPC_PROXY, false, IPC_RELOAD, IPC_SERVING, 0},
    {"a reload has one bundle", IPC_PROXY, false, IPC_RELOAD, IPC_SERVING, 2},
    {"no descriptor comes from a role", IPC_PROXY, true, IPC_RELOADED, IPC_SERVING, 1},
    {"no reload while stopping", IPC_PROXY, false, IPC_RELOAD, IPC_STOPPING, 1},
    {"a keeper does not say that the proxy stopped", IPC_KEEPER, true, IPC_STOPPED, IPC_SERVING, 0},
    {"a run hands no jail to the proxy", IPC_RUN, true, IPC_JAIL, IPC_SERVING, 1},
    {"a run makes no guest of itself", IPC_RUN, true, IPC_GUEST, IPC_SERVING, 2},
    {"a run does not stop the daemon", IPC_RUN, true, IPC_STOP, IPC_SERVING, 0},
    {"a run brings its policy and its namespace", IPC_RUN, true, IPC_RUN_HELLO, IPC_SETUP, 1},
    {"a run says hello once", IPC_RUN, true, IPC_RUN_HELLO, IPC_SERVING, 2},
    {"a run has one network", IPC_RUN, true, IPC_RUN_NETWORK, IPC_SERVING, 1},
    {"a run that is not served has nothing to end", IPC_RUN, true, IPC_RUN_END, IPC_SETUP, 0},
    {"a run brings no descriptors at its end", IPC_RUN, true, IPC_RUN_END, IPC_SERVING, 1},
    {"a run does not welcome", IPC_RUN, true, IPC_RUN_WELCOME, IPC_SETUP, 0},
    {"a daemon sends no descriptors", IPC_RUN, false, IPC_RUN_READY, IPC_SETUP, 1},
    {"a proxy takes no run's word", IPC_PROXY, false, IPC_RUN_POLICY, IPC_SERVING, 1},
};

static void a_message_against_the_table_is_not_sent(void **state)
{
    (void)state;
    const int fds[2] = {0, 0};
    for (size_t i = 0; i < ARRAY_LEN(forbidden_cases); i++) {
        const struct forbidden *f = &forbidden_cases[i];
        struct pair p = make_pair(f->role);
        struct ipc *from = f->from_role ? &p.role : &p.supervisor;
        struct err e;
        from->phase = f->phase;
        if (ipc_send(from, f->type, SLICE(""), fds, f->fds, &e) == 0)
            fail_msg("sent: %s", f->why);
        close_pair(&p);
    }
}

/* As a role that has been taken over would write it. */
static void write_raw(int to, uint32_t type, uint32_t length, struct slice payload, size_t fd_count)
{
    uint32_t head[2] = {type, length};
    struct iovec parts[2] = {{head, sizeof head}, {(void *)(uintptr_t)payload.ptr, payload.len}};
    char control[CMSG_SPACE(sizeof(int) * 2)] = {0};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
    const int fds[2] = {0, 0};
    if (fd_count) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    assert_true(sendmsg(to, &m, 0) >= 0);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void a_message_against_the_table_is_refused_and_leaves_no_descriptor(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forbidden_cases); i++) {
        const struct forbidden *f = &forbidden_cases[i];
        struct pair p = make_pair(f->role);
        struct ipc *from = f->from_role ? &p.role : &p.supervisor;
        struct ipc *to = f->from_role ? &p.supervisor : &p.role;
        struct ipc_message m;
        struct err e;
        to->phase = f->phase;
        unsigned before = open_descriptors();
        write_raw(from->fd, (uint32_t)f->type, 0, SLICE(""), f->fds < 2 ? f->fds : 2);
        if (ipc_recv(to, 1000, &m, &e) != IPC_BROKEN)
            fail_msg("taken: %s", f->why);
        assert_int_equal(open_descriptors(), before);
        close_pair(&p);
    }
}

static void a_length_that_lies_is_refused(void **state)
{
    (void)state;
    struct pair p = make_pair(IPC_PROXY);
    struct ipc_message m;
    struct err e;
    serve(&p);
    write_raw(p.role.fd, IPC_RELOADED, 4, SLICE("abc"), 0);
    assert_int_equal(ipc_recv(&p.supervisor, 1000, &m, &e), IPC_BROKEN);
    assert_int_equal(send(p.role.fd, "abc", 3, 0), 3);
    assert_int_equal(ipc_recv(&p.supervisor, 1000, &m, &e), IPC_BROKEN);
    close_pair(&p);
}

static void nothing_in_time_is_no_message(void **state)
{
    (void)state;
    struct pair p = make_pair(IPC_PROXY);
    struct ipc_message m;
    struct err e;
    assert_int_equal(ipc_recv(&p.role, 1, &m, &e), IPC_TIMEOUT);
    close_pair(&p);
}

static void the_end_of_the_peer_is_seen(void **state)
{
    (void)state;
    struct pair p = make_pair(IPC_PROXY);
    struct ipc_message m;
    struct err e;
    ipc_close(&p.supervisor);
    assert_int_equal(ipc_recv(&p.role, 1000, &m, &e), IPC_END);
    assert_int_equal(ipc_send(&p.role, IPC_READY, SLICE(""), NULL, 0, &e), -1);
    close_pair(&p);
}

static void last_words_of_a_peer_that_did_not_listen_are_heard(void **state)
{
    (void)state;
    struct pair p = make_pair(IPC_PROXY);
    struct ipc_message m;
    struct err e;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    serve(&p);
    assert_int_equal(ipc_send(&p.supervisor, IPC_RELOAD, SLICE("policy"), &fd, 1, &e), 0);
    assert_int_equal(ipc_send(&p.role, IPC_RELOAD_REFUSED, SLICE("no"), NULL, 0, &e), 0);
    ipc_close(&p.role);
    assert_int_equal(ipc_recv(&p.supervisor, 1000, &m, &e), IPC_GOT);
    assert_int_equal(m.type, IPC_RELOAD_REFUSED);
    assert_int_equal(ipc_recv(&p.supervisor, 1000, &m, &e), IPC_END);
    close(fd);
    ipc_close(&p.supervisor);
}

static void a_payload_of_another_size_is_refused(void **state)
{
    (void)state;
    const struct ipc_stop stop = {.grace_ns = 7};
    struct ipc_stop got = {0};
    struct ipc_message m = {.payload = slice_of((const char *)&stop, sizeof stop)};
    assert_int_equal(ipc_payload(&m, &got, sizeof got), 0);
    assert_int_equal(got.grace_ns, 7);
    m.payload.len--;
    assert_int_equal(ipc_payload(&m, &got, sizeof got), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives_with_text_and_descriptors),
        cmocka_unit_test(the_largest_message_passes_and_a_larger_one_is_not_sent),
        cmocka_unit_test(a_message_against_the_table_is_not_sent),
        cmocka_unit_test(a_message_against_the_table_is_refused_and_leaves_no_descriptor),
        cmocka_unit_test(a_length_that_lies_is_refused),
        cmocka_unit_test(nothing_in_time_is_no_message),
        cmocka_unit_test(the_end_of_the_peer_is_seen),
        cmocka_unit_test(last_words_of_a_peer_that_did_not_listen_are_heard),
        cmocka_unit_test(a_payload_of_another_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
