/* proxy/dns_wire and dns_names: what a jail's name server reads, writes and remembers. */
#include "proxy/dns_names.h"
#include "proxy/dns_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HEADER     "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define HEADER_OPT "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
#define A_IN       "\x00\x01\x00\x01"
#define NAME                                                                                                 \
    "\x03"                                                                                                   \
    "api\x04"                                                                                                \
    "TeSt\x00"
#define OPT(size, version) "\x00\x00\x29" size "\x00" version "\x00\x00\x00\x00"
enum { DROPPED = -1 };

static const struct {
    const char *what;
    struct slice message;
    int expected;
} messages[] = {
    {"a question", SLICE(HEADER NAME A_IN), 0},
    {"with EDNS", SLICE(HEADER_OPT NAME A_IN OPT("\x10\x00", "\x00")), 0},
    {"another version of EDNS", SLICE(HEADER_OPT NAME A_IN OPT("\x10\x00", "\x01")), DNS_BADVERS},
    {"a record that is no OPT", SLICE(HEADER_OPT NAME A_IN "\x00\x00\x10\x00\x01\x00\x00\x00\x00\x00\x00"),
     DNS_FORMERR},
    {"an OPT that is cut", SLICE(HEADER_OPT NAME A_IN "\x00\x00\x29\x10\x00"), DNS_FORMERR},
    {"nothing", SLICE(""), DROPPED},
    {"half a header", SLICE("\x12\x34\x01\x00\x00"), DROPPED},
    {"a response", SLICE("\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" NAME A_IN), DROPPED},
    {"a notification", SLICE("\x12\x34\x20\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME A_IN), DNS_NOTIMP},
    {"no question", SLICE("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), DNS_FORMERR},
    {"two questions", SLICE("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" NAME A_IN NAME A_IN),
     DNS_FORMERR},
    {"an answer in it", SLICE("\x12\x34\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00" NAME A_IN), DNS_FORMERR},
    {"a name without its end",
     SLICE(HEADER "\x03"
                  "api"),
     DNS_FORMERR},
    {"a pointer", SLICE(HEADER "\xc0\x0c" A_IN), DNS_FORMERR},
    {"a label longer than the message",
     SLICE(HEADER "\x3f"
                  "api\x00" A_IN),
     DNS_FORMERR},
    {"no class", SLICE(HEADER NAME "\x00\x01"), DNS_FORMERR},
    {"something behind the end", SLICE(HEADER NAME A_IN "x"), DNS_FORMERR},
    {"another class", SLICE(HEADER NAME "\x00\x10\x00\x03"), DNS_REFUSED},
};

static void messages_are_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        struct dns_query q;
        int got = dns_parse(messages[i].message, &q);
        if (got != messages[i].expected)
            fail_msg("%s: %d, expected %d", messages[i].what, got, messages[i].expected);
    }
}

static void names_are_lower_case_text(void **state)
{
    (void)state;
    struct dns_query q;
    assert_int_equal(dns_parse(messages[0].message, &q), 0);
    assert_true(q.host);
    assert_string_equal(q.name, "api.test");
    assert_int_equal(q.type, DNS_A);
    assert_int_equal(q.udp_size, DNS_UDP_BYTES);
    assert_int_equal(dns_parse(messages[1].message, &q), 0);
    assert_int_equal(q.udp_size, 4096);
}

/* A dot or a space inside a label would make two names of one text. */
static void what_no_host_is_called_has_no_text(void **state)
{
    static const struct slice odd[] = {SLICE(HEADER "\x08"
                                                    "api.test\x00" A_IN),
                                       SLICE(HEADER "\x03"
                                                    "a b\x00" A_IN),
                                       SLICE(HEADER "\x03"
                                                    "a\x00"
                                                    "b\x00" A_IN),
                                       SLICE(HEADER "\x02\xc3\xa9\x00" A_IN)};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct dns_query q;
        assert_int_equal(dns_parse(odd[i], &q), 0);
        assert_false(q.host);
        assert_int_equal(q.name_len, 0);
    }
}

static size_t respond(struct slice message, struct dns_answer *a, size_t limit, uint8_t *out, size_t size)
{
    struct dns_query q;
    assert_int_equal(dns_parse(message, &q), 0);
    return dns_write(message, &q, a, limit, out, size);
}

static void an_answer_repeats_the_question_as_it_was_asked(void **state)
{
    static const char expected[] = "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" NAME A_IN
                                   "\xc0\x0c" A_IN "\x00\x00\x01\x2c\x00\x04\xc6\x12\x00\x01";
    struct dns_answer a = {.type = DNS_A, .ttl = 300, .len = 4, .data = {198, 18, 0, 1}};
    uint8_t out[DNS_MESSAGE_BYTES];
    (void)state;
    size_t n = respond(messages[0].message, &a, DNS_UDP_BYTES, out, sizeof out);
    assert_int_equal(n, sizeof expected - 1);
    assert_memory_equal(out, expected, n);
}

static void what_is_too_long_is_cut_and_says_so(void **state)
{
    struct dns_answer a = {.type = DNS_PTR};
    uint8_t out[DNS_MESSAGE_BYTES];
    (void)state;
    dns_answer_name(&a, SLICE("a-name-that-is-not-very-short.example.test"));
    size_t n = respond(messages[0].message, &a, 40, out, sizeof out);
    assert_int_equal(n, messages[0].message.len);
    assert_true(out[2] & 2);
    assert_int_equal(out[7], 0);
    assert_int_equal(respond(messages[0].message, &a, 20, out, sizeof out), 0);
}

static const struct {
    const char *name;
    unsigned len;
    uint8_t address[4];
} reverses[] = {
    {"4.3.2.1.in-addr.arpa", 4, {1, 2, 3, 4}},
    {"256.3.2.1.in-addr.arpa", 0, {0}},
    {"3.2.1.in-addr.arpa", 0, {0}},
    {"5.4.3.2.1.in-addr.arpa", 0, {0}},
    {"in-addr.arpa", 0, {0}},
    {".in-addr.arpa", 0, {0}},
    {"1.0.ip6.arpa", 0, {0}},
    {"x.in-addr.arpa", 0, {0}},
};

static void reverse_names_are_addresses(void **state)
{
    uint8_t address[16];
    char name[80] = "";
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(reverses); i++) {
        assert_int_equal(dns_reverse(slice_str(reverses[i].name), address), reverses[i].len);
        assert_memory_equal(address, reverses[i].address, reverses[i].len);
    }
    for (size_t i = 0; i < 32; i++)
        snprintf(name + 2 * i, sizeof name - 2 * i, "%c.", "0123456789abcdef"[i % 16]);
    snprintf(name + 64, sizeof name - 64, "ip6.arpa");
    assert_int_equal(dns_reverse(slice_str(name), address), 16);
    assert_int_equal(address[0], 0xfe);
    assert_int_equal(address[15], 0x10);
}

static void a_name_keeps_its_address(void **state)
{
    AUTO(dns_names) *names = dns_names_new();
    uint32_t a, b, again;
    bool fresh;
    (void)state;
    assert_int_equal(dns_names_number(names, SLICE("a.test"), &a, &fresh), 0);
    assert_true(fresh);
    assert_int_equal(dns_names_number(names, SLICE("b.test"), &b, &fresh), 0);
    assert_int_equal(dns_names_number(names, SLICE("a.test"), &again, &fresh), 0);
    assert_false(fresh);
    assert_int_equal(a, again);
    assert_int_not_equal(a, b);
}

static struct fetch_address address_of(const char *text)
{
    struct fetch_address a;
    assert_int_equal(fetch_address_parse(slice_str(text), 443, &a), 0);
    return a;
}

static void an_address_leads_back_to_its_name_only(void **state)
{
    AUTO(dns_names) *names = dns_names_new();
    static const char *const others[] = {"198.18.0.0", "198.18.0.2",    "198.17.0.1", "0.0.0.1",
                                         "2001:2::2",  "2001:2::1:0:1", "2001:3::1",  "::1"};
    char name[CAP_HOST_BYTES + 1];
    uint32_t number;
    bool fresh;
    (void)state;
    assert_int_equal(dns_names_number(names, SLICE("a.test"), &number, &fresh), 0);
    struct fetch_address v4 = address_of("198.18.0.1"), v6 = address_of("2001:2::1");
    assert_int_equal(dns_names_of(names, &v4, name), 6);
    assert_string_equal(name, "a.test");
    assert_int_equal(dns_names_of(names, &v6, name), 6);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct fetch_address a = address_of(others[i]);
        assert_int_equal(dns_names_of(names, &a, name), 0);
    }
}

static void at_the_limit_known_names_keep_working(void **state)
{
    AUTO(dns_names) *names = dns_names_new();
    char name[32];
    uint32_t first, number = 0;
    bool fresh;
    (void)state;
    assert_int_equal(dns_names_number(names, SLICE("first.test"), &first, &fresh), 0);
    for (unsigned i = 1; i < CAP_JAIL_NAMES; i++) {
        snprintf(name, sizeof name, "n%u.test", i);
        assert_int_equal(dns_names_number(names, slice_str(name), &number, &fresh), 0);
    }
    assert_int_equal(number, CAP_JAIL_NAMES);
    assert_int_equal(dns_names_number(names, SLICE("one-more.test"), &number, &fresh), -1);
    assert_int_equal(dns_names_number(names, SLICE("first.test"), &number, &fresh), 0);
    assert_int_equal(number, first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read_or_refused),
        cmocka_unit_test(names_are_lower_case_text),
        cmocka_unit_test(what_no_host_is_called_has_no_text),
        cmocka_unit_test(an_answer_repeats_the_question_as_it_was_asked),
        cmocka_unit_test(what_is_too_long_is_cut_and_says_so),
        cmocka_unit_test(reverse_names_are_addresses),
        cmocka_unit_test(a_name_keeps_its_address),
        cmocka_unit_test(an_address_leads_back_to_its_name_only),
        cmocka_unit_test(at_the_limit_known_names_keep_working),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
