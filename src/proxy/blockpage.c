/* The answer to a request that does not pass: for the agent, in words that it can act on.
 *
 * It names no address, no secret and no rule's content (design: Policy; interfaces.md 2). */
#include "audit/redact.h"
#include "base/json.h"
#include "policy/explain.h"
#include "proxy/exchange.h"

#include <inttypes.h>

enum { PAGE_BYTES = 16 << 10, URL_SHOWN_BYTES = 2048, RETRY_CONNECTION_SECONDS = 60 };

static const char *status_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        {400, "Bad Request"},
        {403, "Forbidden"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {421, "Misdirected Request"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Error";
}

/* What is wrong with a request is a literal of ours; other details may name an address. */
static bool says_what(const struct exchange *x, enum reason reason)
{
    unsigned status = reason_status(reason);
    return x->detail[0] && (status == 400 || status == 421);
}

/* In words: the verdict's own explanation, or the reason's sentence where something else stopped it. */
static void explain(const struct exchange *x, enum reason reason, struct buf *out)
{
    bool judged = reason == x->verdict.reason;
    if (judged && explain_agent(&x->verdict, out) == 0)
        return;
    buf_clear(out);
    if (buf_append(out, slice_str(reason_sentence(reason))) < 0 ||
        (says_what(x, reason) && buf_printf(out, " What is wrong: %s.", x->detail) < 0))
        buf_clear(out);
}

static const char *nearest_name(const struct exchange *x)
{
    if (!x->verdict.nearest)
        return NULL;
    struct policy_rule_info info;
    policy_rule_info(x->verdict.nearest, &info);
    return info.name;
}

static void write_json(const struct exchange *x, enum reason reason, struct slice message, struct slice url,
                       struct buf *page)
{
    char hint[ULID_BYTES + 16] = "exeat why ";
    memcpy(hint + 10, x->id, ULID_BYTES);
    struct json j = JSON_INIT(page);
    json_object(&j);
    json_kv_str(&j, "error", "exeat");
    json_kv_str(&j, "reason", reason_id(reason));
    json_kv_slice(&j, "message", message);
    json_key(&j, "method");
    x->method.ptr ? json_slice(&j, x->method) : json_null(&j);
    json_key(&j, "url");
    url.ptr ? json_slice(&j, url) : json_null(&j);
    json_kv_str(&j, "nearest", nearest_name(x));
    json_kv_str(&j, "hint", hint);
    json_kv_str(&j, "id", x->id);
    json_key(&j, "pending");
    json_null(&j);
    json_object_end(&j);
    if (j.failed || buf_append(page, SLICE("\n")) < 0)
        buf_clear(page);
}

static void write_text(const struct exchange *x, enum reason reason, struct slice message, struct slice url,
                       struct buf *page)
{
    bool failed = reason_status(reason) >= 500;
    int put = buf_printf(page, "exeat: this request %s. %.*s\n\n", failed ? "failed" : "was blocked",
                         SLICE_FMT(message));
    if (put == 0 && x->method.ptr && url.ptr)
        put = buf_printf(page, "  request: %.*s %.*s\n", SLICE_FMT(x->method), SLICE_FMT(url));
    if (put == 0)
        put = buf_printf(page, "  reason:  %s\n", reason_id(reason));
    if (put < 0 || buf_printf(page, "\n%s\nMore: exeat why %s\n", reason_hint(reason), x->id) < 0)
        buf_clear(page);
}

static int write_head(const struct exchange *x, enum reason reason, bool close, size_t length, struct buf *out)
{
    unsigned status = reason_status(reason);
    if (buf_printf(out,
                   "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
                   "Exeat-Reason: %s\r\n",
                   status, status_phrase(status), x->wants_json ? "application/json" : "text/plain; charset=utf-8",
                   length, reason_id(reason)) < 0)
        return -1;
    if (status == 407 && buf_append(out, SLICE("Proxy-Authenticate: Basic realm=\"exeat\"\r\n")) < 0)
        return -1;
    int64_t wait = reason == REASON_TOO_MANY_CONNECTIONS ? RETRY_CONNECTION_SECONDS : x->retry_after;
    if (status == 429 && wait && buf_printf(out, "Retry-After: %" PRId64 "\r\n", wait) < 0)
        return -1;
    return buf_append(out, close ? SLICE("Connection: close\r\n\r\n") : SLICE("\r\n"));
}

/* The agent knows what it sent; who reads its transcript need not: no value of a query is repeated. */
static struct slice without_values(struct slice url, struct buf *out)
{
    ptrdiff_t query = slice_find(url, '?');
    if (query < 0)
        return url;
    struct slice rest = slice_skip(url, (size_t)query + 1), parameter;
    int put = buf_append(out, slice_first(url, (size_t)query));
    for (const char *before = "?"; put == 0 && slice_next(&rest, '&', &parameter); before = "&") {
        ptrdiff_t equals = slice_find(parameter, '=');
        struct slice name = equals < 0 ? parameter : slice_first(parameter, (size_t)equals);
        put = buf_printf(out, "%s%.*s%s", before, SLICE_FMT(name), equals < 0 ? "" : "=[redacted]");
    }
    return put == 0 ? buf_slice(out) : slice_first(url, (size_t)query);
}

int blockpage_write(const struct exchange *x, enum reason reason, bool close, struct buf *out)
{
    AUTO_BUF page = BUF_INIT(PAGE_BYTES), message = BUF_INIT(PAGE_BYTES / 2);
    AUTO_BUF bare = BUF_INIT(CAP_TARGET_BYTES * 4), scratch = BUF_INIT(REDACT_SCRATCH_BYTES);
    struct slice url = {NULL, 0};
    if (x->url_canonical)
        url = redact_url(without_values(x->url, &bare), false, URL_SHOWN_BYTES, &scratch);
    explain(x, reason, &message);
    (x->wants_json ? write_json : write_text)(x, reason, buf_slice(&message), url, &page);
    int put = write_head(x, reason, close, buf_len(&page), out);
    if (put == 0 && !x->head_request)
        put = buf_append(out, buf_slice(&page));
    return put;
}
