/* The part of a plan that is the same for every project: the system, private places, /proc and /dev. */
#include "sandbox/mounts_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const SYSTEM_PATHS[] = {
#define SYSTEM(path) path,
#include "sandbox/system.def"
};

/* Where a link of the system may lead and still lead somewhere in the jail. */
static const char *const VISIBLE[] = {"/usr", "/opt", "/proc"};

static const struct {
    const char *to, *reason;
} PRIVATE[] = {
    {"/tmp", "private"},
    {"/var/tmp", "private"},
    {"/run", "private"},
};

static const struct {
    const char *to, *from;
} LINKS[] = {
    {"/var/run", "/run"},
    {"/var/lock", "/run/lock"},
    {"/etc/mtab", "/proc/self/mounts"},
};

static const struct {
    const char *path;
    bool hide;
} KERNEL[] = {
#define FIXED(path) {path, false},
#define MASK(path)  {path, true},
#include "sandbox/kernel.def"
};

static bool visible(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(VISIBLE); i++)
        if (path_within(path, VISIBLE[i]))
            return true;
    return false;
}

static int add_link(struct mounts *m, const char *path, const char *real, struct err *e)
{
    if (!visible(real)) /* /etc/localtime -> somewhere else: its content */
        return mounts_add_path(m, MOUNT_READ, real, path, "the system", false, e);
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0)
        return err_sys(e, "%s: cannot read the link", path);
    target[n] = 0;
    const char *from = mounts_printf(m, e, "%s", target);
    if (!from)
        return -1;
    return mounts_add(
        m, (struct mount_op){.kind = MOUNT_LINK, .to = path, .from = from, .fd = -1, .reason = "the system"},
        e);
}

static int add_system(struct mounts *m, const char *path, struct err *e)
{
    struct stat st;
    const char *real = mounts_real(m, path, NULL);
    if (!real || lstat(path, &st) < 0)
        return 0;
    if (S_ISLNK(st.st_mode))
        return add_link(m, path, real, e);
    int result = mounts_add_path(m, MOUNT_READ, real, path, "the system", false, e);
    if (result == 0)
        mounts_find(m, path)->settled = true;
    return result < 0 ? -1 : 0;
}

static int add_private(struct mounts *m, const char *to, const char *reason, struct err *e)
{
    return mounts_add(m, (struct mount_op){.kind = MOUNT_TMPFS, .to = to, .fd = -1, .reason = reason}, e);
}

int mounts_plan_system(struct mounts *m, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(SYSTEM_PATHS); i++)
        if (add_system(m, SYSTEM_PATHS[i], e) < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(PRIVATE); i++)
        if (add_private(m, PRIVATE[i].to, PRIVATE[i].reason, e) < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(LINKS); i++)
        if (mounts_add(m,
                       (struct mount_op){.kind = MOUNT_LINK,
                                         .to = LINKS[i].to,
                                         .from = LINKS[i].from,
                                         .fd = -1,
                                         .reason = "private"},
                       e) < 0)
            return -1;
    if (strcmp(m->home, "/") == 0 || path_within("/usr", m->home))
        return 0;
    return add_private(m, m->home, "home, empty", e);
}

/* bubblewrap makes these: /proc shows its own process namespace, which does not exist before it. */
int mounts_plan_kernel(struct mounts *m, struct err *e)
{
    struct mount_op proc = {.kind = MOUNT_PROC, .to = "/proc", .fd = -1, .reason = "private"};
    struct mount_op dev = {.kind = MOUNT_DEV, .to = "/dev", .fd = -1, .reason = "private"};
    if (mounts_add(m, proc, e) < 0 || mounts_add(m, dev, e) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(KERNEL); i++) {
        struct stat st;
        if (stat(KERNEL[i].path, &st) < 0)
            continue;
        struct mount_op op = {
            .kind = KERNEL[i].hide ? MOUNT_HIDE : MOUNT_READ,
            .to = KERNEL[i].path,
            .from = !KERNEL[i].hide       ? KERNEL[i].path
                    : S_ISDIR(st.st_mode) ? NULL
                                          : "/dev/null",
            .fd = -1,
            .reason = "the kernel",
            .protects = true,
        };
        if (mounts_add(m, op, e) < 0)
            return -1;
    }
    return 0;
}

static int add_text(struct mounts *m, const char *to, const char *text, size_t len, struct err *e)
{
    return mounts_add(
        m,
        (struct mount_op){
            .kind = MOUNT_TEXT, .to = to, .fd = -1, .text = text, .len = len, .reason = "made by exeat"},
        e);
}

/* passwd and group hold this user and no other: who else works on the machine is none of the agent's
 * business. */
static int add_accounts(struct mounts *m, struct err *e)
{
    const struct mounts_options *o = m->o;
    const char *user = o->user ? o->user : "user";
    const char *root = o->uid == 0 ? "" : "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n";
    char *passwd = mounts_printf(
        m, e, "%s%s:x:%u:%u::%s:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        root, user, (unsigned)o->uid, (unsigned)o->gid, m->home);
    char *group = mounts_printf(m, e, "%s%s:x:%u:\nnogroup:x:65534:\n", o->gid == 0 ? "" : "root:x:0:\n",
                                user, (unsigned)o->gid);
    if (!passwd || !group)
        return -1;
    if (add_text(m, "/etc/passwd", passwd, strlen(passwd), e) < 0)
        return -1;
    return add_text(m, "/etc/group", group, strlen(group), e);
}

int mounts_plan_texts(struct mounts *m, struct err *e)
{
    if (add_accounts(m, e) < 0)
        return -1;
    for (size_t i = 0; i < m->o->text_count; i++)
        if (add_text(m, m->o->texts[i].to, m->o->texts[i].text, m->o->texts[i].len, e) < 0)
            return -1;
    if (!m->o->init)
        return 0;
    const char *real = mounts_real(m, m->o->init, e);
    if (!real || mounts_add_path(m, MOUNT_READ, real, MOUNTS_INIT, "the inner stage", true, e) != 0)
        return err_wrap(e, "the inner stage");
    return 0;
}
