#include "app/trustfiles.h"
#include "base/clock.h"
#include "base/io.h"
#include "tls/roots.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODE = 0644 };

static int join(const char *base, const char *dir, const char *name, char ret[TRUSTFILE_PATH_BYTES])
{
    int n = snprintf(ret, TRUSTFILE_PATH_BYTES, "%s%s%s/%s", base, *base ? "/" : "", dir, name);
    return n > 0 && n < TRUSTFILE_PATH_BYTES ? 0 : -1;
}

int trustfiles_paths(const char *state_dir, struct trustfiles *ret, struct err *e)
{
    struct trustfiles t;
    char here[PATH_MAX] = "", real[PATH_MAX];
    const char *dir = realpath(state_dir, real) ? real : state_dir;
    if (*dir != '/' && !getcwd(here, sizeof here))
        return err_sys(e, "cannot find out the current directory");
    if (join(here, dir, "ca.pem", t.ca) < 0 || join(here, dir, "ca-bundle.pem", t.bundle) < 0 ||
        join(here, dir, "truststore.jks", t.java) < 0)
        return err_set(e, "%s: path too long", state_dir);
    *ret = t;
    return 0;
}

/* Whatever the umask is: the programs that read them may be other users'. */
static int write_public(const char *path, struct slice content, struct err *e)
{
    if (io_place_file(path, content, MODE, e) < 0)
        return -1;
    return chmod(path, MODE) == 0 ? 0 : err_sys(e, "%s: cannot make it readable", path);
}

int trustfiles_write(const char *state_dir, struct slice ca_pem, struct slice system_pem, struct err *e)
{
    struct trustfiles paths;
    AUTO_BUF bundle = BUF_INIT(2 * ROOTS_BYTES_MAX), java = BUF_INIT(2 * ROOTS_BYTES_MAX);
    if (trustfiles_paths(state_dir, &paths, e) < 0 || roots_bundle(ca_pem, system_pem, &bundle, e) < 0 ||
        roots_java_store(buf_slice(&bundle), clock_wall_ms(), &java, e) < 0)
        return -1;
    if (write_public(paths.ca, ca_pem, e) < 0 || write_public(paths.bundle, buf_slice(&bundle), e) < 0 ||
        write_public(paths.java, buf_slice(&java), e) < 0)
        return -1;
    return 0;
}
