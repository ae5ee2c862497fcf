#include "app/seal_keys.h"

#include "app/ipc.h"
#include "base/io.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 16 << 10, FILE_MODE = 0644 };
#define FILE_NAME "seal.pub"
#define WORD      "ed25519 "

int seal_keys_cut(struct slice *text, char ret_hex[2 * ED25519_KEY_BYTES + 1], struct err *e)
{
    uint8_t key[ED25519_KEY_BYTES];
    const size_t before = sizeof IPC_SEAL_KEY - 1, hex = 2 * sizeof key, all = before + hex + 1;
    struct slice line = text->len < all ? SLICE("") : slice_skip(*text, text->len - all);
    if (!slice_starts(line, SLICE(IPC_SEAL_KEY)) || !slice_ends(line, SLICE("\n")) ||
        crypto_unhex(slice_first(slice_skip(line, before), hex), key, sizeof key) < 0)
        return err_set(e, "the keeper names no key for seals");
    crypto_hex(key, sizeof key, ret_hex);
    text->len -= all;
    return 0;
}

static int path_of(const char *folder, char ret[PATH_MAX], struct err *e)
{
    int n = snprintf(ret, PATH_MAX, "%s/" FILE_NAME, folder);
    return n < 0 || n >= PATH_MAX ? err_set(e, "%s: path too long", folder) : 0;
}

static int read_file(const char *path, struct buf *ret, struct err *e)
{
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    return io_read_file(path, ret, e);
}

static int read_line(struct slice line, struct verify_keys *to)
{
    if (line.len == 0 || line.ptr[0] == '#')
        return 0;
    if (to->count == ARRAY_LEN(to->at) || !slice_starts(line, SLICE(WORD)) ||
        crypto_unhex(slice_skip(line, sizeof WORD - 1), to->at[to->count], sizeof to->at[0]) < 0)
        return -1;
    to->count++;
    return 0;
}

static int read_keys(const char *path, struct slice text, struct verify_keys *ret, struct err *e)
{
    struct verify_keys keys = {0};
    struct slice line;
    for (unsigned n = 1; slice_next(&text, '\n', &line); n++)
        if (read_line(line, &keys) < 0)
            return err_set(e, "%s:%u: not \"" WORD "\" and %d hexadecimal digits, or too many of them", path,
                           n, 2 * ED25519_KEY_BYTES);
    *ret = keys;
    return 0;
}

int seal_keys_read(const char *folder, struct verify_keys *ret, struct err *e)
{
    char path[PATH_MAX];
    AUTO_BUF text = BUF_INIT(FILE_BYTES);
    if (path_of(folder, path, e) < 0 || read_file(path, &text, e) < 0)
        return -1;
    return read_keys(path, buf_slice(&text), ret, e);
}

int seal_keys_add(const char *folder, const char *hex, struct err *e)
{
    char path[PATH_MAX];
    struct verify_keys keys;
    uint8_t key[ED25519_KEY_BYTES];
    AUTO_BUF text = BUF_INIT(FILE_BYTES);
    if (path_of(folder, path, e) < 0 || read_file(path, &text, e) < 0 ||
        read_keys(path, buf_slice(&text), &keys, e) < 0)
        return -1;
    if (crypto_unhex(slice_str(hex), key, sizeof key) < 0)
        return err_set(e, "%s: malformed key", path);
    for (size_t i = 0; i < keys.count; i++)
        if (memcmp(keys.at[i], key, sizeof key) == 0)
            return 0;
    if (buf_printf(&text, WORD "%s\n", hex) < 0)
        return err_set(e, "%s: too many keys", path);
    return io_replace_file(path, buf_slice(&text), FILE_MODE, e);
}
