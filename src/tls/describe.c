#include "tls/describe.h"
#include "tls/internal.h"

#include <openssl/pem.h>

static int write_subject(X509 *x, char ret[CERT_SUBJECT_BYTES])
{
    AUTO_OSSL(BIO) *bio = BIO_new(BIO_s_mem());
    if (!bio || X509_NAME_print_ex(bio, X509_get_subject_name(x), 0, TLS_NAME_FORMAT) < 0)
        return -1;
    int n = BIO_read(bio, ret, CERT_SUBJECT_BYTES - 1);
    ret[n > 0 ? n : 0] = '\0';
    return 0;
}

int cert_describe(struct slice pem, struct cert_facts *ret, struct err *e)
{
    struct cert_facts f;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len;
    AUTO_OSSL(BIO) *bio = BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len);
    AUTO_OSSL(X509) *x = bio ? PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL) : NULL;
    if (!x)
        return tls_err(e, "not a PEM certificate");
    if (write_subject(x, f.subject) < 0 || x509_seconds(X509_get0_notBefore(x), &f.not_before) < 0 ||
        x509_seconds(X509_get0_notAfter(x), &f.not_after) < 0 ||
        X509_digest(x, EVP_sha256(), digest, &len) != 1 || len != SHA256_BYTES)
        return tls_err(e, "cannot read the certificate");
    crypto_hex(digest, len, f.sha256);
    *ret = f;
    return 0;
}
