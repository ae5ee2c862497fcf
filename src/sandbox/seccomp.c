#include "sandbox/seccomp.h"

#include <errno.h>
#include <linux/netlink.h>
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

/* Calls that depend on their arguments; all conditions of a row must hold. */
static const struct filter {
    unsigned roles;
    uint32_t action;
    int call;
    unsigned count;
    struct scmp_arg_cmp on[2];
} filters[] = {
/* clang-format off */
#define EQ(n, value)         {(n), SCMP_CMP_EQ, (value), 0}
#define ABOVE(n, value)      {(n), SCMP_CMP_GT, (value), 0}
#define BITS(n, mask, value) {(n), SCMP_CMP_MASKED_EQ, (mask), (value)}
#define CALL_IF(roles, action, name, why, ...)                                                               \
    {(roles), SCMP_ACT_##action, SCMP_SYS(name),                                                             \
     sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp), {__VA_ARGS__}},
/* clang-format on */
#include "sandbox/calls_if.def"
#undef EQ
#undef ABOVE
#undef BITS
#undef CALL_IF
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
    /* Its flags lie in memory, where no filter sees them: ENOSYS makes the C library use clone. */
    int hidden = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (hidden < 0)
        return hidden;
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
        result = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: ten steps, not a hundred */
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
