/* proxy/capture: what the first bytes of a connection are. */
#include "proxy/capture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    struct slice first;
    enum capture_kind expected;
} cases[] = {
    {SLICE("\x16\x03\x01\x02\x00\x01"), CAPTURE_TLS},
    {SLICE("\x16"), CAPTURE_TLS},
    {SLICE("\x15\x03\x03\x00\x02"), CAPTURE_OTHER}, /* an alert is no beginning */
    {SLICE("\x80\x2e\x01\x00\x02"), CAPTURE_OTHER}, /* SSLv2 */
    {SLICE("GET / HTTP/1.1\r\n"), CAPTURE_HTTP},
    {SLICE("GET /"), CAPTURE_HTTP},
    {SLICE("OPTIONS * HTTP/1.1"), CAPTURE_HTTP},
    {SLICE("GET http://a.test/ HTTP/1.1"), CAPTURE_HTTP},
    {SLICE("GET HTTP://a.test/ HTTP/1.1"), CAPTURE_HTTP},
    {SLICE("CONNECT a.test:443 HTTP/1.1"), CAPTURE_HTTP}, /* so that the parser can say what is wrong */
    {SLICE("VERSION-CONTROL /x HTTP/1.1"), CAPTURE_HTTP},
    {SLICE("PRI * HTTP/2.0\r\n"), CAPTURE_HTTP}, /* refused as http-version */
    {SLICE(""), CAPTURE_MORE},
    {SLICE("G"), CAPTURE_MORE},
    {SLICE("GET "), CAPTURE_MORE},
    {SLICE("GET h"), CAPTURE_MORE},
    {SLICE("GET htt"), CAPTURE_MORE},
    {SLICE("GET hit"), CAPTURE_OTHER},
    {SLICE("get / HTTP/1.1"), CAPTURE_OTHER},
    {SLICE("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), CAPTURE_OTHER},
    {SLICE("EHLO me.test\r\n"), CAPTURE_OTHER},
    {SLICE("NICK me\r\n"), CAPTURE_OTHER},
    {SLICE("QUIT\r\n"), CAPTURE_OTHER},
    {SLICE(" GET / HTTP/1.1"), CAPTURE_OTHER},
    {SLICE("\r\nGET / HTTP/1.1"), CAPTURE_OTHER},
    {SLICE("GET\t/"), CAPTURE_OTHER},
    {SLICE("\0\0\0\x08\x04\xd2\x16\x2f"), CAPTURE_OTHER}, /* PostgreSQL asks for TLS */
    {SLICE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF"), CAPTURE_MORE},
    {SLICE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"), CAPTURE_OTHER}, /* longer than a method may be */
};

static void first_bytes_tell_the_protocol(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (capture_classify(cases[i].first) != cases[i].expected)
            fail_msg("case %zu: %d", i, (int)capture_classify(cases[i].first));
}

/* Whoever sends byte by byte is taken for the same, and never for something else on the way. */
static void a_beginning_is_waited_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t len = 0; len < cases[i].first.len; len++) {
            enum capture_kind so_far = capture_classify(slice_first(cases[i].first, len));
            assert_true(so_far == CAPTURE_MORE || so_far == cases[i].expected);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_bytes_tell_the_protocol),
        cmocka_unit_test(a_beginning_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
