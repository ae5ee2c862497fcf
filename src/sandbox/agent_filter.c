#include "sandbox/agent_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "the table of system calls was written for x86-64 and 64-bit ARM"
#endif

/* Calls with a bit of their own, 32-bit pointers and another numbering (x86-64's x32). */
enum { X32_BIT = 0x40000000 };
/* Linux 6.13's last.  Newer ones, whatever they will do, do not exist: 467 was one more way to mount. */
enum { LAST_KNOWN_CALL = 466 };
enum { SOCKET_TYPE = 0xf }; /* the rest of socket's second argument are flags (socket(2)) */
enum { CONDITIONS_MAX = 3 };

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef __NR_quotactl_fd
#define __NR_quotactl_fd 443
#endif

enum test { TEST_IN, TEST_ANY };

struct condition {
    enum test test;
    unsigned argument;
    uint32_t mask, value;
};

struct row {
    const char *name, *why;
    uint32_t call;
    int refuse; /* errno; 0: allow */
    bool lifted_by_debug;
    size_t count;
    struct condition on[CONDITIONS_MAX];
};

/* clang-format off */
#define IN(n, m, v)  {TEST_IN, (n), (uint32_t)(m), (uint32_t)(v)}
#define IS(n, v)     IN(n, 0xffffffff, v)
#define ANY(n, m)    {TEST_ANY, (n), (uint32_t)(m), 0}
#define ROW(name, why, refuse, debug, ...)                                                                   \
    {#name, why, __NR_##name, refuse, debug,                                                                 \
     sizeof((struct condition[]){__VA_ARGS__}) / sizeof(struct condition), {__VA_ARGS__}},
#define ALLOW_IF(name, why, ...)        ROW(name, why, 0, false, __VA_ARGS__)
#define DENY_IF(error, name, why, ...)  ROW(name, why, error, false, __VA_ARGS__)
#define DENY(error, name, why)          {#name, why, __NR_##name, error, false, 0, {{0}}},
#define DENY_TRACE(error, name, why)    {#name, why, __NR_##name, error, true, 0, {{0}}},
/* clang-format on */
static const struct row rows[] = {
#include "sandbox/agent_calls.def"
};

struct writer {
    struct sock_filter *out;
    size_t count; /* beyond AGENT_FILTER_MAX: nothing was written any more */
};

static void put(struct writer *w, struct sock_filter instruction)
{
    if (w->count < AGENT_FILTER_MAX)
        w->out[w->count] = instruction;
    w->count++;
}

static void put_load(struct writer *w, size_t offset)
{
    put(w, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void put_return(struct writer *w, uint32_t action)
{
    put(w, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static uint32_t action_of(const struct row *r)
{
    return r->refuse ? SECCOMP_RET_ERRNO | (uint32_t)r->refuse : SECCOMP_RET_ALLOW;
}

/* Instructions of a condition: load, mask, compare; ANY needs no mask. */
static size_t condition_size(const struct condition *c)
{
    return c->test == TEST_ANY ? 2 : 3;
}

/* The low half of a 64-bit argument (both architectures are little-endian). */
static size_t argument_offset(unsigned n)
{
    return offsetof(struct seccomp_data, args) + n * sizeof(uint64_t);
}

/* `behind`: instructions between this condition and the next row. */
static void put_condition(struct writer *w, const struct condition *c, size_t behind)
{
    put_load(w, argument_offset(c->argument));
    if (c->test == TEST_ANY) {
        put(w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, c->mask, 0, (uint8_t)behind));
        return;
    }
    put(w, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, c->mask));
    put(w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, c->value, 0, (uint8_t)behind));
}

static void put_row(struct writer *w, const struct row *r)
{
    size_t left = 1; /* the return */
    for (size_t i = 0; i < r->count; i++)
        left += condition_size(&r->on[i]);
    for (size_t i = 0; i < r->count; i++) {
        left -= condition_size(&r->on[i]);
        put_condition(w, &r->on[i], left);
    }
    put_return(w, action_of(r));
}

/* Rows of one call: "is it this call?  Else go on behind them". */
static size_t put_call(struct writer *w, size_t first, bool debug)
{
    uint32_t call = rows[first].call;
    size_t end = first;
    while (end < ARRAY_LEN(rows) && rows[end].call == call)
        end++;
    if (rows[first].lifted_by_debug && debug)
        return end;
    put(w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 1, 0));
    size_t jump = w->count;
    put(w, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
    for (size_t i = first; i < end; i++)
        put_row(w, &rows[i]);
    if (rows[end - 1].count)
        put_return(w, SECCOMP_RET_ALLOW);
    if (w->count <= AGENT_FILTER_MAX)
        w->out[jump].k = (uint32_t)(w->count - jump - 1);
    return end;
}

/* Another architecture's calls have other numbers, so the list would mean something else for them. */
static void put_guards(struct writer *w)
{
    put_load(w, offsetof(struct seccomp_data, arch));
    put(w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0));
    put_return(w, SECCOMP_RET_KILL_PROCESS);
    put_load(w, offsetof(struct seccomp_data, nr));
    put(w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 1));
    put_return(w, SECCOMP_RET_KILL_PROCESS);
    put(w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_KNOWN_CALL, 0, 1));
    put_return(w, SECCOMP_RET_ERRNO | ENOSYS);
}

size_t agent_filter_build(bool debug, struct sock_filter ret[AGENT_FILTER_MAX])
{
    struct writer w = {.out = ret};
    put_guards(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows);)
        i = put_call(&w, i, debug);
    put_return(&w, SECCOMP_RET_ALLOW);
    return w.count <= AGENT_FILTER_MAX ? w.count : 0;
}

int agent_filter_apply(bool debug)
{
    struct sock_filter code[AGENT_FILTER_MAX];
    const struct sock_fprog program = {.len = (unsigned short)agent_filter_build(debug, code),
                                       .filter = code};
    if (program.len == 0) {
        errno = E2BIG;
        return -1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

const char *agent_filter_row(size_t i, const char **ret_why, int *ret_errno)
{
    if (i >= ARRAY_LEN(rows))
        return NULL;
    *ret_why = rows[i].why;
    *ret_errno = rows[i].refuse;
    return rows[i].name;
}
