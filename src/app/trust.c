#include "app/trust.h"

#include "app/state.h"
#include "base/crypto.h"
#include "base/io.h"
#include "policy/expires.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_BYTES = 64 << 20, RECORD_PATH_BYTES = STATE_PATH_BYTES + SHA256_HEX + 2 };
#define FIRST_LINE "exeat trust 1"

/* --- the format --- */

static int hash(struct slice text, char ret[SHA256_HEX + 1], struct err *e)
{
    uint8_t digest[SHA256_BYTES];
    if (crypto_sha256(text, digest) < 0)
        return err_set(e, "no memory");
    crypto_hex(digest, sizeof digest, ret);
    return 0;
}

/* Names and paths stand on a line of their own. */
static int check_line(const char *text, struct err *e)
{
    return strchr(text, '\n') ? err_set(e, "the path of the policy has a line break in it: rename the folder") : 0;
}

static int print_file(const struct files_given *f, struct buf *out, struct err *e)
{
    char digest[SHA256_HEX + 1];
    if (check_line(f->path, e) < 0 || hash(f->text, digest, e) < 0)
        return -1;
    if (buf_printf(out, "file %s %zu %s\n", digest, f->text.len, f->path) < 0 || buf_append(out, f->text) < 0 ||
        buf_append(out, SLICE("\n")) < 0)
        return err_set(e, "%s: too large to be trusted", f->path);
    return 0;
}

int trust_print(const char *path, const char *time, const struct files_given *files, size_t count,
                struct buf *out, struct err *e)
{
    if (count > TRUST_FILES_MAX)
        return err_set(e, "%s: extends more than %d files", path, TRUST_FILES_MAX);
    if (check_line(path, e) < 0)
        return -1;
    if (buf_printf(out, FIRST_LINE "\npath %s\ntime %s\n", path, time) < 0)
        return err_set(e, "%s: path too long", path);
    for (size_t i = 0; i < count; i++)
        if (print_file(&files[i], out, e) < 0)
            return -1;
    return buf_append(out, SLICE("end\n")) < 0 ? err_set(e, "%s: too large to be trusted", path) : 0;
}

/* The rest of a line that begins with `word`; false where the next line is another. */
static bool take_line(struct slice *rest, struct slice word, struct slice *ret)
{
    ptrdiff_t end = slice_find(*rest, '\n');
    if (end < 0 || !slice_starts(slice_first(*rest, (size_t)end), word))
        return false;
    *ret = slice_skip(slice_first(*rest, (size_t)end), word.len);
    *rest = slice_skip(*rest, (size_t)end + 1);
    return true;
}

/* "<SHA-256> <bytes> <name>", and the bytes with a newline behind them. */
static int take_file(struct slice line, struct slice *rest, struct arena *arena, struct files_given *ret)
{
    struct slice digest, size;
    uint64_t bytes;
    char actual[SHA256_HEX + 1];
    if (!slice_next(&line, ' ', &digest) || !slice_next(&line, ' ', &size) || line.len == 0 ||
        memchr(line.ptr, '\0', line.len) || (size.len > 1 && size.ptr[0] == '0') ||
        slice_to_u64(size, RECORD_BYTES, &bytes) < 0 || rest->len <= bytes || rest->ptr[bytes] != '\n')
        return -1;
    struct files_given f = {arena_slice(arena, line).ptr, arena_slice(arena, slice_first(*rest, bytes))};
    if (!f.path || !f.text.ptr || hash(f.text, actual, NULL) < 0 || !slice_eq(digest, slice_str(actual)))
        return -1;
    *rest = slice_skip(*rest, bytes + 1);
    *ret = f;
    return 0;
}

static int take_all(struct slice rest, struct trust_record *t)
{
    struct slice line;
    if (!take_line(&rest, SLICE(FIRST_LINE), &line) || line.len || !take_line(&rest, SLICE("path "), &line))
        return -1;
    int64_t ms;
    t->path = arena_slice(&t->arena, line).ptr;
    if (!t->path || memchr(line.ptr, '\0', line.len) || !take_line(&rest, SLICE("time "), &line) ||
        line.len + 1 != sizeof t->time || expires_parse(line, &ms) < 0)
        return -1;
    memcpy(t->time, line.ptr, line.len);
    while (take_line(&rest, SLICE("file "), &line)) {
        if (t->count == TRUST_FILES_MAX || take_file(line, &rest, &t->arena, &t->files[t->count]) < 0)
            return -1;
        t->count++;
    }
    return take_line(&rest, SLICE("end"), &line) && line.len == 0 && rest.len == 0 && t->count ? 0 : -1;
}

int trust_parse(struct slice text, struct trust_record **ret, struct err *e)
{
    AUTO(trust_record) *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, "no memory");
    t->arena = ARENA_INIT(RECORD_BYTES + (1 << 20));
    t->files = arena_array(&t->arena, TRUST_FILES_MAX, sizeof *t->files);
    if (!t->files || take_all(text, t) < 0)
        return err_set(e, "damaged: `exeat trust` writes it anew");
    *ret = TAKE(t);
    return 0;
}

void trust_record_free(struct trust_record *t)
{
    if (!t)
        return;
    arena_free(&t->arena);
    free(t);
}

/* --- the files --- */

static int folder_path(char ret[STATE_PATH_BYTES], struct err *e)
{
    return state_path("trust", ret, e);
}

static int record_path(const char *path, char ret[RECORD_PATH_BYTES], struct err *e)
{
    char folder[STATE_PATH_BYTES], name[SHA256_HEX + 1];
    if (folder_path(folder, e) < 0 || hash(slice_str(path), name, e) < 0)
        return -1;
    snprintf(ret, RECORD_PATH_BYTES, "%s/%s", folder, name);
    return 0;
}

/* What somebody else could have written is not this user's word. */
static int check_owner(int fd, const char *record, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, "%s: cannot read", record);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(e, "%s: others may have written this: nothing is trusted by it", record);
    return 0;
}

int trust_read(const char *path, struct trust_record **ret, struct err *e)
{
    char record[RECORD_PATH_BYTES];
    AUTO_BUF text = BUF_INIT(RECORD_BYTES);
    AUTO(trust_record) *t = NULL;
    if (record_path(path, record, e) < 0)
        return -1;
    AUTO_FD int fd = open(record, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT) {
        *ret = NULL;
        return 0;
    }
    if (fd < 0)
        return err_sys(e, "%s: cannot open", record);
    if (check_owner(fd, record, e) < 0 || io_read_all(fd, record, &text, e) < 0)
        return -1;
    if (trust_parse(buf_slice(&text), &t, e) < 0)
        return err_wrap(e, "%s", record);
    if (strcmp(t->path, path) != 0)
        return err_set(e, "%s: speaks of another policy: `exeat trust` writes it anew", record);
    *ret = TAKE(t);
    return 0;
}

bool trust_covers(const struct trust_record *t, const struct files_given *files, size_t count)
{
    if (!t || t->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(t->files[i].path, files[i].path) != 0 || !slice_eq(t->files[i].text, files[i].text))
            return false;
    return true;
}

int trust_write(const char *path, const struct files_given *files, size_t count, struct err *e)
{
    char folder[STATE_PATH_BYTES], record[RECORD_PATH_BYTES], time[CLOCK_RFC3339_BYTES];
    AUTO_BUF text = BUF_INIT(RECORD_BYTES);
    clock_rfc3339(clock_wall_ms(), time);
    if (trust_print(path, time, files, count, &text, e) < 0 || folder_path(folder, e) < 0 ||
        state_make(folder, e) < 0 || record_path(path, record, e) < 0)
        return -1;
    return io_replace_file(record, buf_slice(&text), 0600, e);
}

int trust_forget(const char *path, struct err *e)
{
    char record[RECORD_PATH_BYTES];
    if (record_path(path, record, e) < 0)
        return -1;
    if (unlink(record) == 0)
        return 0;
    return errno == ENOENT ? 1 : err_sys(e, "%s: cannot remove", record);
}
