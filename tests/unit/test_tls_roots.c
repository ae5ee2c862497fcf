/* Stores of trusted roots (tls/roots.h) and what is told about a certificate (tls/describe.h). */
#include "tls_fixture.h"

#include "tls/describe.h"
#include "tls/roots.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

static struct ca *ca;
static struct buf ca_pem = BUF_INIT(8192);

static int set_up(void **state)
{
    struct err e;
    (void)state;
    must(ca_new("roots", 30, &ca, &e), &e);
    must(ca_cert_pem(ca, &ca_pem, &e), &e);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ca_free(ca);
    buf_free(&ca_pem);
    return 0;
}

static void a_bundle_begins_with_our_ca(void **state)
{
    (void)state;
    struct err e;
    AUTO_BUF out = BUF_INIT(1 << 16);
    must(roots_bundle(buf_slice(&ca_pem), SLICE("system\n"), &out, &e), &e);
    assert_true(slice_starts(buf_slice(&out), buf_slice(&ca_pem)));
    assert_true(slice_eq(slice_skip(buf_slice(&out), buf_len(&ca_pem)), SLICE("system\n")));
    buf_clear(&out);
    must(roots_bundle(SLICE("no newline"), SLICE("system\n"), &out, &e), &e);
    assert_true(slice_eq(buf_slice(&out), SLICE("no newline\nsystem\n")));
}

static void what_does_not_fit_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    struct err e;
    AUTO_BUF out = BUF_INIT(10);
    assert_int_equal(roots_bundle(SLICE("eight..\n"), SLICE("system\n"), &out, &e), -1);
    assert_int_equal(buf_len(&out), 0);
    assert_int_equal(roots_java_store(buf_slice(&ca_pem), 0, &out, &e), -1);
    assert_int_equal(buf_len(&out), 0);
}

static uint64_t number(struct slice *in, size_t bytes)
{
    uint64_t n = 0;
    assert_true(in->len >= bytes);
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | (uint8_t)in->ptr[i];
    *in = slice_skip(*in, bytes);
    return n;
}

static struct slice counted(struct slice *in, size_t length_bytes)
{
    size_t len = number(in, length_bytes);
    assert_true(in->len >= len);
    struct slice s = slice_first(*in, len);
    *in = slice_skip(*in, len);
    return s;
}

/* Read as the format is described, with the digest that a JVM computes. */
static void a_java_store_holds_the_certificates_and_a_right_digest(void **state)
{
    (void)state;
    struct err e;
    AUTO_BUF two = BUF_INIT(1 << 16), out = BUF_INIT(1 << 16), digested = BUF_INIT(1 << 16);
    assert_int_equal(buf_append(&two, buf_slice(&ca_pem)), 0);
    assert_int_equal(buf_append(&two, SLICE("text between certificates\n")), 0);
    assert_int_equal(buf_append(&two, buf_slice(&ca_pem)), 0);
    must(roots_java_store(buf_slice(&two), 1234567890123, &out, &e), &e);
    struct slice in = buf_slice(&out);
    assert_int_equal(number(&in, 4), 0xfeedfeed);
    assert_int_equal(number(&in, 4), 2);
    assert_int_equal(number(&in, 4), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(number(&in, 4), 2);
        assert_true(slice_eq(counted(&in, 2), i ? SLICE("root-1") : SLICE("root-0")));
        assert_int_equal(number(&in, 8), 1234567890123);
        assert_true(slice_eq(counted(&in, 2), SLICE("X.509")));
        struct slice der = counted(&in, 4);
        const uint8_t *at = (const uint8_t *)der.ptr;
        X509 *x = d2i_X509(NULL, &at, (long)der.len);
        assert_non_null(x);
        X509_free(x);
    }
    uint8_t digest[20];
    assert_int_equal(in.len, sizeof digest);
    assert_int_equal(buf_append(&digested, SLICE("\0c\0h\0a\0n\0g\0e\0i\0tMighty Aphrodite")), 0);
    assert_int_equal(buf_append(&digested, slice_first(buf_slice(&out), buf_len(&out) - sizeof digest)), 0);
    assert_int_equal(
        EVP_Q_digest(NULL, "SHA1", NULL, digested.data + digested.start, buf_len(&digested), digest, NULL),
        1);
    assert_memory_equal(in.ptr, digest, sizeof digest);
}

static void a_broken_bundle_makes_no_java_store(void **state)
{
    (void)state;
    struct err e;
    AUTO_BUF out = BUF_INIT(1 << 16);
    static const struct slice broken =
        SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_int_equal(roots_java_store(broken, 0, &out, &e), -1);
    assert_int_equal(buf_len(&out), 0);
}

static void a_certificate_is_described(void **state)
{
    (void)state;
    struct err e;
    struct cert_facts facts;
    must(cert_describe(buf_slice(&ca_pem), &facts, &e), &e);
    assert_string_equal(facts.subject, "O=exeat, CN=roots");
    assert_int_equal(facts.not_after - facts.not_before, 30 * 86400 + 3600);
    assert_int_equal(strlen(facts.sha256), 64);
    assert_int_equal(strspn(facts.sha256, "0123456789abcdef"), 64);
    assert_int_equal(cert_describe(SLICE(""), &facts, &e), -1);
    assert_int_equal(cert_describe(SLICE("junk"), &facts, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bundle_begins_with_our_ca),
        cmocka_unit_test(what_does_not_fit_is_an_error_and_leaves_nothing),
        cmocka_unit_test(a_java_store_holds_the_certificates_and_a_right_digest),
        cmocka_unit_test(a_broken_bundle_makes_no_java_store),
        cmocka_unit_test(a_certificate_is_described),
    };
    return cmocka_run_group_tests_name("tls_roots", tests, set_up, tear_down);
}
