#include "sandbox/lockin.h"

#include "base/sanitized.h"
#include "sandbox/landlock.h"
#include "sandbox/seccomp.h"

#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Root keeps the right to write in a log folder that is another user's, and nothing else. */
static unsigned capabilities_kept(const struct lockin_paths *paths)
{
    struct stat st;
    bool foreign = paths->audit_dir >= 0 && fstat(paths->audit_dir, &st) == 0 && st.st_uid != geteuid();
    return foreign ? 1u << CAP_DAC_OVERRIDE : 0;
}

static int drop_capabilities(unsigned kept, struct err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (syscall(SYS_capget, &head, data) < 0)
        return err_sys(e, "cannot read our capabilities");
    data[0].effective &= kept;
    data[0].permitted &= kept;
    data[1].effective = data[1].permitted = data[0].inheritable = data[1].inheritable = 0;
    if (syscall(SYS_capset, &head, data) < 0)
        return err_sys(e, "cannot drop capabilities");
    return 0;
}

int lockin_apply(enum lockin_role role, const struct lockin_paths *paths, char ret_note[LOCKIN_NOTE_BYTES],
                 struct err *e)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(e, "cannot give up new privileges");
    if (drop_capabilities(capabilities_kept(paths), e) < 0)
        return -1;
    if (SANITIZED) {
        snprintf(ret_note, LOCKIN_NOTE_BYTES, "no seccomp, no Landlock (a build with sanitizers)");
        return 0;
    }
    int abi = landlock_role(role, paths, e);
    if (abi < 0 || seccomp_role(role, e) < 0)
        return -1;
    if (abi > 0)
        snprintf(ret_note, LOCKIN_NOTE_BYTES, "seccomp, Landlock ABI %d", abi);
    else
        snprintf(ret_note, LOCKIN_NOTE_BYTES, "seccomp, no Landlock in this kernel");
    return 0;
}
