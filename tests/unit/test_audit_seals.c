/* Seals of the log: when one is written, and what verifying says of it. */
#include "audit/verify.h"
#include "audit_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Stands for the keeper. */
struct signer {
    uint8_t seed[ED25519_KEY_BYTES];
    bool gone;
    unsigned asked;
    uint64_t off; /* added to the number that is signed: a keeper that signs something else */
};

static int sign(void *arg, struct seal *claim)
{
    struct signer *s = arg;
    s->asked++;
    claim->time_ms = 1790000000000;
    claim->seq += s->off;
    return s->gone ? -1 : seal_sign(s->seed, claim);
}

static struct audit_log *open_sealed(struct audit_fixture *f, struct signer *s)
{
    f->options.seal = sign;
    f->options.seal_arg = s;
    return fixture_open(f);
}

static struct log_verdict verify(const struct audit_fixture *f, const struct verify_keys *keys)
{
    char path[256];
    struct log_verdict v = {0};
    struct err e = {0};
    AUTO(log_reader) *r = NULL;
    fixture_path(f, "audit.jsonl", path);
    if (log_reader_open(path, &r, &e) < 0 || log_verify(r, 0, "", keys, &v, &e) < 0)
        fail_msg("%s", e.text);
    return v;
}

static struct verify_keys key_of(const struct signer *s)
{
    struct verify_keys keys = {.count = 1};
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    assert_int_equal(crypto_ed25519_sign(s->seed, SLICE(""), keys.at[0], signature), 0);
    return keys;
}

static void the_end_of_a_run_is_sealed(void **state)
{
    struct signer s = {.seed = {1}};
    struct audit_log *log = open_sealed(*state, &s);
    uint64_t seq;
    char hash[65];
    fixture_write(log, 5);
    audit_seal(log);
    audit_head(log, &seq, hash);
    assert_int_equal(seq, 6);
    audit_close(log);
    const struct verify_keys keys = key_of(&s);
    struct log_verdict v = verify(*state, &keys);
    assert_false(v.broken);
    assert_int_equal(v.seals, 1);
    assert_int_equal(v.sealed.seq, 5);
    assert_int_equal(v.last_seq, 6);
}

static void nothing_new_is_not_sealed_again(void **state)
{
    struct signer s = {.seed = {1}};
    for (int i = 0; i < 3; i++) {
        struct audit_log *log = open_sealed(*state, &s);
        if (i == 0)
            fixture_write(log, 2);
        audit_seal(log);
        audit_seal(log);
        audit_close(log);
    }
    assert_int_equal(s.asked, 1);
}

static void many_records_are_sealed_on_the_way(void **state)
{
    struct signer s = {.seed = {2}};
    struct audit_log *log = open_sealed(*state, &s);
    audit_tick(log);
    fixture_write(log, 25000);
    audit_seal(log);
    audit_close(log);
    struct log_verdict v = verify(*state, &(struct verify_keys){0});
    assert_false(v.broken);
    assert_in_range(v.seals, 2, 4);
    assert_int_equal(v.sealed.seq, v.last_seq - 1);
}

static void a_keeper_that_is_gone_stops_nothing(void **state)
{
    struct signer s = {.seed = {3}, .gone = true};
    struct audit_log *log = open_sealed(*state, &s);
    audit_tick(log);
    fixture_write(log, 12000);
    audit_seal(log);
    audit_close(log);
    struct log_verdict v = verify(*state, &(struct verify_keys){0});
    assert_false(v.broken);
    assert_int_equal(v.seals, 0);
    assert_in_range(s.asked, 1, 3);
}

static void a_file_is_sealed_before_it_is_rotated(void **state)
{
    struct audit_fixture *f = *state;
    struct signer s = {.seed = {4}};
    f->options.rotate = 20000;
    struct audit_log *log = open_sealed(f, &s);
    fixture_write(log, 100);
    audit_close(log);
    AUTO_BUF old = BUF_INIT(0);
    struct slice text = fixture_read(f, "audit.jsonl.000000000001", &old);
    assert_true(fixture_has(text, "\"kind\":\"seal\""));
    assert_null(fixture_verify(f));
}

/* What is wrong with each, and what verifying says. */
static void what_does_not_hold_is_broken(void **state)
{
    static const struct {
        uint64_t off;
        uint8_t known; /* first byte of the seed whose key is the only known one */
        const char *from, *to, *says;
    } rows[] = {
        {0, 5, NULL, NULL, NULL},
        {0, 6, NULL, NULL, "not the keeper's"},
        {1, 5, NULL, NULL, "another record"},
        {1000, 5, NULL, NULL, "another record"},
        {0, 5, "\"time_ms\":1790", "\"time_ms\":1791", "not signed"},
        {0, 5, "\"signature\":\"", "\"signature\":\"zz", "not signed"},
        {0, 5, "\"seal\":{\"seq\":3", "\"seal\":{\"seq\":2", "not signed"},
    };
    struct audit_fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct signer s = {.seed = {5}, .off = rows[i].off}, known = {.seed = {rows[i].known}};
        struct audit_log *log = open_sealed(f, &s);
        fixture_write(log, 3);
        audit_seal(log);
        audit_close(log);
        AUTO_BUF text = BUF_INIT(0), edited = BUF_INIT(FIXTURE_FILE_MAX);
        struct slice all = fixture_read(f, "audit.jsonl", &text);
        const char *at = rows[i].from ? memmem(all.ptr, all.len, rows[i].from, strlen(rows[i].from)) : NULL;
        assert_int_equal(at != NULL, rows[i].from != NULL);
        if (at) { /* in the last line, so the chain itself cannot tell */
            size_t before = (size_t)(at - all.ptr);
            assert_int_equal(buf_append(&edited, slice_first(all, before)), 0);
            assert_int_equal(buf_append(&edited, slice_str(rows[i].to)), 0);
            assert_int_equal(buf_append(&edited, slice_skip(all, before + strlen(rows[i].from))), 0);
            fixture_replace(f, "audit.jsonl", buf_slice(&edited));
        }
        const struct verify_keys keys = key_of(&known);
        struct log_verdict v = verify(f, &keys);
        if (v.broken != (rows[i].says != NULL) || (v.broken && !strstr(v.problem, rows[i].says)))
            fail_msg("row %zu: %s", i, v.broken ? v.problem : "not broken");
        assert_int_equal(unlinkat(f->dir_fd, "audit.jsonl", 0), 0);
    }
}

/* RFC 8032 7.1, test 2: a text of one byte. */
static void signatures_are_those_of_the_standard(void **state UNUSED)
{
    static const char seed_hex[] = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    static const char key_hex[] = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    static const char signature_hex[] = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                                        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    uint8_t seed[ED25519_KEY_BYTES], key[ED25519_KEY_BYTES], signature[ED25519_SIGNATURE_BYTES];
    char text[2 * ED25519_SIGNATURE_BYTES + 1];
    assert_int_equal(crypto_unhex(slice_str(seed_hex), seed, sizeof seed), 0);
    assert_int_equal(crypto_ed25519_sign(seed, SLICE("\x72"), key, signature), 0);
    crypto_hex(key, sizeof key, text);
    assert_string_equal(text, key_hex);
    crypto_hex(signature, sizeof signature, text);
    assert_string_equal(text, signature_hex);
    assert_true(crypto_ed25519_verify(key, SLICE("\x72"), signature));
    assert_false(crypto_ed25519_verify(key, SLICE("\x73"), signature));
    signature[0] ^= 1;
    assert_false(crypto_ed25519_verify(key, SLICE("\x72"), signature));
}

static void only_claims_are_sealed(void **state UNUSED)
{
    static const struct {
        const char *chain;
        uint64_t seq;
        const char *hash;
        bool ok;
    } rows[] = {
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        {"20261121T080000Z-k3x9qd", 1, HASH, true},
        {"", 1, HASH, false},
        {"a\nb", 1, HASH, false},
        {"a b", 1, HASH, false},
        {"r", 0, HASH, false},
        {"r", 1, "0123", false},
        {"r", 1, "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const uint8_t seed[ED25519_KEY_BYTES] = {9};
        struct seal s = {.seq = rows[i].seq};
        snprintf(s.chain, sizeof s.chain, "%s", rows[i].chain);
        snprintf(s.hash, sizeof s.hash, "%s", rows[i].hash);
        assert_int_equal(seal_sign(seed, &s) == 0, rows[i].ok);
        assert_int_equal(seal_holds(&s), rows[i].ok);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, audit_fixture_setup, audit_fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_end_of_a_run_is_sealed),
        CASE(nothing_new_is_not_sealed_again),
        CASE(many_records_are_sealed_on_the_way),
        CASE(a_keeper_that_is_gone_stops_nothing),
        CASE(a_file_is_sealed_before_it_is_rotated),
        CASE(what_does_not_hold_is_broken),
        cmocka_unit_test(signatures_are_those_of_the_standard),
        cmocka_unit_test(only_claims_are_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
