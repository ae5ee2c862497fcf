/* Host certificates: ca_set_leaf and ca_mint of tls/ca.h.
 *
 * X509_set_pubkey is most of what a certificate costs (design: Minting), so there is one prepared certificate
 * for each leaf key, and for each host only subject, SAN, serial and dates change before it is signed.
 */
#include "tls/internal.h"
#include "tls/name.h"

#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum {
    HOUR = 3600,
    BEFORE = HOUR,     /* clocks differ */
    AFTER = 23 * HOUR, /* 24 h in all */
    COMMON_NAME_CHARS = 64,
    LEAF_BYTES = 128, /* a P-256 SubjectPublicKeyInfo has 91 (59 compressed) */
    PREPARED_MAX = 8, /* one a proxy process; more live only while processes change */
    CERTIFICATE_BYTES = 4096,
};

struct prepared {
    struct prepared *next;
    X509 *cert;
    size_t leaf_len;
    char leaf[LEAF_BYTES];
};

static void prepared_free(struct prepared *p)
{
    if (!p)
        return;
    X509_free(p->cert);
    free(p);
}
DEFINE_AUTO(prepared)

void prepared_free_all(struct prepared *p)
{
    while (p) {
        struct prepared *next = p->next;
        prepared_free(p);
        p = next;
    }
}

static EVP_PKEY *parse_leaf(struct slice der)
{
    const uint8_t *at = (const uint8_t *)der.ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.len);
    char group[32];
    size_t len;
    if (key && at == (const uint8_t *)der.ptr + der.len && EVP_PKEY_is_a(key, "EC") &&
        EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 &&
        slice_eq(slice_of(group, len), SLICE("prime256v1")))
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

/* From the issuer's SKI where it has one, else from its key as RFC 5280 4.2.1.2 (1) would make it. */
static int add_authority_key_id(X509 *x, X509 *issuer)
{
    AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
    const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(issuer);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int added = 0;
    if (id && (id->keyid = ski ? ASN1_OCTET_STRING_dup(ski) : ASN1_OCTET_STRING_new()) &&
        (ski || (X509_pubkey_digest(issuer, EVP_sha1(), digest, &len) == 1 &&
                 ASN1_OCTET_STRING_set(id->keyid, digest, (int)len) == 1)))
        added = X509_add1_ext_i2d(x, NID_authority_key_identifier, id, 0, X509V3_ADD_APPEND);
    AUTHORITY_KEYID_free(id);
    return added == 1 ? 0 : -1;
}

/* All that does not depend on the host.  What strict verifiers ask for: RFC 5280 4.2.1; Python's
 * VERIFY_X509_STRICT refuses a certificate without AKI and SKI. */
static int prepare(X509 *x, const struct ca *ca, EVP_PKEY *leaf)
{
    if (X509_set_version(x, X509_VERSION_3) != 1 ||
        X509_set_issuer_name(x, X509_get_subject_name(ca->cert)) != 1 || X509_set_pubkey(x, leaf) != 1 ||
        x509_add_extension(x, ca->cert, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
        x509_add_extension(x, ca->cert, NID_key_usage, "critical,digitalSignature") < 0 ||
        x509_add_extension(x, ca->cert, NID_ext_key_usage, "serverAuth") < 0 ||
        x509_add_extension(x, ca->cert, NID_subject_key_identifier, "hash") < 0 ||
        add_authority_key_id(x, ca->cert) < 0)
        return -1;
    return 0;
}

/* Moves the one for this key to the front. */
static bool select_prepared(struct ca *ca, struct slice leaf)
{
    for (struct prepared **at = &ca->prepared; *at; at = &(*at)->next) {
        struct prepared *p = *at;
        if (!slice_eq(slice_of(p->leaf, p->leaf_len), leaf))
            continue;
        *at = p->next;
        p->next = ca->prepared;
        ca->prepared = p;
        return true;
    }
    return false;
}

static void drop_oldest(struct ca *ca)
{
    struct prepared *p = ca->prepared;
    for (int n = 1; p; p = p->next, n++)
        if (n == PREPARED_MAX) {
            prepared_free_all(p->next);
            p->next = NULL;
        }
}

int ca_set_leaf(struct ca *ca, struct slice leaf_public, struct err *e)
{
    if (select_prepared(ca, leaf_public))
        return 0;
    if (leaf_public.len == 0 || leaf_public.len > LEAF_BYTES)
        return err_set(e, "a public key of %zu bytes is none of P-256", leaf_public.len);
    AUTO_OSSL(EVP_PKEY) *leaf = parse_leaf(leaf_public);
    if (!leaf)
        return tls_err(e, "the public key is none of P-256");
    AUTO(prepared) *p = calloc(1, sizeof *p);
    if (!p || !(p->cert = X509_new()) || prepare(p->cert, ca, leaf) < 0)
        return tls_err(e, "cannot prepare a host certificate");
    memcpy(p->leaf, leaf_public.ptr, leaf_public.len);
    p->leaf_len = leaf_public.len;
    p->next = ca->prepared;
    ca->prepared = TAKE(p);
    drop_oldest(ca);
    return 0;
}

/* CN is a courtesy to people who look; programs read the SAN.  A longer name leaves the subject empty. */
static int set_subject(X509 *x, struct slice host)
{
    AUTO_OSSL(X509_NAME) *name = X509_NAME_new();
    if (!name)
        return -1;
    if (host.len <= COMMON_NAME_CHARS &&
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, (const uint8_t *)host.ptr,
                                   (int)host.len, -1, 0) != 1)
        return -1;
    return X509_set_subject_name(x, name) == 1 ? 0 : -1;
}

/* `type` is V_ASN1_IA5STRING for GEN_DNS, V_ASN1_OCTET_STRING for GEN_IPADD (RFC 5280 4.2.1.6). */
static GENERAL_NAME *general_name(int kind, int type, const void *bytes, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(type);
    if (!name || !value || ASN1_STRING_set(value, bytes, (int)len) != 1) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, kind, value);
    return name;
}

/* Critical where the subject is empty (RFC 5280 4.1.2.6). */
static int set_alternative_name(X509 *x, const struct tls_name *host)
{
    size_t bytes = tls_name_address_bytes(host);
    GENERAL_NAME *name = bytes ? general_name(GEN_IPADD, V_ASN1_OCTET_STRING, host->address, bytes)
                               : general_name(GEN_DNS, V_ASN1_IA5STRING, host->text.ptr, host->text.len);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int set = 0;
    if (name && names && sk_GENERAL_NAME_push(names, name) > 0) {
        name = NULL; /* the list has it */
        set = X509_add1_ext_i2d(x, NID_subject_alt_name, names, host->text.len > COMMON_NAME_CHARS,
                                X509V3_ADD_REPLACE);
    }
    GENERAL_NAME_free(name);
    GENERAL_NAMES_free(names);
    return set == 1 ? 0 : -1;
}

static int sign(struct ca *ca, X509 *x, const struct tls_name *host, int64_t now)
{
    int64_t end = now + AFTER < ca->not_after ? now + AFTER : ca->not_after;
    if (x509_set_random_serial(x) < 0 || x509_set_dates(x, now - BEFORE, end) < 0 ||
        set_subject(x, host->text) < 0 || set_alternative_name(x, host) < 0)
        return -1;
    return X509_sign(x, ca->key, EVP_sha256()) > 0 ? 0 : -1;
}

bool ca_can_mint(struct slice name)
{
    struct tls_name host;
    return tls_name_parse(name, &host) == 0;
}

int ca_mint(struct ca *ca, struct slice name, int64_t now_seconds, struct buf *out, struct err *e)
{
    struct tls_name host;
    if (tls_name_parse(name, &host) < 0)
        return err_set(e, "not a canonical host name or address");
    if (!ca->prepared)
        return err_set(e, "no leaf key has been introduced");
    if (now_seconds >= ca->not_after)
        return err_set(e, "the CA certificate has expired");
    X509 *x = ca->prepared->cert;
    if (sign(ca, x, &host, now_seconds) < 0)
        return tls_err(e, "cannot sign a host certificate");
    int len = i2d_X509(x, NULL);
    char *to = len > 0 && len <= CERTIFICATE_BYTES ? buf_reserve(out, (size_t)len) : NULL;
    uint8_t *at = (uint8_t *)to;
    if (!to || i2d_X509(x, &at) != len)
        return tls_err(e, "cannot write a host certificate");
    buf_commit(out, (size_t)len);
    return 0;
}
