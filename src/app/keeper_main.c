/* The keeper: holds the CA key, signs host certificates, hands out nothing else (tls/keeper.h). */
#include "app/role.h"
#include "base/crypto.h"
#include "base/io.h"
#include "base/log.h"
#include "base/version.h"
#include "sandbox/lockin.h"
#include "tls/keeper.h"

#include <stdio.h>
#include <unistd.h>

enum { PEM_BYTES = 64 << 10, CERT_FD = 0, KEY_FD = 1, CA_FILES = 2 };

static void wipe(struct buf *secret)
{
    if (secret->data)
        crypto_wipe(secret->data, secret->size);
}

static int receive_setup(struct ipc *ipc, struct ipc_message *ret_message, struct ipc_keeper_setup *ret,
                         struct err *e)
{
    if (ipc_recv(ipc, -1, ret_message, e) != IPC_GOT)
        return err_wrap(e, "no setup");
    if (ret_message->type != IPC_KEEPER_SETUP || ipc_payload(ret_message, ret, sizeof *ret) < 0 ||
        strncmp(ret->version, version_text(), sizeof ret->version) != 0)
        return err_set(e, "the keeper and exeat are of different versions");
    ret->common_name[sizeof ret->common_name - 1] = '\0';
    size_t files = ret->ephemeral ? 0 : CA_FILES;
    if (ret_message->fd_count != ret->sockets + files || ret->sockets == 0)
        return err_set(e, "malformed setup");
    return 0;
}

static int write_file(int fd, struct slice text, const char *what, struct err *e)
{
    if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 || io_write_all(fd, text) < 0 || fsync(fd) < 0)
        return err_sys(e, "cannot write the CA's %s", what);
    return 0;
}

/* The key first: a certificate without its key would be trusted by clients for nothing. */
static int store_ca(const struct ca *ca, const int *files, struct err *e)
{
    AUTO_BUF cert = BUF_INIT(PEM_BYTES);
    AUTO_BUF key = BUF_INIT(PEM_BYTES);
    int result = -1;
    if (ca_cert_pem(ca, &cert, e) == 0 && ca_key_pem(ca, &key, e) == 0 &&
        write_file(files[KEY_FD], buf_slice(&key), "key", e) == 0 &&
        write_file(files[CERT_FD], buf_slice(&cert), "certificate", e) == 0)
        result = 0;
    wipe(&key);
    return result;
}

static int read_ca(const int *files, struct ca **ret, struct err *e)
{
    AUTO_BUF cert = BUF_INIT(PEM_BYTES);
    AUTO_BUF key = BUF_INIT(PEM_BYTES);
    int result = -1;
    if (io_read_all(files[CERT_FD], "the CA's certificate", &cert, e) == 0 &&
        io_read_all(files[KEY_FD], "the CA's key", &key, e) == 0)
        result = ca_load(buf_slice(&cert), buf_slice(&key), ret, e);
    wipe(&key);
    return result;
}

static int get_ca(const struct ipc_keeper_setup *setup, const int *files, struct ca **ret, struct err *e)
{
    if (!setup->ephemeral && !setup->create)
        return read_ca(files, ret, e);
    AUTO(ca) *ca = NULL;
    if (ca_new(setup->common_name, setup->days, &ca, e) < 0)
        return -1;
    if (setup->create && store_ca(ca, files, e) < 0)
        return -1;
    *ret = TAKE(ca);
    return 0;
}

static int say_ready(struct ipc *ipc, const struct ca *ca, struct err *e)
{
    AUTO_BUF pem = BUF_INIT(PEM_BYTES);
    uint8_t key[ED25519_KEY_BYTES];
    char hex[2 * ED25519_KEY_BYTES + 1];
    if (ca_cert_pem(ca, &pem, e) < 0 || ca_seal_public(ca, key, e) < 0)
        return -1;
    crypto_hex(key, sizeof key, hex);
    if (buf_printf(&pem, IPC_SEAL_KEY "%s\n", hex) < 0 || ipc_send(ipc, IPC_READY, buf_slice(&pem), NULL, 0, e) < 0)
        return -1;
    ipc->phase = IPC_SERVING;
    return 0;
}

static int keep(struct ipc *ipc, struct err *e)
{
    struct ipc_message m = {0};
    struct ipc_keeper_setup setup;
    AUTO(ca) *ca = NULL;
    char note[LOCKIN_NOTE_BYTES];
    const struct lockin_paths nowhere = {.audit_dir = -1};
    if (receive_setup(ipc, &m, &setup, e) < 0 || get_ca(&setup, m.fds, &ca, e) < 0)
        return -1;
    size_t files = setup.ephemeral ? 0 : CA_FILES;
    for (size_t i = 0; i < files; i++)
        close(m.fds[i]);
    if (lockin_apply(LOCKIN_KEEPER, &nowhere, note, e) < 0 || say_ready(ipc, ca, e) < 0)
        return -1;
    /* No descriptor to close at the end: the process ends. */
    return keeper_serve(ca, m.fds + files, setup.sockets, setup.per_second, e);
}

int main(void)
{
    struct ipc ipc;
    struct err e = {0};
    log_set_name("exeat keeper");
    if (role_enter(IPC_KEEPER, &ipc, &e) < 0) {
        log_error("%s", e.text);
        return 2;
    }
    int status = keep(&ipc, &e) == 0 ? 0 : role_fail(&ipc, &e);
    ipc_close(&ipc);
    return status;
}
