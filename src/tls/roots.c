#include "tls/roots.h"
#include "base/io.h"
#include "tls/trust_internal.h"

#include <errno.h>
#include <stdio.h>

enum { JKS_TRUSTED_CERTIFICATE = 2, SHA1_BYTES = 20 };

/* To add a kind of system: a row. */
static const char *const system_files[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Arch, Alpine */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
    "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
    "/etc/ssl/cert.pem",                                 /* OpenBSD's habit, some containers */
};

int roots_read_system(struct buf *out, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(system_files); i++) {
        struct err tried = {0};
        if (io_read_file(system_files[i], out, &tried) == 0)
            return 0;
        if (tried.sys != ENOENT && tried.sys != ENOTDIR)
            return err_set(e, "the system's roots: %s", tried.text);
    }
    return 0;
}

int roots_bundle(struct slice ca_pem, struct slice system_pem, struct buf *out, struct err *e)
{
    size_t before = buf_len(out);
    bool newline = ca_pem.len && ca_pem.ptr[ca_pem.len - 1] == '\n';
    if (buf_append(out, ca_pem) == 0 && buf_append(out, newline ? SLICE("") : SLICE("\n")) == 0 &&
        buf_append(out, system_pem) == 0)
        return 0;
    buf_truncate(out, before);
    return err_set(e, "the bundle of roots is larger than %zu bytes", out->max);
}

/* --- JKS: big-endian numbers and Java's length-prefixed text --- */

static int put_number(struct buf *out, unsigned bytes, uint64_t value)
{
    char be[8];
    for (unsigned i = 0; i < bytes; i++)
        be[i] = (char)(value >> (8 * (bytes - 1 - i)));
    return buf_append(out, slice_of(be, bytes));
}

static int put_text(struct buf *out, struct slice ascii)
{
    return put_number(out, 2, ascii.len) == 0 ? buf_append(out, ascii) : -1;
}

struct store {
    struct buf *out;
    int64_t now_ms;
    uint32_t count;
};

static int put_der(struct buf *out, X509 *cert)
{
    int len = i2d_X509(cert, NULL);
    if (len <= 0 || put_number(out, 4, (uint64_t)len) < 0)
        return -1;
    char *to = buf_reserve(out, (size_t)len);
    uint8_t *at = (uint8_t *)to;
    if (!to || i2d_X509(cert, &at) != len)
        return -1;
    buf_commit(out, (size_t)len);
    return 0;
}

static int put_entry(void *arg, X509 *cert)
{
    struct store *s = arg;
    char alias[32];
    int len = snprintf(alias, sizeof alias, "root-%u", s->count++);
    if (put_number(s->out, 4, JKS_TRUSTED_CERTIFICATE) < 0 ||
        put_text(s->out, slice_of(alias, (size_t)len)) < 0 ||
        put_number(s->out, 8, (uint64_t)s->now_ms) < 0 || put_text(s->out, SLICE("X.509")) < 0)
        return -1;
    return put_der(s->out, cert);
}

/* SHA-1 over the password in UTF-16, a phrase that the format has, and all that stands before. */
static int put_digest(struct buf *out, struct slice body)
{
    static const char password[] = ROOTS_JAVA_PASSWORD, phrase[] = "Mighty Aphrodite";
    char wide[2 * (sizeof password - 1)] = {0};
    uint8_t digest[SHA1_BYTES];
    for (size_t i = 0; i < sizeof password - 1; i++)
        wide[2 * i + 1] = password[i];
    EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
    bool done = sha1 && EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) == 1 &&
                EVP_DigestUpdate(sha1, wide, sizeof wide) == 1 &&
                EVP_DigestUpdate(sha1, phrase, sizeof phrase - 1) == 1 &&
                EVP_DigestUpdate(sha1, body.ptr, body.len) == 1 &&
                EVP_DigestFinal_ex(sha1, digest, NULL) == 1;
    EVP_MD_CTX_free(sha1);
    return done ? buf_append(out, slice_of((char *)digest, sizeof digest)) : -1;
}

static int count_entry(void *arg, X509 *cert)
{
    (void)arg;
    (void)cert;
    return 0;
}

static int write_store(struct slice bundle_pem, size_t count, struct store *s, struct err *e)
{
    size_t begin = buf_len(s->out), seen;
    if (put_number(s->out, 4, 0xfeedfeed) < 0 || put_number(s->out, 4, 2) < 0 ||
        put_number(s->out, 4, count) < 0)
        return err_set(e, "no room for the Java trust store");
    if (pem_each_certificate(bundle_pem, put_entry, s, &seen, e) < 0)
        return err_wrap(e, "the Java trust store");
    struct slice body = slice_skip(buf_slice(s->out), begin);
    return put_digest(s->out, body) == 0 ? 0 : tls_err(e, "cannot end the Java trust store");
}

int roots_java_store(struct slice bundle_pem, int64_t now_ms, struct buf *out, struct err *e)
{
    struct store s = {.out = out, .now_ms = now_ms};
    size_t count, before = buf_len(out);
    if (pem_each_certificate(bundle_pem, count_entry, NULL, &count, e) < 0)
        return err_wrap(e, "the Java trust store");
    if (write_store(bundle_pem, count, &s, e) == 0)
        return 0;
    buf_truncate(out, before);
    return -1;
}
