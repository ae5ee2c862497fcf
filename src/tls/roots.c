#include "tls/roots.h"
#include "base/io.h"
#include "tls/trust_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

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

static int put_entry(struct store *s, struct slice der)
{
    char alias[32];
    int len = snprintf(alias, sizeof alias, "root-%u", s->count++);
    return put_number(s->out, 4, JKS_TRUSTED_CERTIFICATE) < 0 ||
                   put_text(s->out, slice_of(alias, (size_t)len)) < 0 ||
                   put_number(s->out, 8, (uint64_t)s->now_ms) < 0 || put_text(s->out, SLICE("X.509")) < 0 ||
                   put_number(s->out, 4, der.len) < 0
               ? -1
               : buf_append(s->out, der);
}

/* One whole SEQUENCE, as every certificate is (X.690 8.9). */
static bool is_sequence(struct slice der)
{
    const unsigned char *at = (const unsigned char *)der.ptr, *begin = at;
    long len;
    int tag, class;
    int flags = ASN1_get_object(&at, &len, &tag, &class, (long)der.len);
    return !(flags & 0x80) && tag == V_ASN1_SEQUENCE && class == V_ASN1_UNIVERSAL &&
           (size_t)(at - begin) + (size_t)len == der.len;
}

/* The DER of each certificate as it stands: parsing 140 of them would be half of the time that `exeat run`
 * takes to start, and the proxy parses them anyway. */
static int put_entries(struct slice pem, struct store *s, struct err *e)
{
    AUTO_OSSL(BIO) *bio = BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len);
    char *name, *header;
    unsigned char *der;
    long len;
    int result = 0;
    ERR_clear_error();
    while (result == 0 && bio && PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
        if (strcmp(name, PEM_STRING_X509) == 0)
            result = is_sequence(slice_of((char *)der, (size_t)len))
                         ? put_entry(s, slice_of((char *)der, (size_t)len))
                         : -1;
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    if (result < 0)
        return err_set(e, "certificate %u is none, or there is no room for it", s->count + 1);
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return tls_err(e, "certificate %u cannot be read", s->count + 1);
    ERR_clear_error();
    return 0;
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

/* How many there are stands before them, and is known after them. */
static int write_store(struct slice bundle_pem, struct store *s, struct err *e)
{
    size_t begin = buf_len(s->out);
    if (put_number(s->out, 4, 0xfeedfeed) < 0 || put_number(s->out, 4, 2) < 0 || put_number(s->out, 4, 0) < 0)
        return err_set(e, "no room for the Java trust store");
    if (put_entries(bundle_pem, s, e) < 0)
        return err_wrap(e, "the Java trust store");
    char *count = s->out->data + s->out->start + begin + 8;
    for (unsigned i = 0; i < 4; i++)
        count[i] = (char)(s->count >> (8 * (3 - i)));
    struct slice body = slice_skip(buf_slice(s->out), begin);
    return put_digest(s->out, body) == 0 ? 0 : tls_err(e, "cannot end the Java trust store");
}

int roots_java_store(struct slice bundle_pem, int64_t now_ms, struct buf *out, struct err *e)
{
    struct store s = {.out = out, .now_ms = now_ms};
    size_t before = buf_len(out);
    if (write_store(bundle_pem, &s, e) == 0)
        return 0;
    buf_truncate(out, before);
    return -1;
}
