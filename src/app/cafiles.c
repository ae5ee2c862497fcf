#include "app/cafiles.h"

#include "app/folders.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* O_EXCL first: a file that we make is ours from its first moment, with the mode that we gave it.
 * Only a file that is still empty is opened for writing: an existing CA may lie on a read-only disk. */
static int open_file(const char *path, mode_t mode, struct stat *ret_stat, struct err *e)
{
    const char *name;
    AUTO_FD int folder = folders_open_parent(path, &name, e);
    if (folder < 0)
        return -1;
    AUTO_FD int fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0 && errno != EEXIST && errno != EROFS)
        return err_sys(e, "%s: cannot make this file", path);
    struct stat st = {0};
    if (fd < 0 && fstatat(folder, name, &st, 0) < 0)
        return err_sys(e, "%s: cannot open", path);
    if (fd < 0)
        fd = openat(folder, name, (st.st_size ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "%s: cannot open", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, "%s: not a regular file", path);
    *ret_stat = st;
    return TAKE_FD(fd);
}

int cafiles_open(const char *cert, const char *key, struct cafiles *ret, struct err *e)
{
    struct stat cert_stat, key_stat;
    AUTO_FD int key_fd = open_file(key, 0600, &key_stat, e);
    if (key_fd < 0)
        return -1;
    if (key_stat.st_mode & (S_IRWXG | S_IRWXO))
        return err_set(e, "%s: the CA's key can be read by others: chmod 600 %s", key, key);
    AUTO_FD int cert_fd = open_file(cert, 0644, &cert_stat, e);
    if (cert_fd < 0)
        return -1;
    if (cert_stat.st_dev == key_stat.st_dev && cert_stat.st_ino == key_stat.st_ino)
        return err_set(e, "%s: the CA's certificate and key must be two files", key);
    if ((cert_stat.st_size == 0) != (key_stat.st_size == 0))
        return err_set(e, "%s is there, but %s is missing or empty: restore it, or remove both for a new CA",
                       cert_stat.st_size ? cert : key, cert_stat.st_size ? key : cert);
    *ret = (struct cafiles){TAKE_FD(cert_fd), TAKE_FD(key_fd), cert_stat.st_size == 0};
    return 0;
}

void cafiles_close(struct cafiles *f)
{
    close(f->cert);
    close(f->key);
    *f = (struct cafiles){-1, -1, false};
}
