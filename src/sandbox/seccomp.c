#include "sandbox/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { K = LOCKIN_KEEPER, P = LOCKIN_PROXY };

static const struct row {
    unsigned roles; /* 0: kills */
    int call;
} table[] = {
#define CALL(roles, name, why) {(roles), SCMP_SYS(name)},
#define KILL(name)             {0, SCMP_SYS(name)},
#include "sandbox/calls.def"
#undef CALL
#undef KILL
};

/* Calls that depend on their arguments; a row has up to three conditions, all of which must hold. */
static const struct filter {
    unsigned roles;
    uint32_t action;
    int call;
    unsigned count;
    struct scmp_arg_cmp on[3];
} filters[] = {
#define ARG(n, ...) {(n), __VA_ARGS__}
    /* No memory is both data and code: what arrives over the network never runs. */
    {K | P, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, {ARG(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)}},
    {K | P, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, {ARG(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)}},
    /* Threads, no processes.  clone3 hides its flags in memory: ENOSYS lets the C library use clone. */
    {P, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, {ARG(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)}},
    {K | P, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, {{0}}},
    {P, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, {ARG(0, SCMP_CMP_EQ, PR_SET_NAME)}},
    /* TCP, DNS, addresses of interfaces; no raw sockets, even where we run as root. */
    {P, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, {ARG(0, SCMP_CMP_EQ, AF_INET), ARG(1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM)}},
    {P, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, {ARG(0, SCMP_CMP_EQ, AF_INET), ARG(1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM)}},
    {P, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, {ARG(0, SCMP_CMP_EQ, AF_INET6), ARG(1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM)}},
    {P, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, {ARG(0, SCMP_CMP_EQ, AF_INET6), ARG(1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM)}},
    {P, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, {ARG(0, SCMP_CMP_EQ, AF_NETLINK), ARG(2, SCMP_CMP_EQ, 0 /* NETLINK_ROUTE */)}},
    {K | P, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 1, {ARG(0, SCMP_CMP_GT, AF_NETLINK)}}, /* packet, vsock, alg, … */
    {P, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, {ARG(1, SCMP_CMP_EQ, FIONBIO)}},
    {P, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, {ARG(1, SCMP_CMP_EQ, FIONREAD)}},
    /* Reading our own limits; no other process's, and no new ones. */
    {P, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, {ARG(0, SCMP_CMP_EQ, 0), ARG(2, SCMP_CMP_EQ, 0)}},
#undef ARG
};

static int add_rows(scmp_filter_ctx ctx, enum lockin_role role)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].roles && !(table[i].roles & role))
            continue;
        uint32_t action = table[i].roles ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS;
        int result = seccomp_rule_add(ctx, action, table[i].call, 0);
        if (result < 0 && result != -EDOM) /* EDOM: not a call of this architecture */
            return result;
    }
    return 0;
}

static int add_filters(scmp_filter_ctx ctx, enum lockin_role role)
{
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        const struct filter *f = &filters[i];
        if (!(f->roles & role))
            continue;
        int result = seccomp_rule_add_array(ctx, f->action, f->call, f->count, f->on);
        if (result < 0)
            return result;
    }
    return 0;
}

int seccomp_role(enum lockin_role role, struct err *e)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!ctx)
        return err_set(e, "seccomp: no memory");
    int result = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (result == 0)
        result = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: a dozen steps, not a hundred */
    if (result == 0)
        result = add_rows(ctx, role);
    if (result == 0)
        result = add_filters(ctx, role);
    if (result == 0)
        result = seccomp_load(ctx);
    seccomp_release(ctx);
    if (result == 0)
        return 0;
    errno = -result;
    return err_sys(e, "seccomp: cannot limit system calls");
}
