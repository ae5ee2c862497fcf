/* What the audit log makes of bytes from outside: URLs that are redacted, lines that are read back.
 *
 * What must hold: a redacted URL stays within its cap, has no user information, and redacting it again
 * finds none either; a record of any texts fits and reads back as the record it was; a line for people
 * has no control character. */
#include "audit/chain.h"
#include "audit/event.h"
#include "audit/record.h"
#include "audit/redact.h"
#include "base/caps.h"
#include "cli/log_line.h"

#include <stdlib.h>

enum { URL_MAX = 4096, CUT_MARK_BYTES = 32, LINE_BYTES = 64 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_hide_userinfo(struct slice url)
{
    static struct buf scratch = BUF_INIT(REDACT_SCRATCH_BYTES), again = BUF_INIT(REDACT_SCRATCH_BYTES);
    for (int full = 0; full <= 1; full++) {
        struct slice shown = redact_url(url, full, URL_MAX, &scratch);
        must(shown.len <= URL_MAX + CUT_MARK_BYTES);
        size_t end = 0;
        while (end < shown.len && !memchr("?#", shown.ptr[end], 2))
            end++;
        struct slice plain = slice_first(shown, end);
        must(redact_url(plain, full, URL_MAX + CUT_MARK_BYTES, &again).ptr == plain.ptr);
    }
}

static void must_be_shown_safely(struct slice line)
{
    static struct buf text = BUF_INIT(LINE_BYTES);
    struct log_record r;
    if (log_record_parse(line, &r) < 0)
        return;
    for (size_t width = 0; width <= 120; width += 60) {
        const struct log_style style = {.width = width};
        must(log_line(&r, &style, &text) == 0);
        for (size_t i = text.start; i < text.end; i++)
            must((unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7f);
    }
    log_record_clear(&r);
}

static void must_read_back(struct slice input)
{
    static struct buf body = BUF_INIT(CAP_RECORD_BYTES), line = BUF_INIT(2 * CAP_RECORD_BYTES);
    static struct event_context context;
    struct chain chain;
    struct log_record r;
    struct slice prev, parsed;
    uint64_t seq;
    char id[8] = "id", *detail = slice_dup(input);
    const struct audit_event ev = {
        .kind = AUDIT_REQUEST, .id = id, .wall_ms = 1, .method = input, .url = input, .detail = detail};
    must(detail != NULL);
    if (!context.run)
        event_context_init(&context, "run", false);
    buf_clear(&body);
    buf_clear(&line);
    chain_start(&chain);
    must(event_append(&context, &ev, &body) == 0);
    must(chain_append(&chain, buf_slice(&body), &line) == 0);
    must(buf_len(&line) <= CAP_RECORD_BYTES);
    parsed = slice_first(buf_slice(&line), buf_len(&line) - 1);
    must(slice_find(parsed, '\n') < 0);
    must(chain_parse(parsed, &seq, &prev) == 0 && seq == 1);
    must(log_record_parse(parsed, &r) == 0 && r.seq == 1 && slice_eq(r.kind, SLICE("request")));
    log_record_clear(&r);
    must_be_shown_safely(parsed);
    free(detail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(size ? (const char *)data : "", size);
    struct slice prev;
    uint64_t seq;
    must_hide_userinfo(input);
    must_be_shown_safely(input);
    must_read_back(input);
    if (chain_parse(input, &seq, &prev) == 0)
        must(seq > 0 && prev.len == SHA256_HEX);
    return 0;
}
