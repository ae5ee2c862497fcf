#include "app/carotate.h"

#include "app/supervisor.h"
#include "base/crypto.h"
#include "base/io.h"
#include "tls/ca.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PEM_BYTES = 64 << 10 };

struct places {
    char new_cert[PATH_MAX], new_key[PATH_MAX], old_cert[PATH_MAX];
};

static int find_places(const char *cert, const char *key, struct places *ret, struct err *e)
{
    bool fits = snprintf(ret->new_cert, PATH_MAX, "%s.new", cert) < PATH_MAX &&
                snprintf(ret->new_key, PATH_MAX, "%s.new", key) < PATH_MAX &&
                snprintf(ret->old_cert, PATH_MAX, "%s.old", cert) < PATH_MAX;
    return fits ? 0 : err_set(e, "%s: path too long", cert);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int carotate_read_former(const char *cert, struct buf *out, struct err *e)
{
    struct places p;
    if (find_places(cert, cert, &p, e) < 0)
        return -1;
    return exists(p.old_cert) ? io_read_file(p.old_cert, out, e) : 0;
}

static int write_new(const struct places *p, struct err *e)
{
    char name[SUPERVISOR_CA_NAME_BYTES];
    AUTO(ca) *ca = NULL;
    AUTO_BUF cert = BUF_INIT(PEM_BYTES);
    AUTO_BUF key = BUF_INIT(PEM_BYTES);
    supervisor_name_ca(name);
    if (ca_new(name, SUPERVISOR_CA_DAYS, &ca, e) < 0 || ca_cert_pem(ca, &cert, e) < 0)
        return -1;
    int result = ca_key_pem(ca, &key, e);
    if (result == 0)
        result = io_replace_file(p->new_key, buf_slice(&key), 0600, e);
    if (key.data)
        crypto_wipe(key.data, key.size);
    return result < 0 ? -1 : io_replace_file(p->new_cert, buf_slice(&cert), 0644, e);
}

static int put_in_place(const char *from, const char *to, struct err *e)
{
    return rename(from, to) == 0 ? 0 : err_sys(e, "%s: cannot be put in place of %s", from, to);
}

/* Not a rename: until the new one is in place, the old one must be, too. */
static int keep_former(const char *cert, const struct places *p, struct err *e)
{
    AUTO_BUF former = BUF_INIT(PEM_BYTES);
    if (io_read_file(cert, &former, e) < 0)
        return err_wrap(e, "the CA's certificate (made when `exeat proxy` first starts)");
    return io_replace_file(p->old_cert, buf_slice(&former), 0644, e);
}

int carotate(const char *cert, const char *key, struct err *e)
{
    struct places p;
    if (find_places(cert, key, &p, e) < 0)
        return -1;
    bool cut_off = exists(p.new_cert) && !exists(p.new_key); /* the key is in place already */
    if (cut_off)
        return put_in_place(p.new_cert, cert, e);
    if (!exists(key))
        return err_set(e, "%s: there is no CA yet: `exeat proxy` makes it at its first start", key);
    if (keep_former(cert, &p, e) < 0 || write_new(&p, e) < 0 || put_in_place(p.new_key, key, e) < 0)
        return -1;
    return put_in_place(p.new_cert, cert, e);
}
