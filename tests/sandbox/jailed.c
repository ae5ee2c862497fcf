/* A jail's network and nothing else of a jail, for the tests of what is captured:
 *
 *   jailed CONFIG TASK COMMAND…
 *
 * starts a supervisor with CONFIG, whose task TASK says `jail: true`, and runs COMMAND in a network of its
 * own. Exit status: the command's, 128 + n for a signal, 125 where the network could not be made. */
#include "app/jailnet.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 125 };

struct run {
    struct loop *loop;
    struct supervisor *supervisor;
    struct loop_child child;
    unsigned jail;
    int status;
};

static void on_end(void *arg, enum supervisor_end end)
{
    struct run *r = arg;
    if (end != SUPERVISOR_STOPPED)
        r->status = FAILED;
    loop_stop(r->loop);
}

static void on_child_end(struct loop_child *child, int status)
{
    struct run *r = CONTAINER_OF(child, struct run, child);
    loop_child_stop(child);
    r->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    supervisor_remove_jail(r->supervisor, r->jail);
    supervisor_stop(r->supervisor, false);
}

static void report(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    (void)arg;
    fprintf(stderr, "%s:%u:%u: %s\n", file, line, column, message);
}

/* The child waits for a byte: its network must be served before it starts anything. */
static int live_inside(int sock, char **command)
{
    const struct network_options o = {.uid = geteuid(), .gid = getegid()};
    struct network n;
    struct err e = {0};
    char go;
    if (network_enter(&o, &n, &e) < 0 || network_send(sock, &n, &e) < 0) {
        fprintf(stderr, "jailed: %s\n", e.text);
        return FAILED;
    }
    network_close(&n);
    if (read(sock, &go, 1) != 1)
        return FAILED;
    signal(SIGPIPE, SIG_DFL);
    execvp(command[0], command);
    perror(command[0]);
    return 127;
}

static int start(struct run *r, char **argv, struct err *e)
{
    const struct supervisor_options options = {
        .files = {.config = argv[1], .report = report}, .ephemeral_ca = true, .ended = on_end, .arg = r};
    struct network n;
    int pair[2];
    if (supervisor_start(r->loop, &options, &r->supervisor, e) < 0 || supervisor_serve(r->supervisor, e) < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, "socketpair");
    pid_t pid = fork();
    if (pid == 0)
        _exit(live_inside(pair[1], argv + 3));
    close(pair[1]);
    loop_child_init(&r->child, r->loop, pid, on_child_end);
    if (network_receive(pair[0], &n, e) < 0 ||
        supervisor_add_jail(r->supervisor, argv[2], &n, &r->jail, e) < 0 || write(pair[0], "", 1) != 1)
        return -1;
    close(pair[0]);
    return 0;
}

int main(int argc, char **argv)
{
    struct run r = {.status = FAILED};
    struct err e = {0};
    log_set_name("jailed");
    signal(SIGPIPE, SIG_IGN);
    r.loop = argc > 3 ? loop_new(true) : NULL;
    if (!r.loop || start(&r, argv, &e) < 0) {
        fprintf(stderr, "jailed: %s\n", e.text);
        return FAILED;
    }
    loop_run(r.loop);
    supervisor_free(r.supervisor);
    loop_free(r.loop);
    return r.status;
}
