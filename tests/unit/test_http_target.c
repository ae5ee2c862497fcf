/* Targets, hosts, patterns and URLs: what is accepted, what it becomes, and why the rest is refused. */
#include "http/target.h"

#include "http_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ARENA_MAX = 1 << 20 };

static void put_fault(struct buf *out, const struct http_problem *problem)
{
    assert_non_null(problem->detail);
    http_case_printf(out, "%s", http_case_fault(problem->fault));
}

static void put_target(struct buf *out, const struct http_target *t)
{
    http_case_put(out, t->path);
    if (t->has_query) {
        http_case_printf(out, "?");
        http_case_put(out, t->query);
    }
    if (t->encoded_slash)
        http_case_printf(out, " encoded-slash");
}

/* The canonical form is its own canonical form. */
static void assert_path_settled(struct arena *arena, const struct http_target *t)
{
    struct http_target again = {0};
    struct http_problem problem = {0};
    assert_int_equal(http_path_parse(arena, t->path, &again, &problem), 0);
    assert_true(slice_eq(again.path, t->path));
    assert_int_equal(again.encoded_slash, t->encoded_slash);
}

static void run_path(struct slice input, struct buf *out)
{
    struct arena arena = ARENA_INIT(ARENA_MAX);
    struct http_target t = {.authority.port = 77};
    const struct http_target untouched = t;
    struct http_problem problem = {0};

    if (http_path_parse(&arena, input, &t, &problem) < 0) {
        assert_memory_equal(&t, &untouched, sizeof t);
        put_fault(out, &problem);
    } else {
        assert_int_equal(t.authority.port, 77);
        http_case_printf(out, "ok ");
        put_target(out, &t);
        assert_path_settled(&arena, &t);
    }
    arena_free(&arena);
}

static void paths_become_canonical_or_are_refused(void **state)
{
    (void)state;
    http_cases_check("paths.txt", 110, run_path);
}

static void put_authority(struct buf *out, const struct http_authority *a)
{
    static const char *const kinds[] = {
        [HTTP_HOST_NAME] = "name", [HTTP_HOST_IPV4] = "ipv4", [HTTP_HOST_IPV6] = "ipv6"};
    http_case_printf(out, "ok %s ", kinds[a->kind]);
    http_case_put(out, a->host);
    http_case_printf(out, " %u", a->port);
}

static void check_authority(struct slice input, uint16_t default_port, struct buf *out)
{
    struct arena arena = ARENA_INIT(ARENA_MAX);
    struct http_authority a = {0}, again;
    struct http_problem problem = {0};
    AUTO_BUF printed = BUF_INIT(1024);

    if (http_authority_parse(&arena, input, default_port, &a, &problem) < 0) {
        put_fault(out, &problem);
    } else {
        put_authority(out, &a);
        assert_int_equal(http_authority_print(&a, default_port, &printed), 0);
        assert_int_equal(http_authority_parse(&arena, buf_slice(&printed), default_port, &again, &problem),
                         0);
        assert_true(http_authority_eq(&a, &again));
    }
    arena_free(&arena);
}

static void run_host(struct slice input, struct buf *out)
{
    check_authority(input, 443, out);
}

static void run_connect(struct slice input, struct buf *out)
{
    check_authority(input, 0, out);
}

static void hosts_have_one_reading_or_are_refused(void **state)
{
    (void)state;
    http_cases_check("hosts.txt", 80, run_host);
}

static void connect_needs_a_port(void **state)
{
    (void)state;
    http_cases_check("connect.txt", 8, run_connect);
}

static void run_url(struct slice input, struct buf *out)
{
    struct arena arena = ARENA_INIT(ARENA_MAX);
    struct http_target t = {0}, again;
    struct http_problem problem = {0};
    AUTO_BUF printed = BUF_INIT(ARENA_MAX);
    AUTO_BUF second = BUF_INIT(ARENA_MAX);

    if (http_url_parse(&arena, input, &t, &problem) < 0) {
        put_fault(out, &problem);
    } else {
        assert_int_equal(http_target_print(&t, &printed), 0);
        http_case_printf(out, "ok ");
        http_case_put(out, buf_slice(&printed));
        assert_int_equal(http_url_parse(&arena, buf_slice(&printed), &again, &problem), 0);
        assert_int_equal(http_target_print(&again, &second), 0);
        assert_true(slice_eq(buf_slice(&printed), buf_slice(&second)));
    }
    arena_free(&arena);
}

static void urls_print_as_they_are_judged(void **state)
{
    (void)state;
    http_cases_check("urls.txt", 40, run_url);
}

static void run_pattern(struct slice input, struct buf *out)
{
    struct arena arena = ARENA_INIT(ARENA_MAX);
    struct http_problem problem = {0};
    struct slice canonical;

    if (http_pattern_canonical(&arena, input, &canonical, &problem) < 0) {
        put_fault(out, &problem);
    } else {
        http_case_printf(out, "ok ");
        http_case_put(out, canonical);
    }
    arena_free(&arena);
}

static void patterns_are_read_as_requests_are(void **state)
{
    (void)state;
    http_cases_check("patterns.txt", 15, run_pattern);
}

static void run_decoded(struct slice input, struct buf *out)
{
    struct arena arena = ARENA_INIT(ARENA_MAX);
    http_case_put(out, http_path_decoded_lower(&arena, input));
    arena_free(&arena);
}

static void deny_rules_see_the_most_lenient_reading(void **state)
{
    (void)state;
    http_cases_check("decoded.txt", 12, run_decoded);
}

static void a_full_arena_refuses_instead_of_crashing(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT(3);
    struct http_target t;
    struct http_problem problem = {0};

    assert_int_equal(http_url_parse(&arena, SLICE("http://EXAMPLE.com/"), &t, &problem), -1);
    assert_int_equal(problem.fault, HTTP_HEAD_TOO_LARGE);
    assert_int_equal(http_path_parse(&arena, SLICE("/%41%42"), &t, &problem), -1);
    assert_int_equal(problem.fault, HTTP_HEAD_TOO_LARGE);
    assert_null(http_path_decoded_lower(&arena, SLICE("/abcdef")).ptr);
    arena_free(&arena);
}

static void printing_without_room_leaves_the_buffer_alone(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT(ARENA_MAX);
    AUTO_BUF out = BUF_INIT(20);
    struct http_target t;

    assert_int_equal(http_url_parse(&arena, SLICE("https://example.com:8443/a?b"), &t, NULL), 0);
    assert_int_equal(buf_append(&out, SLICE("x")), 0);
    assert_int_equal(http_target_print(&t, &out), -1);
    assert_true(slice_eq(buf_slice(&out), SLICE("x")));
    arena_free(&arena);
}

static void options_star_prints_as_the_url_with_an_empty_path(void **state)
{
    (void)state;
    AUTO_BUF out = BUF_INIT(100);
    struct http_target t = {.scheme = HTTP_SCHEME_HTTPS, .path = SLICE("*")};
    t.authority = (struct http_authority){.host = SLICE("a.example"), .port = 443};

    assert_int_equal(http_target_print(&t, &out), 0);
    assert_true(slice_eq(buf_slice(&out), SLICE("https://a.example")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_become_canonical_or_are_refused),
        cmocka_unit_test(hosts_have_one_reading_or_are_refused),
        cmocka_unit_test(connect_needs_a_port),
        cmocka_unit_test(urls_print_as_they_are_judged),
        cmocka_unit_test(patterns_are_read_as_requests_are),
        cmocka_unit_test(deny_rules_see_the_most_lenient_reading),
        cmocka_unit_test(a_full_arena_refuses_instead_of_crashing),
        cmocka_unit_test(printing_without_room_leaves_the_buffer_alone),
        cmocka_unit_test(options_star_prints_as_the_url_with_an_empty_path),
    };
    return cmocka_run_group_tests_name("http_target", tests, NULL, NULL);
}
