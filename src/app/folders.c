#include "app/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static int make_one(const char *path, struct err *e)
{
    struct stat st;
    if (mkdir(path, 0700) == 0)
        return 0;
    int why = errno;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0 : err_set(e, "%s: not a folder", path);
    errno = why;
    return err_sys(e, "%s: cannot make this folder", path);
}

int folders_make(const char *path, struct err *e)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return err_set(e, "%s: path too long", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (make_one(part, e) < 0)
            return -1;
    }
    return 0;
}

int folders_open_parent(const char *path, const char **ret_name, struct err *e)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof folder || *name == '\0')
        return err_set(e, "%s: not the path of a file", path);
    if (slash) {
        memcpy(folder, path, len ? len : 1); /* "/name": the root itself */
        folder[len ? len : 1] = '\0';
    }
    if (folders_make(folder, e) < 0)
        return -1;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "%s: cannot open", folder);
    *ret_name = name;
    return fd;
}
