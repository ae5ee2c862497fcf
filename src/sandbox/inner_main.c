/* bin/init: the inner stage of a jail (sandbox/inner.h). */
#include "sandbox/inner.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FAILED = 125 };

/* A number of a descriptor that is open and for us alone; -1 for anything else. */
static int take_descriptor(const char *text)
{
    char *end;
    long fd = strtol(text, &end, 10);
    if (*end || end == text || fd <= STDERR_FILENO || fd > INT_MAX)
        return -1;
    return fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : (int)fd;
}

/* init CONTROL INPUT OUTPUT ERROR: the supervisor's socket, and what is to stand for the standard descriptors
 * that it sends (-1: nothing).  -1: nobody of ours has started this. */
static int take_arguments(struct inner *in, int argc, char **argv)
{
    int type = 0;
    socklen_t len = sizeof type;
    if (argc != 2 + (int)ARRAY_LEN(in->instead))
        return -1;
    in->control = take_descriptor(argv[1]);
    for (size_t i = 0; i < ARRAY_LEN(in->instead); i++)
        in->instead[i] = take_descriptor(argv[2 + i]);
    return getsockopt(in->control, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET ? -1 : 0;
}

/* The master goes out, and is nobody's in here. */
static int say_ready(struct inner *in, struct err *e)
{
    const struct jail_message m = {.type = JAIL_READY, .value = in->abi};
    int result = jail_send(in->control, &m, sizeof m, &in->master, in->master >= 0 ? 1 : 0);
    fd_auto_close(&in->master);
    in->master = -1;
    return result < 0 ? err_sys(e, "the supervisor is gone") : 0;
}

static int await_go(struct inner *in, struct err *e)
{
    struct jail_packet p;
    if (jail_receive(in->control, -1, &p, e) != JAIL_GOT)
        return err_set(e, "the supervisor is gone");
    jail_packet_close(&p);
    return p.type == JAIL_GO ? 0 : err_set(e, "the supervisor says something else than go");
}

static int prepare(struct inner *in, enum jail_step *ret_step, struct err *e)
{
    *ret_step = JAIL_STEP_hide;
    return inner_receive(in, e) < 0 || inner_set_up(in, ret_step, e) < 0 || say_ready(in, e) < 0 ||
                   await_go(in, e) < 0
               ? -1
               : 0;
}

/* _exit: nothing of ours waits for being written, and what a sanitizer would do at exit the filter forbids.
 */
int main(int argc, char **argv)
{
    struct inner in = {.stdio = {-1, -1, -1}, .slave = -1, .master = -1, .rules = -1};
    enum jail_step step;
    struct err e = {0};
    if (take_arguments(&in, argc, argv) < 0) {
        fprintf(stderr, "this program is a part of exeat and is started by it\n");
        return FAILED;
    }
    int result = prepare(&in, &step, &e);
    if (result == 0)
        result = inner_start(&in, &step, &e);
    if (result < 0)
        jail_say_failed(in.control, step, &e);
    _exit(result == 0 ? inner_reap(&in) : FAILED);
}
