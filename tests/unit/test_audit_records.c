/* Events to JSON, and what of a URL may be seen: cases under tests/cases/audit. */
#include "audit/chain.h"
#include "audit/event.h"
#include "audit/record.h"
#include "audit/redact.h"
#include "base/caps.h"
#include "cli/log_line.h"
#include "http_cases.h"
#include "policy/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { URL_MAX = 300 };

static void redact(struct slice input, bool full, struct buf *out)
{
    AUTO_BUF scratch = BUF_INIT(REDACT_SCRATCH_BYTES);
    http_case_put(out, redact_url(input, full, URL_MAX, &scratch));
}

static void redact_default(struct slice input, struct buf *out)
{
    redact(input, false, out);
}

static void redact_full(struct slice input, struct buf *out)
{
    redact(input, true, out);
}

static void urls_show_no_secret_and_nothing_long(void **state)
{
    (void)state;
    http_cases_check("../audit/urls", 25, redact_default);
}

static void full_urls_show_no_secret_all_the_same(void **state)
{
    (void)state;
    http_cases_check("../audit/urls-full", 2, redact_full);
}

/* The texts of one case; an event points into them. */
struct written {
    struct audit_event event;
    struct policy_origin origin;
    struct policy_rule rule, nearest;
    char *texts[16];
    size_t count;
};

static const char *keep(struct written *w, struct slice s)
{
    assert_true(w->count < ARRAY_LEN(w->texts));
    return w->texts[w->count++] = slice_dup(s);
}

static enum audit_kind kind_of(struct slice id)
{
    for (int k = 0; k < AUDIT_KIND_COUNT; k++) {
        if (slice_eq(id, slice_str(audit_kind_id((enum audit_kind)k))))
            return (enum audit_kind)k;
    }
    fail_msg("no kind %.*s", SLICE_FMT(id));
    return AUDIT_KIND_COUNT;
}

static int64_t number(struct slice s)
{
    uint64_t n;
    if (slice_eq(s, SLICE("-1")))
        return -1;
    assert_int_equal(slice_to_u64(s, INT64_MAX, &n), 0);
    return (int64_t)n;
}

static void set_upstream(struct written *w, struct slice value)
{
    ptrdiff_t colon = slice_find(value, ':');
    assert_true(colon > 0);
    w->event.upstream_address = keep(w, slice_first(value, (size_t)colon));
    w->event.upstream_port = (uint16_t)number(slice_skip(value, (size_t)colon + 1));
    w->event.upstream_protocol = "http/1.1";
    w->event.upstream_tls = "TLSv1.3";
}

static const struct policy_rule *set_rule(struct written *w, struct policy_rule *r, struct slice name)
{
    w->origin.file = ".exeat.yaml";
    *r = (struct policy_rule){.origin = &w->origin, .name = keep(w, name), .line = 6};
    return r;
}

static void set_number(struct audit_event *ev, struct slice field, struct slice value)
{
    if (slice_eq(field, SLICE("time")))
        ev->wall_ms = number(value);
    else if (slice_eq(field, SLICE("status")))
        ev->status = (unsigned)number(value);
    else if (slice_eq(field, SLICE("sent")))
        ev->sent = (uint64_t)number(value);
    else if (slice_eq(field, SLICE("received")))
        ev->received = (uint64_t)number(value);
    else if (slice_eq(field, SLICE("ns")))
        ev->ns = number(value);
    else if (slice_eq(field, SLICE("pid")))
        ev->client_pid = (int)number(value);
    else if (slice_eq(field, SLICE("would")))
        ev->would_block = true;
    else
        fail_msg("no field %.*s", SLICE_FMT(field));
}

static void set_field(struct written *w, struct slice field, struct slice value)
{
    struct audit_event *ev = &w->event;
    const struct {
        struct slice field;
        const char **text;
    } texts[] = {
        {SLICE("id"), &ev->id},
        {SLICE("task"), &ev->task},
        {SLICE("verdict"), &ev->verdict},
        {SLICE("protocol"), &ev->protocol},
        {SLICE("detail"), &ev->detail},
        {SLICE("outcome"), &ev->outcome},
        {SLICE("client"), &ev->client_address},
        {SLICE("exe"), &ev->client_exe},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (slice_eq(field, texts[i].field)) {
            *texts[i].text = keep(w, value);
            return;
        }
    }
    if (slice_eq(field, SLICE("kind")))
        ev->kind = kind_of(value);
    else if (slice_eq(field, SLICE("reason")))
        ev->reason = reason_of_id(value);
    else if (slice_eq(field, SLICE("rule")))
        ev->rule = set_rule(w, &w->rule, value);
    else if (slice_eq(field, SLICE("nearest")))
        ev->nearest = set_rule(w, &w->nearest, value);
    else if (slice_eq(field, SLICE("method")))
        ev->method = value;
    else if (slice_eq(field, SLICE("url")))
        ev->url = value;
    else if (slice_eq(field, SLICE("args")))
        ev->client_args = value;
    else if (slice_eq(field, SLICE("upstream")))
        set_upstream(w, value);
    else
        set_number(ev, field, value);
}

static struct slice next_field(struct slice *rest)
{
    const struct slice between = SLICE(" | ");
    size_t at = 0;
    while (at < rest->len && !slice_starts(slice_skip(*rest, at), between))
        at++;
    struct slice part = slice_first(*rest, at);
    *rest = slice_skip(*rest, at + between.len);
    return part;
}

static void write_event(struct slice input, struct buf *out)
{
    static struct event_context context;
    struct written w = {.event = {.id = "01M7YV5TF2BNH4Y1SCER4B016C", .wall_ms = 1795248000123}};
    AUTO_BUF body = BUF_INIT(1 << 20);
    if (!context.run)
        event_context_init(&context, "R-1", false);
    while (input.len) {
        struct slice part = next_field(&input);
        ptrdiff_t equals = slice_find(part, '=');
        assert_true(equals > 0);
        set_field(&w, slice_first(part, (size_t)equals), slice_skip(part, (size_t)equals + 1));
    }
    assert_int_equal(event_append(&context, &w.event, &body), 0);
    http_case_put(out, SLICE("{"));
    http_case_put(out, buf_slice(&body));
    http_case_put(out, SLICE("}"));
    event_context_free(&context); /* its room may be made again at any time */
    for (size_t i = 0; i < w.count; i++)
        free(w.texts[i]);
}

static void records_have_all_fields_in_their_order(void **state)
{
    (void)state;
    http_cases_check("../audit/records", 10, write_event);
}

/* Every text as long and as bad as it gets. */
static void a_record_never_exceeds_its_limit(void **state)
{
    (void)state;
    static char bad[100000];
    static char args[2000]; /* each argument as short as it gets */
    memset(bad, 1, sizeof bad - 1);
    for (size_t i = 0; i < sizeof args; i += 2)
        args[i] = 1;
    struct slice long_slice = slice_of(bad, sizeof bad - 1);
    const struct policy_origin origin = {.file = bad};
    struct policy_rule rule = {.origin = &origin, .name = bad, .line = UINT32_MAX};
    const struct audit_event ev = {
        .kind = AUDIT_REQUEST,
        .id = bad,
        .task = bad,
        .verdict = bad,
        .would_block = true,
        .rule = &rule,
        .nearest = &rule,
        .method = long_slice,
        .url = long_slice,
        .protocol = bad,
        .status = UINT32_MAX,
        .sent = UINT64_MAX,
        .received = UINT64_MAX,
        .ns = INT64_MAX,
        .upstream_address = bad,
        .upstream_protocol = bad,
        .upstream_tls = bad,
        .upstream_via = bad,
        .upstream_port = UINT16_MAX,
        .client_address = bad,
        .client_pid = INT32_MAX,
        .client_exe = bad,
        .client_args = slice_of(args, sizeof args),
        .detail = bad,
        .outcome = bad,
    };
    struct event_context context;
    AUTO_BUF body = BUF_INIT(1 << 20);
    event_context_init(&context, bad, false);
    assert_int_equal(event_append(&context, &ev, &body), 0);
    assert_true(buf_len(&body) + CHAIN_OVERHEAD <= CAP_RECORD_BYTES);
    event_context_free(&context);
}

static void show_line(struct slice input, struct buf *out)
{
    struct log_record r;
    const struct log_style style = {0};
    AUTO_BUF line = BUF_INIT(1 << 16);
    assert_int_equal(log_record_parse(input, &r), 0);
    assert_int_equal(log_line(&r, &style, &line), 0);
    http_case_put(out, slice_trim(buf_slice(&line)));
    log_record_clear(&r);
}

static void lines_for_people_are_aligned_and_harmless(void **state)
{
    (void)state;
    http_cases_check("../audit/lines", 8, show_line);
}

static void a_line_fits_a_terminal(void **state)
{
    (void)state;
    struct log_record r;
    static const char record[] =
        "{\"seq\":1,\"time\":\"2026-11-21T08:00:00.123Z\",\"kind\":\"request\",\"task\":\"widgets\",\"verdict\":\"block\","
        "\"reason\":\"method-not-allowed\",\"nearest\":{\"name\":\"a rule with a name of some length\"},\"method\":\"POST\","
        "\"url\":\"https://api.test/a/path/that/does/not/fit/into/the/line/of/a/terminal\",\"status\":403,\"ms\":12}";
    assert_int_equal(log_record_parse(slice_of(record, sizeof record - 1), &r), 0);
    for (size_t width = 40; width <= 200; width++) {
        const struct log_style style = {.width = width};
        AUTO_BUF line = BUF_INIT(1 << 16);
        size_t columns = 0;
        assert_int_equal(log_line(&r, &style, &line), 0);
        for (size_t i = line.start; i < line.end; i++)
            columns += ((unsigned char)line.data[i] & 0xc0) != 0x80;
        if (width >= 64)
            assert_true(columns <= width);
    }
    log_record_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_show_no_secret_and_nothing_long),
        cmocka_unit_test(full_urls_show_no_secret_all_the_same),
        cmocka_unit_test(records_have_all_fields_in_their_order),
        cmocka_unit_test(a_record_never_exceeds_its_limit),
        cmocka_unit_test(lines_for_people_are_aligned_and_harmless),
        cmocka_unit_test(a_line_fits_a_terminal),
    };
    return cmocka_run_group_tests_name("audit_records", tests, NULL, NULL);
}
