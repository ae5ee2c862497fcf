/* tls/hello: what a client's first message says, and what is none. */
#include "tls/hello.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROOM = 64 << 10 };

static void put(struct buf *to, const char *bytes, size_t len)
{
    assert_int_equal(buf_append(to, slice_of(bytes, len)), 0);
}

static void put_number(struct buf *to, unsigned bytes, size_t n)
{
    while (bytes--) {
        char c = (char)(n >> 8 * bytes);
        put(to, &c, 1);
    }
}

static void put_vector(struct buf *to, unsigned bytes, struct slice body)
{
    put_number(to, bytes, body.len);
    put(to, body.ptr, body.len);
}

static void put_extension(struct buf *to, unsigned type, struct slice body)
{
    put_number(to, 2, type);
    put_vector(to, 2, body);
}

static void put_name(struct buf *to, struct slice name)
{
    AUTO_BUF list = BUF_INIT(ROOM), entry = BUF_INIT(ROOM);
    put_number(&entry, 1, 0);
    put_vector(&entry, 2, name);
    put_vector(&list, 2, buf_slice(&entry));
    put_extension(to, 0, buf_slice(&list));
}

/* A ClientHello message with these extensions; `extensions` with ptr NULL: none at all. */
static void put_message(struct buf *to, struct slice extensions)
{
    AUTO_BUF body = BUF_INIT(ROOM);
    char random[32] = {0};
    put_number(&body, 2, 0x0303);
    put(&body, random, sizeof random);
    put_vector(&body, 1, slice_of(random, 32));
    put_vector(&body, 2, SLICE("\x13\x01\x13\x02"));
    put_vector(&body, 1, slice_of("\0", 1));
    if (extensions.ptr)
        put_vector(&body, 2, extensions);
    put_number(to, 1, 1);
    put_vector(to, 3, buf_slice(&body));
}

/* Cut into records of at most `most` bytes. */
static void put_records(struct buf *to, struct slice message, size_t most)
{
    while (message.len) {
        struct slice piece = slice_first(message, most);
        put_number(to, 1, 22);
        put_number(to, 2, 0x0301);
        put_vector(to, 2, piece);
        message = slice_skip(message, piece.len);
    }
}

static void put_hello(struct buf *to, struct slice extensions, size_t most)
{
    AUTO_BUF message = BUF_INIT(ROOM);
    put_message(&message, extensions);
    put_records(to, buf_slice(&message), most);
}

static void a_name_is_found_however_the_message_is_cut_into_records(void **state)
{
    AUTO_BUF extensions = BUF_INIT(ROOM);
    (void)state;
    put_extension(&extensions, 0x002b, SLICE("\x02\x03\x04"));
    put_name(&extensions, SLICE("api.test"));
    for (size_t most = 1; most < 200; most += 7) {
        AUTO_BUF in = BUF_INIT(ROOM);
        struct tls_hello h;
        put_hello(&in, buf_slice(&extensions), most);
        for (size_t part = 0; part < buf_len(&in); part++)
            assert_int_equal(tls_hello_read(slice_first(buf_slice(&in), part), &h), 0);
        put(&in, "\x17\x03\x03", 3); /* early data follow */
        assert_int_equal(tls_hello_read(buf_slice(&in), &h), 1);
        assert_true(slice_eq(slice_of(h.name, h.name_len), SLICE("api.test")));
        assert_false(h.hides_name);
    }
}

static int read_with(struct slice extensions, struct tls_hello *h)
{
    AUTO_BUF in = BUF_INIT(ROOM);
    put_hello(&in, extensions, 16384);
    return tls_hello_read(buf_slice(&in), h);
}

static void a_hello_may_have_no_name_and_no_extensions(void **state)
{
    struct tls_hello h = {.name_len = 9};
    (void)state;
    assert_int_equal(read_with(slice_of(NULL, 0), &h), 1);
    assert_int_equal(h.name_len, 0);
    assert_int_equal(read_with(SLICE(""), &h), 1);
    assert_int_equal(read_with(SLICE("\0\x2b\0\0"), &h), 1);
    assert_int_equal(h.name_len, 0);
}

static void an_encrypted_hello_hides_its_name(void **state)
{
    static const unsigned hiding[] = {0xfe0d, 0xffce};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hiding); i++) {
        AUTO_BUF extensions = BUF_INIT(ROOM);
        struct tls_hello h;
        put_name(&extensions, SLICE("public.test"));
        put_extension(&extensions, hiding[i], SLICE("anything"));
        assert_int_equal(read_with(buf_slice(&extensions), &h), 1);
        assert_true(h.hides_name);
    }
}

static void what_two_readers_could_read_differently_is_refused(void **state)
{
    static const struct {
        const char *what;
        struct slice extensions;
    } rows[] = {
        {"two lists of names", SLICE("\0\0\0\x06\0\x04\0\0\x01"
                                     "a\0\0\0\x06\0\x04\0\0\x01"
                                     "b")},
        {"two names in a list", SLICE("\0\0\0\x0a\0\x08\0\0\x01"
                                      "a\0\0\x01"
                                      "b")},
        {"an empty name", SLICE("\0\0\0\x05\0\x03\0\0\0")},
        {"an empty list", SLICE("\0\0\0\x02\0\0")},
        {"a name of another type", SLICE("\0\0\0\x06\0\x04\x01\0\x01"
                                         "a")},
        {"a list that is shorter than its extension", SLICE("\0\0\0\x07\0\x04\0\0\x01"
                                                            "ab")},
        {"an extension that is longer than the rest", SLICE("\0\x2b\0\x05"
                                                            "abc")},
        {"half an extension's head", SLICE("\0\x2b\0")},
    };
    struct tls_hello h = {.name_len = 77};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (read_with(rows[i].extensions, &h) != -1)
            fail_msg("%s is taken", rows[i].what);
    assert_int_equal(h.name_len, 77);
}

static void what_is_no_hello_is_refused_with_its_first_wrong_byte(void **state)
{
    static const struct slice rows[] = {
        SLICE("S"), SLICE("\x15"), SLICE("\x17"), SLICE("\x80"), SLICE("\x16\x02"),
        SLICE("\x16\x03\x01\0\0"), SLICE("\x16\x03\x05\0\x05"), SLICE("\x16\x03\x01\x40\x01"),
        SLICE("\x16\x03\x01\0\x04\x02"), SLICE("\x16\x03\x01\x40\0\x01\0\xff\xff"),
    };
    struct tls_hello h;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(tls_hello_read(rows[i], &h), -1);
        assert_int_equal(tls_hello_read(slice_first(rows[i], rows[i].len - 1), &h), 0);
    }
}

static void a_message_behind_the_hello_is_refused(void **state)
{
    AUTO_BUF message = BUF_INIT(ROOM), in = BUF_INIT(ROOM);
    struct tls_hello h;
    (void)state;
    put_message(&message, SLICE(""));
    put(&message, "\x01", 1);
    put_records(&in, buf_slice(&message), 16384);
    assert_int_equal(tls_hello_read(buf_slice(&in), &h), -1);
}

static void a_hello_of_any_size_up_to_the_cap_is_read_and_none_above(void **state)
{
    AUTO_BUF extensions = BUF_INIT(ROOM), padding = BUF_INIT(ROOM);
    struct tls_hello h;
    (void)state;
    for (int i = 0; i < 15000; i++)
        put(&padding, "", 1);
    put_extension(&extensions, 21, buf_slice(&padding));
    put_name(&extensions, SLICE("api.test"));
    assert_int_equal(read_with(buf_slice(&extensions), &h), 1);
    put_extension(&extensions, 22, slice_first(buf_slice(&padding), 2000));
    assert_int_equal(read_with(buf_slice(&extensions), &h), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_found_however_the_message_is_cut_into_records),
        cmocka_unit_test(a_hello_may_have_no_name_and_no_extensions),
        cmocka_unit_test(an_encrypted_hello_hides_its_name),
        cmocka_unit_test(what_two_readers_could_read_differently_is_refused),
        cmocka_unit_test(what_is_no_hello_is_refused_with_its_first_wrong_byte),
        cmocka_unit_test(a_message_behind_the_hello_is_refused),
        cmocka_unit_test(a_hello_of_any_size_up_to_the_cap_is_read_and_none_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
