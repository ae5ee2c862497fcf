/* Why namespaces are refused here, and the one command that helps.
 *
 * On Ubuntu 24.04 unshare(2) succeeds and everything after it gets EPERM; containers' seccomp profiles refuse
 * it at once; some kernels have it switched off.  All look alike from within: so the files are asked. */
#include "sandbox/network.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 512, VALUE_BYTES = 32 };

/* In order: the first that is so is the cause.  `value` NULL: the file exists. */
static const struct cause {
    const char *file, *value, *what, *command;
} causes[] = {
    {"/proc/sys/user/max_user_namespaces", "0", "user namespaces are switched off here",
     "sudo sysctl -w user.max_user_namespaces=15000"},
    {"/proc/sys/user/max_net_namespaces", "0", "network namespaces are switched off here",
     "sudo sysctl -w user.max_net_namespaces=15000"},
    {"/proc/sys/kernel/unprivileged_userns_clone", "0", "only root may make user namespaces here",
     "sudo sysctl -w kernel.unprivileged_userns_clone=1"},
    {"/.dockerenv", NULL, "this is a container whose profile forbids namespaces",
     "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
     "systempaths=unconfined …"},
    {"/run/.containerenv", NULL, "this is a container whose profile forbids namespaces",
     "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL …"},
    {"/run/systemd/container", NULL, "this is a container whose manager forbids namespaces",
     "lxc config set CONTAINER security.nesting true"},
    {"/var/run/secrets/kubernetes.io", NULL, "this is a pod whose profile forbids namespaces",
     "kubectl explain pod.spec.securityContext.seccompProfile (type: Unconfined, hostUsers: false)"},
    {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
     "AppArmor lets only programs with a profile use user namespaces",
     "./bootstrap, which offers one for its build, or sudo apparmor_parser -r /etc/apparmor.d/exeat once installed"},
};

static bool holds(const char *root, const struct cause *c)
{
    char path[PATH_BYTES], value[VALUE_BYTES];
    int len = snprintf(path, sizeof path, "%s%s", root, c->file);
    if (len < 0 || (size_t)len >= sizeof path)
        return false;
    if (!c->value)
        return access(path, F_OK) == 0;
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, value, sizeof value - 1);
    if (n <= 0)
        return false;
    value[n] = '\0';
    value[strcspn(value, "\n")] = '\0';
    return strcmp(value, c->value) == 0;
}

/* What a refusal looks like: EPERM and EACCES from rules, ENOSPC and EUSERS from limits (clone(2)). */
static bool is_refusal(int sys)
{
    return sys == EPERM || sys == EACCES || sys == ENOSPC || sys == EUSERS;
}

int network_explain(const char *root, const char *step, struct err *e)
{
    int sys = errno;
    if (is_refusal(sys))
        for (size_t i = 0; i < ARRAY_LEN(causes); i++)
            if (holds(root, &causes[i])) {
                err_set(e, "%s: %s; this helps: %s", step, causes[i].what, causes[i].command);
                if (e)
                    e->sys = sys;
                return -1;
            }
    errno = sys;
    return err_sys(e, "%s", step);
}
