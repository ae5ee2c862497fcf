/* HTTP/1.1 heads, bodies and writing. */
#include "http/h1.h"
#include "http/trailers.h"

#include "http_cases.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { HEAD_MAX = 8192, BIG = 1 << 20 };

static void put_framing(struct buf *out, enum h1_framing framing, uint64_t length)
{
    static const char *const names[] = {
        [H1_BODY_NONE] = "none",
        [H1_BODY_LENGTH] = "length",
        [H1_BODY_CHUNKED] = "chunked",
        [H1_BODY_CLOSE] = "close",
    };
    http_case_printf(out, " %s", names[framing]);
    if (framing == H1_BODY_LENGTH)
        http_case_printf(out, ":%" PRIu64, length);
    else
        assert_int_equal(length, 0);
}

static void put_fields(struct buf *out, const struct http_headers *h)
{
    for (unsigned i = 0; i < h->count; i++) {
        http_case_printf(out, h->at[i].drop ? " [" : " ");
        http_case_put(out, h->at[i].name);
        http_case_printf(out, h->at[i].drop ? "]=" : "=");
        http_case_put(out, h->at[i].value);
    }
}

static void put_outcome(struct buf *out, int got, const struct http_problem *problem)
{
    if (got < 0)
        assert_non_null(problem->detail);
    http_case_printf(out, "%s", got < 0 ? http_case_fault(problem->fault) : got == 0 ? "more" : "ok");
}

static void put_request(struct buf *out, const struct h1_request *r)
{
    static const char *const forms[] = {
        [H1_FORM_ORIGIN] = "origin",
        [H1_FORM_ABSOLUTE] = "absolute",
        [H1_FORM_AUTHORITY] = "authority",
        [H1_FORM_ASTERISK] = "asterisk",
    };
    http_case_printf(out, " ");
    http_case_put(out, r->method);
    http_case_printf(out, " ");
    http_case_put(out, r->target);
    http_case_printf(out, " %s 1.%u", forms[r->form], r->minor);
    put_framing(out, r->framing, r->length);
    http_case_printf(out, "%s%s%s", r->keep_alive ? " keep-alive" : "", r->expect_continue ? " expect" : "",
                     r->upgrade ? " upgrade" : "");
    put_fields(out, &r->headers);
}

/* A part of a head is never a head; what refuses it may come early, but only for a head that is refused. */
static void assert_request_parts(struct slice input, int got, size_t consumed)
{
    struct h1_request r;
    struct http_problem problem;
    size_t n, end = got > 0 ? consumed : input.len;

    for (size_t len = 0; len < end; len += 1 + len / 64) {
        int part = h1_parse_request(slice_first(input, len), HEAD_MAX, &r, &n, &problem);
        assert_true(part == 0 || (part < 0 && got < 0));
    }
}

static void run_request(struct slice input, struct buf *out)
{
    struct h1_request r;
    struct http_problem problem = {0};
    size_t consumed = 0;
    int got = h1_parse_request(input, HEAD_MAX, &r, &consumed, &problem);

    put_outcome(out, got, &problem);
    if (got > 0)
        put_request(out, &r);
    else
        assert_int_equal(consumed, 0);
    assert_request_parts(input, got, consumed);
}

static void requests_are_read_strictly(void **state)
{
    (void)state;
    http_cases_check("requests.txt", 150, run_request);
}

static void assert_response_parts(struct slice input, struct slice method, int got, size_t consumed)
{
    struct h1_response r;
    struct http_problem problem;
    size_t n, end = got > 0 ? consumed : input.len;

    for (size_t len = 0; len < end; len += 1 + len / 64) {
        int part = h1_parse_response(slice_first(input, len), HEAD_MAX, method, &r, &n, &problem);
        assert_true(part == 0 || (part < 0 && got < 0));
    }
}

static void run_response(struct slice line, struct buf *out)
{
    struct h1_response r;
    struct http_problem problem = {0};
    struct slice input = line, method;
    size_t consumed = 0;

    assert_true(slice_next(&input, ' ', &method) && input.ptr);
    int got = h1_parse_response(input, HEAD_MAX, method, &r, &consumed, &problem);
    put_outcome(out, got, &problem);
    if (got > 0) {
        http_case_printf(out, " %u 1.%u (", r.status, r.minor);
        http_case_put(out, r.reason_phrase);
        http_case_printf(out, ")");
        put_framing(out, r.framing, r.length);
        http_case_printf(out, r.keep_alive ? " keep-alive" : "");
        put_fields(out, &r.headers);
    }
    assert_response_parts(input, method, got, consumed);
}

static void responses_are_read_strictly(void **state)
{
    (void)state;
    http_cases_check("responses.txt", 65, run_response);
}

/* Feeds all of `in` and appends the payload; -1 when it is refused.  ret_used: bytes of `in` taken. */
static int feed(struct h1_body *b, struct slice in, struct buf *payload, size_t *ret_used,
                struct http_problem *problem)
{
    size_t used = 0, n;
    do {
        struct slice data;
        if (h1_body_read(b, slice_skip(in, used), &data, &n, problem) < 0)
            return -1;
        assert_true(n <= in.len - used && data.len <= n);
        assert_int_equal(buf_append(payload, data), 0);
        used += n;
    } while (n > 0);
    assert_true(used == in.len || h1_body_done(b));
    *ret_used = used;
    return 0;
}

/* What is sent on of the trailers. */
static void put_trailers(struct buf *out, struct slice section)
{
    AUTO_BUF written = BUF_INIT(BIG);
    assert_int_equal(http_trailers_write(section, &written, NULL), 0);
    assert_true(slice_starts(buf_slice(&written), SLICE("0\r\n")));
    if (buf_len(&written) == 5)
        return;
    http_case_printf(out, " | ");
    http_case_put(out, slice_skip(buf_slice(&written), 3));
}

static void read_in_pieces(struct slice input, size_t cut, bool response, struct buf *out)
{
    AUTO_BUF payload = BUF_INIT(BIG), trailers = BUF_INIT(BIG);
    struct h1_body b;
    struct http_problem problem = {0};
    size_t used = 0, more = 0;

    h1_body_init(&b, H1_BODY_CHUNKED, 0);
    b.lenient = response;
    b.trailers = response ? &trailers : NULL;
    int got = feed(&b, slice_first(input, cut), &payload, &used, &problem);
    if (got == 0 && used == cut)
        got = feed(&b, slice_skip(input, cut), &payload, &more, &problem);
    put_outcome(out, got < 0 ? -1 : h1_body_done(&b), &problem);
    if (got < 0)
        return;
    assert_int_equal(b.total, buf_len(&payload));
    assert_int_equal(h1_body_eof(&b), h1_body_done(&b) ? 0 : -1);
    if (buf_len(&payload) > 0)
        http_case_printf(out, " ");
    http_case_put(out, buf_slice(&payload));
    if (h1_body_done(&b))
        assert_int_not_equal(buf_len(&trailers), 2); /* an empty line alone: there are none */
    if (response && h1_body_done(&b))
        put_trailers(out, buf_slice(&trailers));
    struct slice rest = slice_skip(input, used + more);
    if (rest.len > 0) {
        http_case_printf(out, " [");
        http_case_put(out, rest);
        http_case_printf(out, "]");
    }
}

static void read_wherever_cut(struct slice input, bool response, struct buf *out)
{
    read_in_pieces(input, input.len, response, out);
    for (size_t cut = 0; cut < input.len; cut += 1 + cut / 64) {
        AUTO_BUF split = BUF_INIT(BIG);
        read_in_pieces(input, cut, response, &split);
        assert_true(slice_eq(buf_slice(&split), buf_slice(out)));
    }
}

static void run_chunked(struct slice input, struct buf *out)
{
    read_wherever_cut(input, false, out);
}

static void run_chunked_response(struct slice input, struct buf *out)
{
    read_wherever_cut(input, true, out);
}

static void chunked_responses_keep_their_trailers_and_may_have_spaces_behind_sizes(void **state)
{
    (void)state;
    http_cases_check("chunked-responses.txt", 45, run_chunked_response);
}

static void chunked_bodies_read_the_same_wherever_they_are_cut(void **state)
{
    (void)state;
    http_cases_check("chunked.txt", 65, run_chunked);
}

static void a_length_body_takes_its_length_and_no_more(void **state)
{
    (void)state;
    struct h1_body b;
    struct slice data;
    size_t n;

    h1_body_init(&b, H1_BODY_LENGTH, 5);
    assert_false(h1_body_done(&b));
    assert_int_equal(h1_body_read(&b, SLICE("hel"), &data, &n, NULL), 0);
    assert_true(n == 3 && slice_eq(data, SLICE("hel")));
    assert_int_equal(h1_body_eof(&b), -1);
    assert_int_equal(h1_body_read(&b, SLICE("loGET"), &data, &n, NULL), 0);
    assert_true(n == 2 && slice_eq(data, SLICE("lo")));
    assert_true(h1_body_done(&b));
    assert_int_equal(h1_body_eof(&b), 0);
    assert_int_equal(h1_body_read(&b, SLICE("GET"), &data, &n, NULL), 0);
    assert_true(n == 0 && data.len == 0 && b.total == 5);
}

static void a_body_until_close_ends_with_the_connection_only(void **state)
{
    (void)state;
    struct h1_body b;
    struct slice data;
    size_t n;

    h1_body_init(&b, H1_BODY_CLOSE, 0);
    assert_int_equal(h1_body_read(&b, SLICE("hello"), &data, &n, NULL), 0);
    assert_true(n == 5 && data.len == 5 && b.total == 5);
    assert_false(h1_body_done(&b));
    assert_int_equal(h1_body_eof(&b), 0);
}

static void no_body_takes_nothing(void **state)
{
    (void)state;
    struct h1_body b;
    struct slice data;
    size_t n;

    h1_body_init(&b, H1_BODY_NONE, 7);
    assert_true(h1_body_done(&b));
    assert_int_equal(h1_body_read(&b, SLICE("GET"), &data, &n, NULL), 0);
    assert_true(n == 0 && data.len == 0);
}

static void a_head_of_exactly_the_limit_is_taken(void **state)
{
    (void)state;
    struct slice head = SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct h1_request r;
    struct http_problem problem;
    size_t n;

    assert_int_equal(h1_parse_request(head, head.len, &r, &n, &problem), 1);
    assert_int_equal(h1_parse_request(head, head.len - 1, &r, &n, &problem), -1);
    assert_int_equal(problem.fault, HTTP_HEAD_TOO_LARGE);
}

static void an_empty_line_before_a_request_counts_as_consumed(void **state)
{
    (void)state;
    struct slice in = SLICE("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nrest");
    struct h1_request r;
    size_t n;

    assert_int_equal(h1_parse_request(in, HEAD_MAX, &r, &n, NULL), 1);
    assert_true(slice_eq(slice_skip(in, n), SLICE("rest")));
}

static void a_refused_head_leaves_the_outputs_alone(void **state)
{
    (void)state;
    struct h1_request r, before;
    size_t n = 99;

    memset(&r, 0xa5, sizeof r);
    before = r;
    assert_int_equal(h1_parse_request(SLICE("GET / HTTP/1.1\r\nA: b\r\n\r\n"), HEAD_MAX, &r, &n, NULL), -1);
    assert_int_equal(h1_parse_request(SLICE("GET / HTTP/1.1\r\nHost: b\r\n"), HEAD_MAX, &r, &n, NULL), 0);
    assert_memory_equal(&r, &before, sizeof r);
    assert_int_equal(n, 99);
}

static void every_known_name_is_found_in_any_case(void **state)
{
    (void)state;
    static const struct {
        struct slice name;
        enum http_header_id id;
    } rows[] = {
#define HEADER(id, name, flags) {{name, sizeof(name) - 1}, HTTP_H_##id},
#include "http/headers.def"
#undef HEADER
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char upper[64];
        assert_int_equal(http_header_id_of(rows[i].name), rows[i].id);
        for (size_t k = 0; k < rows[i].name.len; k++) {
            char c = rows[i].name.ptr[k];
            upper[k] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        }
        assert_int_equal(http_header_id_of(slice_of(upper, rows[i].name.len)), rows[i].id);
        assert_int_equal(http_header_id_of(slice_of(upper, rows[i].name.len - 1)), HTTP_H_OTHER);
    }
    assert_int_equal(http_header_id_of(SLICE("")), HTTP_H_OTHER);
    assert_int_equal(http_header_id_of(SLICE("user-agent")), HTTP_H_OTHER);
}

static void lists_are_searched_over_all_their_lines(void **state)
{
    (void)state;
    struct slice in = SLICE("GET / HTTP/1.1\r\nHost: a\r\nAccept: x, Y\r\naccept: ,z\r\n\r\n");
    struct h1_request r;
    size_t n;

    assert_int_equal(h1_parse_request(in, HEAD_MAX, &r, &n, NULL), 1);
    assert_true(http_headers_has_token(&r.headers, HTTP_H_ACCEPT, SLICE("y")));
    assert_true(http_headers_has_token(&r.headers, HTTP_H_ACCEPT, SLICE("Z")));
    assert_false(http_headers_has_token(&r.headers, HTTP_H_ACCEPT, SLICE("x, y")));
    assert_true(slice_eq(http_headers_find_name(&r.headers, SLICE("accept"))->value, SLICE("x, Y")));
    assert_null(http_headers_find_name(&r.headers, SLICE("accep")));
    assert_null(http_headers_find(&r.headers, HTTP_H_TE));
}

static void fields_are_written_without_those_of_this_connection(void **state)
{
    (void)state;
    struct slice in = SLICE("POST / HTTP/1.1\r\nHost: a\r\nX-A:1\r\nConnection: x-b\r\nX-B: 2\r\n"
                            "Content-Length: 3\r\nTE: trailers\r\nx-c:\t3 \r\n\r\n");
    AUTO_BUF out = BUF_INIT(64);
    AUTO_BUF small = BUF_INIT(17);
    struct h1_request r;
    size_t n;

    assert_int_equal(h1_parse_request(in, HEAD_MAX, &r, &n, NULL), 1);
    assert_int_equal(h1_write_fields(&out, &r.headers), 0);
    assert_true(slice_eq(buf_slice(&out), SLICE("X-A: 1\r\nx-c: 3\r\n")));
    assert_int_equal(buf_append(&small, SLICE("12")), 0);
    assert_int_equal(h1_write_fields(&small, &r.headers), -1);
    assert_true(slice_eq(buf_slice(&small), SLICE("12")));
}

static void what_is_written_in_chunks_is_read_back(void **state)
{
    (void)state;
    static char block[5000];
    AUTO_BUF out = BUF_INIT(16384);
    AUTO_BUF payload = BUF_INIT(16384);
    AUTO_BUF small = BUF_INIT(9);
    struct h1_body b;
    size_t used;

    assert_int_equal(h1_write_chunk(&out, SLICE("x")), 0);
    assert_int_equal(h1_write_chunk(&out, slice_of(block, sizeof block)), 0);
    assert_int_equal(h1_write_chunk(&out, SLICE("")), -1);
    assert_int_equal(h1_write_last_chunk(&out), 0);
    h1_body_init(&b, H1_BODY_CHUNKED, 0);
    assert_int_equal(feed(&b, buf_slice(&out), &payload, &used, NULL), 0);
    assert_true(h1_body_done(&b) && used == buf_len(&out));
    assert_int_equal(buf_len(&payload), 1 + sizeof block);
    assert_int_equal(h1_write_chunk(&small, SLICE("hello")), -1);
    assert_int_equal(buf_len(&small), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read_strictly),
        cmocka_unit_test(responses_are_read_strictly),
        cmocka_unit_test(chunked_bodies_read_the_same_wherever_they_are_cut),
        cmocka_unit_test(chunked_responses_keep_their_trailers_and_may_have_spaces_behind_sizes),
        cmocka_unit_test(a_length_body_takes_its_length_and_no_more),
        cmocka_unit_test(a_body_until_close_ends_with_the_connection_only),
        cmocka_unit_test(no_body_takes_nothing),
        cmocka_unit_test(a_head_of_exactly_the_limit_is_taken),
        cmocka_unit_test(an_empty_line_before_a_request_counts_as_consumed),
        cmocka_unit_test(a_refused_head_leaves_the_outputs_alone),
        cmocka_unit_test(every_known_name_is_found_in_any_case),
        cmocka_unit_test(lists_are_searched_over_all_their_lines),
        cmocka_unit_test(fields_are_written_without_those_of_this_connection),
        cmocka_unit_test(what_is_written_in_chunks_is_read_back),
    };
    return cmocka_run_group_tests_name("http_h1", tests, NULL, NULL);
}
