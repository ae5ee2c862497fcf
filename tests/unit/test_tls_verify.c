/* What the side towards the origin accepts (tls_connect of tls/conn.h): certificates of an origin that the
 * test makes, each with one thing right or wrong. */
#include "tls_fixture.h"

#include "tls/internal.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static struct tls_fixture fixture; /* its server side plays the origin */
static X509 *root, *other_root;
static EVP_PKEY *root_key, *other_key;

enum signer { BY_ROOT, BY_ITSELF, BY_OTHER_ROOT, FORGED };

struct recipe {
    const char *cn, *san, *usage; /* san, usage NULL: none */
    enum signer signer;
    int begin, end; /* days from now; both 0: valid */
};

static void add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *make(const struct recipe *r, X509 *issuer, EVP_PKEY *signing_key, EVP_PKEY *subject_key, bool ca)
{
    static long serial = 1;
    X509 *x = X509_new();
    bool dated = r->begin || r->end;
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_time_adj_ex(X509_getm_notBefore(x), dated ? r->begin : -1, 0, NULL);
    X509_time_adj_ex(X509_getm_notAfter(x), dated ? r->end : 30, 0, NULL);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)r->cn, -1, -1,
                               0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
    X509_set_pubkey(x, subject_key);
    add_extension(x, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (r->san)
        add_extension(x, NID_subject_alt_name, r->san);
    if (r->usage)
        add_extension(x, NID_ext_key_usage, r->usage);
    assert_true(X509_sign(x, signing_key, EVP_sha256()) > 0);
    return x;
}

static X509 *make_origin(const struct recipe *r)
{
    EVP_PKEY *served = fixture.key->pkey;
    switch (r->signer) {
    case BY_ROOT:
        return make(r, root, root_key, served, false);
    case BY_ITSELF:
        return make(r, NULL, served, served, false);
    case BY_OTHER_ROOT:
        return make(r, other_root, other_key, served, false);
    case FORGED:
        return make(r, root, other_key, served, false);
    }
    return NULL;
}

static struct tls_cert *as_cert(X509 *x)
{
    struct err e;
    struct tls_cert *cert = NULL;
    uint8_t *der = NULL;
    int len = i2d_X509(x, &der);
    must(tls_cert_from_der(slice_of((char *)der, (size_t)len), &cert, &e), &e);
    OPENSSL_free(der);
    return cert;
}

static void trust_only(X509 *x)
{
    struct err e;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    PEM_write_bio_X509(bio, x);
    long len = BIO_get_mem_data(bio, &text);
    tls_client_free(fixture.client);
    tls_trust_free(fixture.trust);
    must(tls_trust_new(SLICE(""), slice_of(text, (size_t)len), &fixture.trust, &e), &e);
    must(tls_client_new(fixture.trust, &fixture.client, &e), &e);
    BIO_free(bio);
}

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    root_key = EVP_EC_gen("P-256");
    other_key = EVP_EC_gen("P-256");
    root = make(&(struct recipe){.cn = "root"}, NULL, root_key, root_key, true);
    other_root = make(&(struct recipe){.cn = "nobody's root"}, NULL, other_key, other_key, true);
    trust_only(root);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    X509_free(root);
    X509_free(other_root);
    EVP_PKEY_free(root_key);
    EVP_PKEY_free(other_key);
    fixture_free(&fixture);
    return 0;
}

/* Visits an origin that has this certificate, as `host`. */
static void visit(X509 *x, const char *host, struct pair *p)
{
    struct cert_source source = {.cert = as_cert(x)};
    struct tls_accept want = want_host(host, "t", &source);
    struct tls_peer peer = peer_of(host, "t");
    pair_open(&fixture, p, &peer, &want);
    pair_handshake(p);
    tls_cert_free(source.cert);
}

static const struct {
    const char *about, *host;
    struct recipe recipe;
    const char *refusal; /* a part of the failure's text; NULL: accepted */
} origins[] = {
    {"a name", "a.test", {.cn = "x", .san = "DNS:a.test"}, NULL},
    {"one of several names", "a.test", {.cn = "x", .san = "DNS:b.test,DNS:a.test"}, NULL},
    {"a wildcard label", "a.b.test", {.cn = "x", .san = "DNS:*.b.test"}, NULL},
    {"upper case", "a.test", {.cn = "x", .san = "DNS:A.TEST"}, NULL},
    {"an address", "192.0.2.1", {.cn = "x", .san = "IP:192.0.2.1"}, NULL},
    {"an IPv6 address", "2001:db8::1", {.cn = "x", .san = "IP:2001:db8:0:0::1"}, NULL},
    {"the usage of servers", "a.test", {.cn = "x", .san = "DNS:a.test", .usage = "serverAuth"}, NULL},
    {"another name", "a.test", {.cn = "x", .san = "DNS:b.test"}, "hostname mismatch"},
    {"the name in CN only", "a.test", {.cn = "a.test"}, "hostname mismatch"},
    {"the name in CN besides another", "a.test", {.cn = "a.test", .san = "DNS:b.test"}, "hostname mismatch"},
    {"a wildcard two labels up", "a.b.test", {.cn = "x", .san = "DNS:*.test"}, "hostname mismatch"},
    {"a wildcard for the apex", "b.test", {.cn = "x", .san = "DNS:*.b.test"}, "hostname mismatch"},
    {"part of a label as a wildcard", "abc.b.test", {.cn = "x", .san = "DNS:a*.b.test"}, "hostname mismatch"},
    {"an address as a name", "192.0.2.1", {.cn = "x", .san = "DNS:192.0.2.1"}, "IP address mismatch"},
    {"another address", "192.0.2.1", {.cn = "x", .san = "IP:192.0.2.2"}, "IP address mismatch"},
    {"an end in the past",
     "a.test",
     {.cn = "x", .san = "DNS:a.test", .begin = -9, .end = -1},
     "certificate has expired"},
    {"a begin to come", "a.test", {.cn = "x", .san = "DNS:a.test", .begin = 1, .end = 9}, "not yet valid"},
    {"itself as signer",
     "a.test",
     {.cn = "x", .san = "DNS:a.test", .signer = BY_ITSELF},
     "self-signed certificate"},
    {"an unknown root",
     "a.test",
     {.cn = "x", .san = "DNS:a.test", .signer = BY_OTHER_ROOT},
     "unable to get local issuer"},
    {"a forged signature",
     "a.test",
     {.cn = "x", .san = "DNS:a.test", .signer = FORGED},
     "certificate signature failure"},
    {"the usage of clients",
     "a.test",
     {.cn = "x", .san = "DNS:a.test", .usage = "clientAuth"},
     "unsuitable certificate purpose"},
};

static void origins_are_accepted_for_their_certificates_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(origins); i++) {
        struct pair p;
        X509 *x = make_origin(&origins[i].recipe);
        visit(x, origins[i].host, &p);
        bool accepted = origins[i].refusal == NULL;
        if (p.client_result != (accepted ? 0 : TLS_FAILED))
            fail_msg("%s: result %d, %s", origins[i].about, p.client_result, tls_failure_text(p.client));
        assert_int_equal(tls_failure(p.client), accepted ? TLS_FAIL_NONE : TLS_FAIL_VERIFY);
        if (!accepted && !strstr(tls_failure_text(p.client), origins[i].refusal))
            fail_msg("%s: %s", origins[i].about, tls_failure_text(p.client));
        /* The other side is told, in words that the server side knows. */
        assert_int_equal(tls_failure(p.server), accepted ? TLS_FAIL_NONE : TLS_FAIL_REJECTED);
        pair_close(&p);
        X509_free(x);
    }
}

static void a_refusal_names_the_certificate_in_printable_text(void **state)
{
    (void)state;
    struct pair p;
    X509 *x = make_origin(&(struct recipe){.cn = "evil\x1b[2J\n", .san = "DNS:b.test"});
    visit(x, "a.test", &p);
    const char *text = tls_failure_text(p.client);
    assert_non_null(strstr(text, "CN=evil\\1B[2J\\0A"));
    for (; *text; text++)
        assert_in_range(*text, 0x20, 0x7e);
    pair_close(&p);
    X509_free(x);
}

/* What an operator writes into ca_file is trusted as it stands, even where it is the origin's own
 * certificate. */
static void a_named_certificate_is_trusted_for_its_own_name_only(void **state)
{
    (void)state;
    struct pair p;
    X509 *x = make_origin(&(struct recipe){.cn = "x", .san = "DNS:a.test", .signer = BY_ITSELF});
    trust_only(x);
    visit(x, "a.test", &p);
    assert_int_equal(p.client_result, 0);
    pair_close(&p);
    visit(x, "b.test", &p);
    assert_int_equal(p.client_result, TLS_FAILED);
    pair_close(&p);
    trust_only(root);
    X509_free(x);
}

static void nothing_but_certificates_makes_a_trust(void **state)
{
    (void)state;
    struct tls_trust *t = NULL;
    struct err e;
    static const struct slice broken =
        SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_int_equal(tls_trust_new(SLICE(""), SLICE(""), &t, &e), -1);
    assert_int_equal(tls_trust_new(SLICE("words"), SLICE(""), &t, &e), -1);
    assert_int_equal(tls_trust_new(SLICE(""), SLICE("words"), &t, &e), -1);
    assert_int_equal(tls_trust_new(broken, SLICE(""), &t, &e), -1);
    assert_int_equal(tls_trust_new(SLICE(""), broken, &t, &e), -1);
    assert_int_equal(tls_trust_later(SLICE(""), SLICE(""), &t, &e), -1);
    assert_int_equal(tls_trust_later(SLICE(""), broken, &t, &e), -1);
    assert_null(t);
}

static void roots_that_are_read_later_are_judged_then(void **state)
{
    (void)state;
    static const struct slice broken =
        SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    struct tls_client *client = NULL;
    struct err e = {0};
    AUTO(tls_trust) *t = NULL;
    assert_int_equal(tls_trust_later(broken, SLICE(""), &t, &e), 0);
    assert_int_equal(tls_client_new(t, &client, &e), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tls_client_ready(client, &e), -1);
        assert_non_null(strstr(e.text, "the system's roots"));
    }
    tls_client_free(client);
}

static void a_host_that_is_not_canonical_is_not_visited(void **state)
{
    (void)state;
    static const struct tls_peer peers[] = {
        {.host = SLICE(""), .port = 443},
        {.host = SLICE("A.test"), .port = 443},
        {.host = SLICE("a.test\0.evil"), .port = 443},
        {.host = SLICE("192.0.2.1"), .port = 443, .is_address = false},
        {.host = SLICE("a.test"), .port = 443, .is_address = true},
    };
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        assert_null(tls_connect(fixture.client, 0, &peers[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_accepted_for_their_certificates_only),
        cmocka_unit_test(a_refusal_names_the_certificate_in_printable_text),
        cmocka_unit_test(a_named_certificate_is_trusted_for_its_own_name_only),
        cmocka_unit_test(nothing_but_certificates_makes_a_trust),
        cmocka_unit_test(roots_that_are_read_later_are_judged_then),
        cmocka_unit_test(a_host_that_is_not_canonical_is_not_visited),
    };
    return cmocka_run_group_tests_name("tls_verify", tests, set_up, tear_down);
}
