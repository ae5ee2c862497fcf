/* Host certificates and the CA's own (tls/ca.h), judged by OpenSSL's strictest verification. */
#include "tls_fixture.h"

#include "tls/name.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

enum { HOUR = 3600 };

static const char long_name[] = "a-name-of-more-than-sixty-four-characters.has-no-common-name.example.test";

static int set_up(void **state)
{
    static struct tls_fixture f;
    fixture_init(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

static X509 *mint(struct tls_fixture *f, const char *name, int64_t now)
{
    struct err e;
    AUTO_BUF der = BUF_INIT(8192);
    must(ca_mint(f->ca, slice_str(name), now, &der, &e), &e);
    const uint8_t *at = (const uint8_t *)der.data;
    X509 *x = d2i_X509(NULL, &at, (long)buf_len(&der));
    assert_non_null(x);
    assert_ptr_equal(at, der.data + der.end);
    return x;
}

static X509 *ca_certificate(const struct ca *ca)
{
    struct err e;
    AUTO_BUF pem = BUF_INIT(8192);
    must(ca_cert_pem(ca, &pem, &e), &e);
    BIO *bio = BIO_new_mem_buf(pem.data, (int)buf_len(&pem));
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(x);
    return x;
}

/* X509_V_OK or the reason, as a strict client for this host would find it at `when`. */
static int strict_verdict(struct tls_fixture *f, X509 *x, const char *host, int64_t when)
{
    X509 *root = ca_certificate(f->ca);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, root), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, x, NULL), 1);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE |
                                           X509_V_FLAG_POLICY_CHECK);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_auth_level(param, 2);
    X509_VERIFY_PARAM_set_time(param, (time_t)when);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) != 1)
        assert_int_equal(X509_VERIFY_PARAM_set1_host(param, host, 0), 1);
    int verdict = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(root);
    return verdict;
}

static void strict_verifiers_take_host_certificates(void **state)
{
    static const char *const hosts[] = {
        "api.example.com", "x",         "under_score.example", "xn--bcher-kva.example",
        long_name,         "192.0.2.1", "2001:db8::7"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        X509 *x = mint(*state, hosts[i], fixture_now());
        assert_int_equal(strict_verdict(*state, x, hosts[i], fixture_now()), X509_V_OK);
        X509_free(x);
    }
}

static void a_certificate_is_for_no_other_name(void **state)
{
    static const char *const others[] = {"b.example.com", "example.com", "x.a.example.com", "192.0.2.1"};
    X509 *x = mint(*state, "a.example.com", fixture_now());
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_not_equal(strict_verdict(*state, x, others[i], fixture_now()), X509_V_OK);
    X509_free(x);
}

/* The prepared certificate is used again: nothing of the name before may stay in it. */
static void a_certificate_has_exactly_one_name(void **state)
{
    static const char *const hosts[] = {"first.test", "192.0.2.1", long_name, "2001:db8::1", "last.test"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        X509 *x = mint(*state, hosts[i], fixture_now());
        int critical, last = -1, sans = 0;
        while ((last = X509_get_ext_by_NID(x, NID_subject_alt_name, last)) >= 0)
            sans++;
        GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
        assert_int_equal(sans, 1);
        assert_int_equal(sk_GENERAL_NAME_num(names), 1);
        assert_int_equal(X509_get_ext_count(x), 6);
        /* RFC 5280 4.1.2.6: an empty subject makes the SAN critical. */
        int entries = X509_NAME_entry_count(X509_get_subject_name(x));
        assert_int_equal(entries, strlen(hosts[i]) <= 64);
        assert_int_equal(critical, entries == 0);
        GENERAL_NAMES_free(names);
        X509_free(x);
    }
}

static void extensions_say_server_and_nothing_else(void **state)
{
    X509 *x = mint(*state, "a.test", fixture_now());
    assert_int_equal(X509_get_version(x), X509_VERSION_3);
    assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
    assert_int_equal(X509_check_ca(x), 0);
    X509 *root = ca_certificate(((struct tls_fixture *)*state)->ca);
    const ASN1_OCTET_STRING *aki = X509_get0_authority_key_id(x), *ski = X509_get0_subject_key_id(root);
    assert_non_null(aki);
    assert_non_null(ski);
    assert_non_null(X509_get0_subject_key_id(x));
    assert_int_equal(ASN1_OCTET_STRING_cmp(aki, ski), 0);
    X509_free(root);
    X509_free(x);
}

static void the_ca_certificate_says_ca_with_nothing_below(void **state)
{
    struct tls_fixture *f = *state;
    X509 *root = ca_certificate(f->ca);
    assert_int_equal(X509_check_ca(root), 1);
    assert_int_equal(X509_get_pathlen(root), 0);
    assert_int_equal(X509_get_key_usage(root), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_true(X509_get_extension_flags(root) & EXFLAG_BCONS);
    int at = X509_get_ext_by_NID(root, NID_basic_constraints, -1);
    assert_true(X509_EXTENSION_get_critical(X509_get_ext(root, at)));
    at = X509_get_ext_by_NID(root, NID_key_usage, -1);
    assert_true(X509_EXTENSION_get_critical(X509_get_ext(root, at)));
    X509_free(root);
}

static int64_t seconds(const ASN1_TIME *t)
{
    struct tm tm;
    assert_int_equal(ASN1_TIME_to_tm(t, &tm), 1);
    return timegm(&tm);
}

static void validity_is_a_day_at_most_and_begins_in_the_past(void **state)
{
    int64_t now = fixture_now();
    X509 *x = mint(*state, "a.test", now);
    int64_t begin = seconds(X509_get0_notBefore(x)), end = seconds(X509_get0_notAfter(x));
    assert_true(begin < now && now < end);
    assert_true(end - begin <= 24 * HOUR);
    assert_int_equal(strict_verdict(*state, x, "a.test", now - HOUR / 2), X509_V_OK);
    assert_int_equal(strict_verdict(*state, x, "a.test", end + 1), X509_V_ERR_CERT_HAS_EXPIRED);
    X509_free(x);
}

static void a_certificate_ends_with_its_ca(void **state)
{
    struct tls_fixture *f = *state;
    X509 *root = ca_certificate(f->ca);
    int64_t end = seconds(X509_get0_notAfter(root));
    X509 *x = mint(f, "a.test", end - HOUR);
    assert_int_equal(seconds(X509_get0_notAfter(x)), end);
    AUTO_BUF der = BUF_INIT(8192);
    assert_int_equal(ca_mint(f->ca, SLICE("a.test"), end, &der, NULL), -1);
    assert_int_equal(buf_len(&der), 0);
    X509_free(x);
    X509_free(root);
}

static void serials_are_random_and_long(void **state)
{
    X509 *a = mint(*state, "a.test", fixture_now()), *b = mint(*state, "a.test", fixture_now());
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)), 0);
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(a), NULL);
    assert_in_range(BN_num_bits(n), 64, 159);
    assert_false(BN_is_negative(n));
    BN_free(n);
    X509_free(a);
    X509_free(b);
}

static void only_canonical_names_and_addresses_are_signed(void **state)
{
    static const char too_long[] = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghi.";
    static const struct slice refused[] = {
        SLICE(""),
        SLICE("."),
        SLICE("*"),
        SLICE("*.example.com"),
        SLICE("a.*.com"),
        SLICE("Example.com"),
        SLICE("a..b"),
        SLICE(".a"),
        SLICE("a."),
        SLICE("-a.test"),
        SLICE("a-.test"),
        SLICE("a b"),
        SLICE("a\n"),
        SLICE("a.test\0.evil"),
        SLICE("192.0.2.1\0"),
        SLICE("a/b"),
        SLICE("a:443"),
        SLICE("user@a"),
        SLICE("b\xc3\xbc"),
        SLICE("1.2.3"),
        SLICE("01.2.3.4"),
        SLICE("1.2.3.4.5"),
        SLICE("256.1.1.1"),
        SLICE("0x7f000001"),
        SLICE("127"),
        SLICE("[::1]"),
        SLICE("::0001"),
        SLICE("2001:DB8::1"),
        SLICE("fe80::1%eth0"),
        SLICE("0:0:0:0:0:0:0:1"),
        SLICE("a.test,b.test"),
        SLICE("DNS:a.test"),
        SLICE("a%2etest"),
        SLICE("abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghij.test"),
    };
    struct tls_fixture *f = *state;
    AUTO_BUF out = BUF_INIT(8192);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert_false(ca_can_mint(refused[i]));
        assert_int_equal(ca_mint(f->ca, refused[i], fixture_now(), &out, NULL), -1);
        assert_int_equal(buf_len(&out), 0);
    }
    AUTO_BUF name = BUF_INIT(1024);
    for (int i = 0; i < 4; i++)
        assert_int_equal(buf_append(&name, SLICE(too_long)), 0);
    assert_false(ca_can_mint(buf_slice(&name))); /* 256 characters of good labels */
}

static void keys_that_are_not_p256_are_refused(void **state)
{
    struct tls_fixture *f = *state;
    EVP_PKEY *keys[] = {EVP_EC_gen("P-384"), EVP_EC_gen("secp256k1"),
                        EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        uint8_t *der = NULL;
        int len = i2d_PUBKEY(keys[i], &der);
        assert_true(len > 0);
        assert_int_equal(ca_set_leaf(f->ca, slice_of((char *)der, (size_t)len), NULL), -1);
        OPENSSL_free(der);
        EVP_PKEY_free(keys[i]);
    }
    uint8_t good[128];
    size_t len;
    assert_int_equal(tls_key_public(f->key, good, sizeof good, &len), 0);
    assert_int_equal(ca_set_leaf(f->ca, slice_of((char *)good, len - 1), NULL), -1);
    good[len] = 0;
    assert_int_equal(ca_set_leaf(f->ca, slice_of((char *)good, len + 1), NULL), -1);
    good[len - 1] ^= 1; /* no longer a point of the curve */
    assert_int_equal(ca_set_leaf(f->ca, slice_of((char *)good, len), NULL), -1);
    assert_int_equal(ca_set_leaf(f->ca, SLICE(""), NULL), -1);
    assert_int_equal(ERR_peek_error(), 0);
}

/* More leaf keys than are kept: those dropped are prepared again when they come back. */
static void many_leaf_keys_take_turns(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_key *keys[12];
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        must(tls_key_new(&keys[i], &e), &e);
    for (size_t i = 0; i < 3 * ARRAY_LEN(keys); i++) {
        uint8_t der[128];
        size_t len;
        assert_int_equal(tls_key_public(keys[i * 5 % ARRAY_LEN(keys)], der, sizeof der, &len), 0);
        must(ca_set_leaf(f->ca, slice_of((char *)der, len), &e), &e);
        X509 *x = mint(f, "a.test", fixture_now());
        uint8_t *got = NULL;
        assert_int_equal(i2d_PUBKEY(X509_get0_pubkey(x), &got), len);
        assert_memory_equal(got, der, len);
        OPENSSL_free(got);
        X509_free(x);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        tls_key_free(keys[i]);
}

static void without_a_leaf_key_nothing_is_signed(void **state)
{
    (void)state;
    struct err e;
    AUTO(ca) *ca = NULL;
    AUTO_BUF out = BUF_INIT(8192);
    must(ca_new("x", 1, &ca, &e), &e);
    assert_int_equal(ca_mint(ca, SLICE("a.test"), fixture_now(), &out, &e), -1);
    assert_string_equal(e.text, "no leaf key has been introduced");
}

static void a_saved_ca_is_loaded_again(void **state)
{
    struct tls_fixture *f = *state;
    struct err e;
    AUTO_BUF cert = BUF_INIT(8192), key = BUF_INIT(8192), again = BUF_INIT(8192);
    AUTO(ca) *loaded = NULL;
    must(ca_cert_pem(f->ca, &cert, &e), &e);
    must(ca_key_pem(f->ca, &key, &e), &e);
    must(ca_load(buf_slice(&cert), buf_slice(&key), &loaded, &e), &e);
    must(ca_cert_pem(loaded, &again, &e), &e);
    assert_true(slice_eq(buf_slice(&cert), buf_slice(&again)));
}

static void what_is_no_ca_is_not_loaded(void **state)
{
    struct tls_fixture *f = *state;
    struct err e;
    AUTO_BUF cert = BUF_INIT(8192), key = BUF_INIT(8192), other = BUF_INIT(8192);
    AUTO(ca) *another = NULL, *ca = NULL;
    must(ca_new("another", 1, &another, &e), &e);
    must(ca_cert_pem(f->ca, &cert, &e), &e);
    must(ca_key_pem(f->ca, &key, &e), &e);
    must(ca_key_pem(another, &other, &e), &e);
    const struct {
        struct slice cert, key;
        const char *message;
    } cases[] = {
        {SLICE(""), buf_slice(&key), "not a PEM certificate"},
        {SLICE("junk"), buf_slice(&key), "not a PEM certificate"},
        {buf_slice(&key), buf_slice(&key), "not a PEM certificate"},
        {buf_slice(&cert), SLICE(""), "not a PEM private key"},
        {buf_slice(&cert), buf_slice(&cert), "not a PEM private key"},
        {buf_slice(&cert), buf_slice(&other), "not the key of the CA certificate"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(ca_load(cases[i].cert, cases[i].key, &ca, &e), -1);
        assert_null(ca);
        if (!strstr(e.text, cases[i].message))
            fail_msg("case %zu: %s", i, e.text);
    }
}

/* A certificate that OpenSSL makes here with the given constraints and end, for a fresh key. */
static void take(BIO *bio, struct buf *to)
{
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    assert_int_equal(buf_append(to, slice_of(text, (size_t)len)), 0);
    BIO_reset(bio);
}

static void make_root(const char *constraints, int64_t begin, int64_t end, struct buf *cert, struct buf *key)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509V3_CTX context;
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)begin);
    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)end);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)"r", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, pkey);
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, constraints);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x);
    take(bio, cert);
    PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
    take(bio, key);
    BIO_free(bio);
    X509_free(x);
    EVP_PKEY_free(pkey);
}

static void only_a_valid_root_is_loaded(void **state)
{
    (void)state;
    int64_t now = fixture_now();
    const struct {
        const char *constraints, *message;
        int64_t begin, end;
    } cases[] = {
        {"critical,CA:TRUE", NULL, now - 10, now + 3600},
        {"critical,CA:FALSE", "may not sign certificates", now - 10, now + 3600},
        {"critical,CA:TRUE", "has expired", now - 10, now - 5},
        {"critical,CA:TRUE", "not valid yet", now + 1800, now + 3600},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF cert = BUF_INIT(8192), key = BUF_INIT(8192);
        AUTO(ca) *ca = NULL;
        struct err e = {0};
        make_root(cases[i].constraints, cases[i].begin, cases[i].end, &cert, &key);
        int r = ca_load(buf_slice(&cert), buf_slice(&key), &ca, &e);
        assert_int_equal(r, cases[i].message ? -1 : 0);
        if (cases[i].message && !strstr(e.text, cases[i].message))
            fail_msg("case %zu: %s", i, e.text);
    }
}

static void a_long_name_for_the_ca_is_cut(void **state)
{
    (void)state;
    struct err e;
    AUTO(ca) *ca = NULL;
    must(ca_new("exeat CA a-machine-with-a-name-of-its-own-that-is-far-too-long-for-x520 2026-11-21", 1, &ca,
                &e),
         &e);
    assert_int_equal(ca_new("x", 0, &ca, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_verifiers_take_host_certificates),
        cmocka_unit_test(a_certificate_is_for_no_other_name),
        cmocka_unit_test(a_certificate_has_exactly_one_name),
        cmocka_unit_test(extensions_say_server_and_nothing_else),
        cmocka_unit_test(the_ca_certificate_says_ca_with_nothing_below),
        cmocka_unit_test(validity_is_a_day_at_most_and_begins_in_the_past),
        cmocka_unit_test(a_certificate_ends_with_its_ca),
        cmocka_unit_test(serials_are_random_and_long),
        cmocka_unit_test(only_canonical_names_and_addresses_are_signed),
        cmocka_unit_test(keys_that_are_not_p256_are_refused),
        cmocka_unit_test(many_leaf_keys_take_turns),
        cmocka_unit_test(without_a_leaf_key_nothing_is_signed),
        cmocka_unit_test(a_saved_ca_is_loaded_again),
        cmocka_unit_test(what_is_no_ca_is_not_loaded),
        cmocka_unit_test(only_a_valid_root_is_loaded),
        cmocka_unit_test(a_long_name_for_the_ca_is_cut),
    };
    return cmocka_run_group_tests_name("tls_mint", tests, set_up, tear_down);
}
