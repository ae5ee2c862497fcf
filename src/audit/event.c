#include "audit/event.h"

#include "audit/chain.h"
#include "audit/redact.h"
#include "base/caps.h"
#include "base/json.h"
#include "base/ulid.h"

static const struct {
    const char *id;
    bool exchange;
} kinds[] = {
#define KIND(constant, id, exchange) {id, exchange},
#include "audit/kinds.def"
#undef KIND
};

/* Bytes of each text before escaping.  Escaping makes at most six of one: the second row then still fits
 * into a record whatever the texts are, and the first does in practice. */
static const struct text_caps {
    size_t url, detail, name, word;
} caps[] = {
    {.url = 16u << 10, .detail = 2048, .name = 512, .word = 256},
    {.url = 1024, .detail = 512, .name = 192, .word = 64},
};

static const struct slice ellipsis = SLICE("\xe2\x80\xa6");

const char *audit_kind_id(enum audit_kind k)
{
    return (unsigned)k < ARRAY_LEN(kinds) ? kinds[k].id : "?";
}

void event_context_init(struct event_context *c, const char *run, bool full_urls)
{
    *c = (struct event_context){.run = run, .full_urls = full_urls, .second = -1};
    c->scratch = BUF_INIT(REDACT_SCRATCH_BYTES);
}

void event_context_free(struct event_context *c)
{
    buf_free(&c->scratch);
}

/* Text that needs no escape: keys with their colon and comma, times, numbers. */
static void raw(struct json *j, struct slice text)
{
    j->comma = false;
    json_raw(j, text);
    j->comma = false;
}

static void number(struct json *j, uint64_t n)
{
    char digits[20];
    size_t start = sizeof digits;
    do
        digits[--start] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    raw(j, slice_of(digits + start, sizeof digits - start));
}

/* Milliseconds with at most one decimal; as json_ms, without its printf. */
static void milliseconds(struct json *j, int64_t ns)
{
    uint64_t tenths = ((uint64_t)ns + 50000) / 100000;
    number(j, tenths / 10);
    if (tenths % 10) {
        char decimal[2] = {'.', (char)('0' + tenths % 10)};
        raw(j, slice_of(decimal, sizeof decimal));
    }
}

static void cut_text(struct json *j, struct slice text, size_t max)
{
    size_t len = max;
    while (len && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--; /* no half UTF-8 sequence before the ellipsis */
    char room[2048 + 4];
    if (len > sizeof room - ellipsis.len)
        len = sizeof room - ellipsis.len;
    memcpy(room, text.ptr, len);
    memcpy(room + len, ellipsis.ptr, ellipsis.len);
    json_slice(j, slice_of(room, len + ellipsis.len));
}

static void text_slice(struct json *j, struct slice key, struct slice text, size_t max)
{
    raw(j, key);
    if (!text.ptr)
        raw(j, SLICE("null"));
    else if (text.len > max)
        cut_text(j, text, max);
    else
        json_slice(j, text);
}

static void text(struct json *j, struct slice key, const char *s, size_t max)
{
    /* one byte more than fits tells that it was cut, whatever the length */
    text_slice(j, key, slice_of(s, s ? strnlen(s, max + 1) : 0), max);
}

static void rule(struct json *j, struct slice key, const struct policy_rule *r, const struct text_caps *cap)
{
    raw(j, key);
    if (!r) {
        raw(j, SLICE("null"));
        return;
    }
    struct policy_rule_info info;
    policy_rule_info(r, &info);
    text(j, SLICE("{\"name\":"), info.name, cap->name);
    text(j, SLICE(",\"file\":"), info.file, cap->name);
    raw(j, SLICE(",\"line\":"));
    number(j, info.line);
    raw(j, SLICE("}"));
}

static void count(struct json *j, struct slice key, bool known, uint64_t n)
{
    raw(j, key);
    if (known)
        number(j, n);
    else
        raw(j, SLICE("null"));
}

/* The calendar part changes once a second; the rest is three digits. */
static void time_of(struct json *j, struct event_context *c, int64_t wall_ms)
{
    if (wall_ms < 0)
        wall_ms = 0;
    if (wall_ms / 1000 != c->second) {
        c->second = wall_ms / 1000;
        clock_rfc3339(wall_ms, c->time);
    }
    unsigned ms = (unsigned)(wall_ms % 1000);
    c->time[20] = (char)('0' + ms / 100);
    c->time[21] = (char)('0' + ms / 10 % 10);
    c->time[22] = (char)('0' + ms % 10);
    raw(j, SLICE(",\"time\":\""));
    raw(j, slice_of(c->time, CLOCK_RFC3339_BYTES - 1));
    raw(j, SLICE("\""));
}

static void who_and_when(struct json *j, struct event_context *c, const struct audit_event *ev,
                         const struct text_caps *cap)
{
    int64_t wall_ms = ev->wall_ms ? ev->wall_ms : clock_wall_ms();
    char id[ULID_BYTES];
    if (!ev->id)
        ulid_make(wall_ms, id);
    text(j, SLICE("\"id\":"), ev->id ? ev->id : id, cap->word);
    time_of(j, c, wall_ms);
    text(j, SLICE(",\"kind\":"), audit_kind_id(ev->kind), cap->word);
    text(j, SLICE(",\"task\":"), ev->task, cap->word);
    text(j, SLICE(",\"run\":"), c->run, cap->word);
}

static void judgement(struct json *j, const struct audit_event *ev, const struct text_caps *cap)
{
    text(j, SLICE(",\"verdict\":"), ev->verdict, cap->word);
    text(j, SLICE(",\"would\":"), ev->would_block ? "block" : NULL, cap->word);
    text(j, SLICE(",\"reason\":"), reason_id(ev->reason), cap->word);
    rule(j, SLICE(",\"rule\":"), ev->rule, cap);
    rule(j, SLICE(",\"nearest\":"), ev->nearest, cap);
}

static void exchange(struct json *j, struct event_context *c, const struct audit_event *ev,
                     const struct text_caps *cap)
{
    bool bytes = kinds[ev->kind].exchange;
    struct slice url = ev->url.ptr ? redact_url(ev->url, c->full_urls, cap->url, &c->scratch) : ev->url;
    text_slice(j, SLICE(",\"method\":"), ev->method, cap->word);
    text_slice(j, SLICE(",\"url\":"), url, SIZE_MAX);
    text(j, SLICE(",\"protocol\":"), ev->protocol, cap->word);
    count(j, SLICE(",\"status\":"), ev->status != 0, ev->status);
    count(j, SLICE(",\"sent\":"), bytes, ev->sent);
    count(j, SLICE(",\"received\":"), bytes, ev->received);
    raw(j, SLICE(",\"ms\":"));
    if (bytes && ev->ns >= 0)
        milliseconds(j, ev->ns);
    else
        raw(j, SLICE("null"));
}

static void arguments(struct json *j, struct slice args, const struct text_caps *cap)
{
    struct slice rest = slice_first(args, cap->detail), one;
    raw(j, SLICE(",\"args\":["));
    for (const char *before = ""; rest.len && slice_next(&rest, '\0', &one); before = ",")
        text_slice(j, slice_str(before), one, cap->word);
    raw(j, SLICE("]"));
}

static void client(struct json *j, const struct audit_event *ev, const struct text_caps *cap)
{
    text(j, SLICE(",\"client\":{\"address\":"), ev->client_address, cap->word);
    count(j, SLICE(",\"pid\":"), ev->client_pid > 0, (uint64_t)ev->client_pid);
    text(j, SLICE(",\"exe\":"), ev->client_exe, cap->name);
    if (ev->client_args.ptr && ev->client_args.len)
        arguments(j, ev->client_args, cap);
    else
        raw(j, SLICE(",\"args\":null"));
    raw(j, SLICE("}"));
}

static void seal(struct json *j, const struct seal *s)
{
    char hex[2 * ED25519_SIGNATURE_BYTES + 1];
    count(j, SLICE(",\"seal\":{\"seq\":"), true, s->seq);
    text(j, SLICE(",\"hash\":"), s->hash, sizeof s->hash - 1);
    count(j, SLICE(",\"time_ms\":"), true, (uint64_t)s->time_ms);
    crypto_hex(s->key, sizeof s->key, hex);
    text(j, SLICE(",\"key\":"), hex, sizeof hex - 1);
    crypto_hex(s->signature, sizeof s->signature, hex);
    text(j, SLICE(",\"signature\":"), hex, sizeof hex - 1);
    raw(j, SLICE("}"));
}

static void peers(struct json *j, const struct audit_event *ev, const struct text_caps *cap)
{
    if (ev->upstream_address) {
        text(j, SLICE(",\"upstream\":{\"address\":"), ev->upstream_address, cap->word);
        count(j, SLICE(",\"port\":"), ev->upstream_port != 0, ev->upstream_port);
        text(j, SLICE(",\"protocol\":"), ev->upstream_protocol, cap->word);
        text(j, SLICE(",\"tls\":"), ev->upstream_tls, cap->word);
        text(j, SLICE(",\"via\":"), ev->upstream_via, cap->word);
        raw(j, SLICE("}"));
    } else {
        raw(j, SLICE(",\"upstream\":null"));
    }
    if (ev->client_address) {
        client(j, ev, cap);
    } else {
        raw(j, SLICE(",\"client\":null"));
    }
    raw(j, SLICE(",\"finding\":null"));
    if (ev->outcome)
        text(j, SLICE(",\"outcome\":"), ev->outcome, cap->word);
    if (ev->detail)
        text(j, SLICE(",\"detail\":"), ev->detail, cap->detail);
    if (ev->seal)
        seal(j, ev->seal);
}

int event_append(struct event_context *c, const struct audit_event *ev, struct buf *out)
{
    const size_t room = CAP_RECORD_BYTES - CHAIN_OVERHEAD;
    char *at = buf_reserve(out, room);
    if (!at || (unsigned)ev->kind >= AUDIT_KIND_COUNT)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
        /* a view of the room: no append can make it larger */
        struct buf view = {.data = at, .size = room, .max = room};
        struct json j = JSON_INIT(&view);
        who_and_when(&j, c, ev, &caps[i]);
        judgement(&j, ev, &caps[i]);
        exchange(&j, c, ev, &caps[i]);
        peers(&j, ev, &caps[i]);
        if (!j.failed) {
            buf_commit(out, buf_len(&view));
            return 0;
        }
    }
    return -1;
}
