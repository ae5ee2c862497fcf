/* fetch/guard: tests/cases/guard/addresses and listeners are the cases. */
#include "base/clock.h"
#include "base/io.h"
#include "fetch/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FILE_BYTES = 1 << 16, OWN_MAX = 8 };

static struct fetch_address own[OWN_MAX];
static struct guard_local local = {.at = own};

static void read_case_file(const char *name, struct buf *ret)
{
    const char *top = getenv("EXEAT_TOP_SRCDIR");
    char path[4096];
    struct err e;

    snprintf(path, sizeof path, "%s/tests/cases/guard/%s", top ? top : ".", name);
    if (io_read_file(path, ret, &e) < 0)
        fail_msg("%s", e.text);
}

/* The next line without its comment; empty ones are skipped. */
static bool next_line(struct slice *rest, struct slice *ret_line)
{
    struct slice line;

    while (slice_next(rest, '\n', &line)) {
        ptrdiff_t comment = slice_find(line, '#');
        *ret_line = slice_trim(comment < 0 ? line : slice_first(line, (size_t)comment));
        if (ret_line->len)
            return true;
    }
    return false;
}

static struct slice next_word(struct slice *line)
{
    ptrdiff_t space = slice_find(*line, ' ');
    struct slice word = space < 0 ? *line : slice_first(*line, (size_t)space);

    *line = slice_trim(slice_skip(*line, word.len));
    return word;
}

static struct fetch_address address(struct slice text)
{
    struct fetch_address a;

    if (fetch_address_parse(text, 443, &a) < 0)
        fail_msg("not an address: %.*s", SLICE_FMT(text));
    return a;
}

static void each_address_is_judged_as_its_row_says(void **state)
{
    AUTO_BUF file = BUF_INIT(FILE_BYTES);
    unsigned rows = 0;

    (void)state;
    read_case_file("addresses", &file);
    struct slice rest = buf_slice(&file), line;
    while (next_line(&rest, &line)) {
        struct slice first = next_word(&line);
        if (slice_eq(first, SLICE("own"))) {
            assert_true(local.count < OWN_MAX);
            own[local.count++] = address(line);
            continue;
        }
        struct fetch_address a = address(first);
        const char *label = guard_forbids(&a, &local);
        if (!slice_eq(slice_str(label ? label : "-"), line))
            fail_msg("%.*s: \"%s\", and the row says \"%.*s\"", SLICE_FMT(first), label ? label : "-",
                     SLICE_FMT(line));
        rows++;
    }
    assert_true(rows >= 120);
}

/* "1.2.3.4:80", "[::1]:80" */
static struct fetch_address endpoint(struct slice text)
{
    size_t colon = text.len;
    uint64_t port;

    while (colon && text.ptr[colon - 1] != ':')
        colon--;
    assert_true(colon > 0);
    assert_int_equal(slice_to_u64(slice_skip(text, colon), 65535, &port), 0);
    struct slice host = slice_first(text, colon - 1);
    if (host.ptr[0] == '[')
        host = slice_of(host.ptr + 1, host.len - 2);
    struct fetch_address a = address(host);
    a.port = (uint16_t)port;
    return a;
}

static void a_listener_is_recognised_in_every_guise(void **state)
{
    AUTO_BUF file = BUF_INIT(FILE_BYTES);
    unsigned rows = 0;

    (void)state;
    read_case_file("listeners", &file);
    struct slice rest = buf_slice(&file), line;
    while (next_line(&rest, &line)) {
        struct slice first = next_word(&line), second = next_word(&line);
        struct fetch_address listener = endpoint(first), to = endpoint(second);
        bool expected = slice_eq(line, SLICE("yes"));
        if (guard_is_listener(&to, &listener, 1, &local) != expected)
            fail_msg("listener %.*s, dialled %.*s: not \"%.*s\"", SLICE_FMT(first), SLICE_FMT(second),
                     SLICE_FMT(line));
        rows++;
    }
    assert_true(rows >= 20);
}

static void nothing_is_a_listener_where_there_is_none(void **state)
{
    struct fetch_address to = endpoint(SLICE("127.0.0.1:3128"));

    (void)state;
    assert_false(guard_is_listener(&to, NULL, 0, NULL));
}

static void this_machines_addresses_are_read_and_hold_loopback(void **state)
{
    struct guard_local mine = {0};
    struct fetch_address loopback = address(SLICE("127.0.0.1"));
    struct err e;
    bool found = false;

    (void)state;
    int64_t now = clock_mono_ns();
    assert_int_equal(guard_local_read(&mine, now, &e), 0);
    for (size_t i = 0; i < mine.count; i++)
        found |= fetch_address_same_host(&mine.at[i], &loopback);
    assert_true(found);
    assert_int_equal(mine.read_at, now);
    guard_local_refresh(&mine, now + GUARD_LOCAL_NS);
    assert_int_equal(mine.read_at, now);
    guard_local_refresh(&mine, now + GUARD_LOCAL_NS + 1);
    assert_int_equal(mine.read_at, now + GUARD_LOCAL_NS + 1);
    guard_local_free(&mine);
}

static void addresses_survive_the_way_through_a_sockaddr(void **state)
{
    static const char *const texts[] = {"192.0.2.1:80", "[2001:db8::1]:8443"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fetch_address a = endpoint(slice_str(texts[i])), b;
        struct sockaddr_storage sa;
        socklen_t len = fetch_address_to_sockaddr(&a, &sa);
        assert_int_equal(fetch_address_from_sockaddr((struct sockaddr *)&sa, len, &b), 0);
        assert_true(fetch_address_same_host(&a, &b));
        assert_int_equal(a.port, b.port);
        assert_int_equal(fetch_address_from_sockaddr((struct sockaddr *)&sa, len - 1, &b), -1);
    }
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct fetch_address ret;
    assert_int_equal(fetch_address_from_sockaddr(&other, sizeof other, &ret), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_is_judged_as_its_row_says),
        cmocka_unit_test(a_listener_is_recognised_in_every_guise),
        cmocka_unit_test(nothing_is_a_listener_where_there_is_none),
        cmocka_unit_test(this_machines_addresses_are_read_and_hold_loopback),
        cmocka_unit_test(addresses_survive_the_way_through_a_sockaddr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
