/* The keeper's wire format and service (tls/keeper.h), with the service in a process of its own. */
#include "tls_fixture.h"

#include "base/clock.h"
#include "tls/keeper.h"

#include <errno.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOCKETS = 3, WAIT_MS = 10000 };

struct service {
    pid_t pid;
    int fds[SOCKETS];
    struct tls_key *key;
    uint8_t spki[128];
    size_t spki_len;
    char message[KEEPER_MESSAGE_BYTES]; /* the last one received */
};

static NORETURN void be_keeper(const int *fds, unsigned per_second)
{
    AUTO(ca) *ca = NULL;
    int r = ca_new("test CA", 2, &ca, NULL) == 0 ? keeper_serve(ca, fds, SOCKETS, per_second, NULL) : -1;
    ca_free(TAKE(ca));
    _exit(r == 0 ? 0 : 1);
}

static void start(struct service *s, unsigned per_second)
{
    struct err e;
    int theirs[SOCKETS], pair[2];
    for (int i = 0; i < SOCKETS; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        s->fds[i] = pair[0];
        theirs[i] = pair[1];
    }
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        for (int i = 0; i < SOCKETS; i++)
            close(s->fds[i]);
        be_keeper(theirs, per_second);
    }
    for (int i = 0; i < SOCKETS; i++)
        close(theirs[i]);
    must(tls_key_new(&s->key, &e), &e);
    assert_int_equal(tls_key_public(s->key, s->spki, sizeof s->spki, &s->spki_len), 0);
}

/* The keeper ends by itself, well, once nobody is left. */
static void stop(struct service *s)
{
    int status;
    for (int i = 0; i < SOCKETS; i++)
        if (s->fds[i] >= 0)
            close(s->fds[i]);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    tls_key_free(s->key);
}

static struct slice receive_raw(struct service *s, int fd)
{
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, WAIT_MS), 1);
    ssize_t n = recv(fd, s->message, sizeof s->message, 0);
    assert_true(n > 0);
    return slice_of(s->message, (size_t)n);
}

static struct keeper_reply ask(struct service *s, int fd, const void *message, ssize_t len)
{
    struct keeper_reply reply;
    assert_true(len >= 0);
    assert_int_equal(send(fd, message, (size_t)len, MSG_NOSIGNAL), len);
    assert_int_equal(keeper_decode_reply(receive_raw(s, fd), &reply), 0);
    return reply;
}

static struct keeper_reply hello(struct service *s, int fd)
{
    uint8_t m[KEEPER_MESSAGE_BYTES];
    return ask(s, fd, m, keeper_encode_hello(slice_of((char *)s->spki, s->spki_len), m));
}

static struct keeper_reply sign(struct service *s, int fd, uint32_t id, const char *name)
{
    uint8_t m[KEEPER_MESSAGE_BYTES];
    return ask(s, fd, m, keeper_encode_sign(id, slice_str(name), m));
}

static void it_signs_for_those_who_said_hello(void **state)
{
    (void)state;
    struct service s;
    start(&s, 0);
    assert_int_equal(sign(&s, s.fds[0], 1, "early.test").status, KEEPER_BAD_REQUEST);
    for (int i = 0; i < SOCKETS; i++) {
        struct keeper_reply r = hello(&s, s.fds[i]);
        assert_int_equal(r.status, KEEPER_OK);
        assert_int_equal(r.id, 0);
        assert_int_equal(r.data.len, 0);
        r = sign(&s, s.fds[i], 0xdeadbeef, "a.test");
        assert_int_equal(r.status, KEEPER_OK);
        assert_int_equal(r.id, 0xdeadbeef);
        struct err e;
        AUTO(tls_cert) *cert = NULL;
        must(tls_cert_from_der(r.data, &cert, &e), &e);
        assert_in_range(tls_cert_expires(cert), fixture_now(), fixture_now() + 24 * 3600);
    }
    stop(&s);
}

static void the_certificate_is_for_the_introduced_key(void **state)
{
    (void)state;
    struct service s;
    start(&s, 0);
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    struct keeper_reply r = sign(&s, s.fds[0], 1, "a.test");
    const uint8_t *at = (const uint8_t *)r.data.ptr;
    X509 *x = d2i_X509(NULL, &at, (long)r.data.len);
    uint8_t *der = NULL;
    assert_int_equal(i2d_PUBKEY(X509_get0_pubkey(x), &der), s.spki_len);
    assert_memory_equal(der, s.spki, s.spki_len);
    OPENSSL_free(der);
    X509_free(x);
    stop(&s);
}

static void a_socket_keeps_its_first_key(void **state)
{
    (void)state;
    struct service s;
    struct err e;
    AUTO(tls_key) *other = NULL;
    uint8_t spki[128], m[KEEPER_MESSAGE_BYTES];
    size_t len;
    start(&s, 0);
    must(tls_key_new(&other, &e), &e);
    assert_int_equal(tls_key_public(other, spki, sizeof spki, &len), 0);
    struct slice second = slice_of((char *)spki, len);
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    assert_int_equal(ask(&s, s.fds[0], m, keeper_encode_hello(second, m)).status, KEEPER_BAD_REQUEST);
    assert_int_equal(ask(&s, s.fds[1], m, keeper_encode_hello(second, m)).status, KEEPER_OK);
    assert_int_equal(sign(&s, s.fds[0], 1, "a.test").status, KEEPER_OK);
    stop(&s);
}

static void the_ca_certificate_is_public(void **state)
{
    (void)state;
    struct service s;
    uint8_t m[KEEPER_MESSAGE_BYTES];
    start(&s, 0);
    struct keeper_reply r = ask(&s, s.fds[0], m, keeper_encode_ca(9, m));
    assert_int_equal(r.status, KEEPER_OK);
    assert_int_equal(r.id, 9);
    assert_true(slice_starts(r.data, SLICE("-----BEGIN CERTIFICATE-----\n")));
    assert_true(slice_ends(r.data, SLICE("-----END CERTIFICATE-----\n")));
    stop(&s);
}

static struct seal claim_of(uint64_t seq)
{
    struct seal s = {.chain = "20261121T080000Z-k3x9qd", .seq = seq};
    memset(s.hash, 'a', SHA256_HEX);
    return s;
}

static void seals_are_signed_with_the_keepers_own_time(void **state)
{
    (void)state;
    struct service s;
    uint8_t m[KEEPER_MESSAGE_BYTES];
    int64_t before = clock_wall_ms();
    start(&s, 0);
    uint8_t first[ED25519_KEY_BYTES];
    for (int i = 0; i < 2; i++) { /* each socket, without hello */
        struct seal seal = claim_of(42);
        struct keeper_reply r = ask(&s, s.fds[i], m, keeper_encode_seal(5, &seal, m));
        assert_int_equal(r.status, KEEPER_OK);
        assert_int_equal(r.id, 5);
        assert_int_equal(keeper_decode_seal(r.data, &seal), 0);
        assert_true(seal_holds(&seal));
        assert_in_range(seal.time_ms, before, clock_wall_ms());
        if (i == 0)
            memcpy(first, seal.key, sizeof first);
        assert_memory_equal(seal.key, first, sizeof first);
        seal.seq++;
        assert_false(seal_holds(&seal));
    }
    stop(&s);
}

static void seals_have_a_rate_of_their_own(void **state)
{
    (void)state;
    struct service s;
    uint8_t m[KEEPER_MESSAGE_BYTES];
    start(&s, 0);
    enum keeper_status status = KEEPER_OK;
    unsigned count = 0;
    for (; status == KEEPER_OK && count < 1000; count++) {
        const struct seal claim = claim_of(1 + count);
        status = ask(&s, s.fds[0], m, keeper_encode_seal(1, &claim, m)).status;
    }
    assert_int_equal(status, KEEPER_RATE);
    assert_in_range(count, 40, 100);
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    assert_int_equal(sign(&s, s.fds[0], 1, "a.test").status, KEEPER_OK);
    stop(&s);
}

static void no_answer_ever_holds_a_private_key(void **state)
{
    (void)state;
    struct service s;
    start(&s, 0);
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    for (int op = 0; op < 256; op++) {
        uint8_t m[9] = {(uint8_t)op, 1, 0, 1, 0, 0, 0, 5, 'x'};
        struct keeper_reply r = ask(&s, s.fds[0], m, sizeof m);
        assert_int_equal(r.status, op == KEEPER_SIGN ? KEEPER_OK : KEEPER_BAD_REQUEST);
        assert_null(memmem(r.data.ptr, r.data.len, "PRIVATE", 7));
    }
    stop(&s);
}

#define RAW(text, about)                                                                                     \
    {                                                                                                        \
        text, sizeof(text) - 1, about                                                                        \
    }

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
    const char *bytes;
    size_t len;
    const char *about;
} malformed[] = {
    RAW("\x02", "one byte"),
    RAW("\x02\x01\x00\x00\x00\x00\x00", "seven bytes"),
    RAW("\x02\x01\x00\x00\x00\x00\x00\x01", "sign without a name"),
    RAW("\x02\x02\x00\x01\x00\x00\x00\x01x", "another version"),
    RAW("\x02\x00\x00\x01\x00\x00\x00\x01x", "version zero"),
    RAW("\x00\x01\x00\x01\x00\x00\x00\x01x", "operation zero"),
    RAW("\x05\x01\x00\x01\x00\x00\x00\x01x", "an operation too many"),
    RAW("\x04\x01\x00\x00\x00\x00\x00\x01", "a seal of nothing"),
    RAW("\x04\x01\x00\x01\x00\x00\x00\x01x", "a seal of one byte"),
    RAW("\x04\x01\x00\x49\x00\x00\x00\x01\0\0\0\0\0\0\0\0" HASH "r", "a seal of record zero"),
    RAW("\x04\x01\x00\x48\x00\x00\x00\x01\0\0\0\0\0\0\0\1" HASH, "a seal of no chain"),
    RAW("\x04\x01\x00\x49\x00\x00\x00\x01\0\0\0\0\0\0\0\1" HASH "\n", "a newline in the chain"),
    RAW("\x04\x01\x00\x4a\x00\x00\x00\x01\0\0\0\0\0\0\0\1" HASH "r\0", "a NUL in the chain"),
    RAW("\xff\x01\x00\x01\x00\x00\x00\x01x", "the last operation"),
    RAW("\x02\x01\x00\x02\x00\x00\x00\x01x", "less data than said"),
    RAW("\x02\x01\x00\x01\x00\x00\x00\x01xy", "more data than said"),
    RAW("\x02\x01\xff\xff\x00\x00\x00\x01x", "a length of 65535"),
    RAW("\x03\x01\x00\x01\x00\x00\x00\x01x", "a CA question with data"),
    RAW("\x01\x01\x00\x00\x00\x00\x00\x00", "hello without a key"),
    RAW("\x01\x01\x00\x01\x00\x00\x00\x01x", "hello with a number"),
    RAW("\x01\x01\x00\x03\x00\x00\x00\x00key", "hello with junk"),
    RAW("\x02\x01\x00\x06\x00\x00\x00\x01*.test", "a wildcard"),
    RAW("\x02\x01\x00\x05\x00\x00\x00\x01"
        "a\0b.c",
        "a NUL in the name"),
    RAW("\x02\x01\x00\x06\x00\x00\x00\x01"
        "A.test",
        "upper case"),
};

static void malformed_messages_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct service s;
    start(&s, 0);
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        if (ask(&s, s.fds[1], malformed[i].bytes, (ssize_t)malformed[i].len).status != KEEPER_BAD_REQUEST)
            fail_msg("before hello: %s", malformed[i].about);
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        if (ask(&s, s.fds[0], malformed[i].bytes, (ssize_t)malformed[i].len).status != KEEPER_BAD_REQUEST)
            fail_msg("after hello: %s", malformed[i].about);
    assert_int_equal(sign(&s, s.fds[0], 1, "still.test").status, KEEPER_OK);
    stop(&s);
}

static void a_message_longer_than_any_is_refused(void **state)
{
    (void)state;
    struct service s;
    static uint8_t m[3 * KEEPER_MESSAGE_BYTES] = {KEEPER_SIGN, 1};
    start(&s, 0);
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    m[2] = (KEEPER_MESSAGE_BYTES - 8) >> 8; /* right for what fits into the keeper's buffer */
    m[3] = (KEEPER_MESSAGE_BYTES - 8) & 0xff;
    memset(m + 8, 'a', sizeof m - 8);
    assert_int_equal(ask(&s, s.fds[0], m, sizeof m).status, KEEPER_BAD_REQUEST);
    assert_int_equal(sign(&s, s.fds[0], 1, "still.test").status, KEEPER_OK);
    stop(&s);
}

static void the_rate_is_limited_after_a_burst(void **state)
{
    (void)state;
    struct service s;
    start(&s, 2); /* a burst of 20, then one each half second */
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    int64_t begin = clock_mono_ns();
    int64_t allowed = 0;
    for (uint32_t i = 0; i < 60; i++) {
        struct keeper_reply r = sign(&s, s.fds[0], i, "a.test");
        assert_int_equal(r.id, i);
        assert_true(r.status == KEEPER_OK || r.status == KEEPER_RATE);
        allowed += r.status == KEEPER_OK;
    }
    assert_in_range(allowed, 20, 21 + (clock_mono_ns() - begin) / 500000000);
    stop(&s);
}

static void malformed_questions_cost_no_signature(void **state)
{
    (void)state;
    struct service s;
    start(&s, 1); /* a burst of ten */
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    for (int i = 0; i < 30; i++)
        assert_int_equal(sign(&s, s.fds[0], 1, "*.test").status, KEEPER_BAD_REQUEST);
    for (int i = 0; i < 10; i++)
        assert_int_equal(sign(&s, s.fds[0], 1, "a.test").status, KEEPER_OK);
    stop(&s);
}

/* It asks without end and never reads; the others are served all the same. */
static void a_peer_that_does_not_read_delays_nobody(void **state)
{
    (void)state;
    struct service s;
    uint8_t m[KEEPER_MESSAGE_BYTES];
    start(&s, 0);
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    assert_int_equal(hello(&s, s.fds[1]).status, KEEPER_OK);
    ssize_t len = keeper_encode_sign(1, SLICE("deaf.test"), m);
    int sent = 0;
    for (int quiet = 0; quiet < 3;) {
        if (send(s.fds[1], m, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            assert_int_equal(errno, EAGAIN);
            quiet++;
            /* whatever the keeper took of it, it has answered this before it looks at more */
            assert_int_equal(sign(&s, s.fds[0], 2, "good.test").status, KEEPER_OK);
        } else {
            sent++;
        }
    }
    for (int i = 0; i < sent; i++) { /* and every question has its answer */
        struct keeper_reply r;
        assert_int_equal(keeper_decode_reply(receive_raw(&s, s.fds[1]), &r), 0);
        assert_int_equal(r.status, KEEPER_OK);
    }
    stop(&s);
}

static void a_peer_that_goes_takes_nobody_along(void **state)
{
    (void)state;
    struct service s;
    uint8_t m[KEEPER_MESSAGE_BYTES];
    start(&s, 0);
    assert_int_equal(hello(&s, s.fds[0]).status, KEEPER_OK);
    assert_int_equal(hello(&s, s.fds[1]).status, KEEPER_OK);
    ssize_t len = keeper_encode_sign(1, SLICE("a.test"), m);
    assert_int_equal(send(s.fds[1], m, (size_t)len, 0), len);
    close(s.fds[1]); /* with a question on its way */
    close(s.fds[2]);
    s.fds[1] = s.fds[2] = -1;
    assert_int_equal(sign(&s, s.fds[0], 1, "a.test").status, KEEPER_OK);
    stop(&s);
}

static void encoders_refuse_what_does_not_fit(void **state)
{
    (void)state;
    uint8_t m[KEEPER_MESSAGE_BYTES];
    static char long_data[KEEPER_MESSAGE_BYTES];
    assert_int_equal(keeper_encode_sign(1, slice_of(long_data, sizeof long_data - 7), m), -1);
    assert_int_equal(keeper_encode_sign(1, slice_of(long_data, sizeof long_data - 8), m), sizeof m);
}

static void broken_replies_are_not_decoded(void **state)
{
    (void)state;
    static const struct slice broken[] = {
        SLICE(""),
        SLICE("\0\1\0\0\0\0\0"),
        SLICE("\0\2\0\0\0\0\0\0"),
        SLICE("\4\1\0\0\0\0\0\0"),
        SLICE("\0\1\0\1\0\0\0\0"),
        SLICE("\0\1\0\0\0\0\0\0x"),
    };
    struct keeper_reply reply = {.id = 77};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        assert_int_equal(keeper_decode_reply(broken[i], &reply), -1);
    assert_int_equal(reply.id, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_signs_for_those_who_said_hello),
        cmocka_unit_test(the_certificate_is_for_the_introduced_key),
        cmocka_unit_test(a_socket_keeps_its_first_key),
        cmocka_unit_test(the_ca_certificate_is_public),
        cmocka_unit_test(seals_are_signed_with_the_keepers_own_time),
        cmocka_unit_test(seals_have_a_rate_of_their_own),
        cmocka_unit_test(no_answer_ever_holds_a_private_key),
        cmocka_unit_test(malformed_messages_are_refused_and_change_nothing),
        cmocka_unit_test(a_message_longer_than_any_is_refused),
        cmocka_unit_test(the_rate_is_limited_after_a_burst),
        cmocka_unit_test(malformed_questions_cost_no_signature),
        cmocka_unit_test(a_peer_that_does_not_read_delays_nobody),
        cmocka_unit_test(a_peer_that_goes_takes_nobody_along),
        cmocka_unit_test(encoders_refuse_what_does_not_fit),
        cmocka_unit_test(broken_replies_are_not_decoded),
    };
    return cmocka_run_group_tests_name("tls_keeper", tests, NULL, NULL);
}
