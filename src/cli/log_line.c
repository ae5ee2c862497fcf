#include "cli/log_line.h"

#include "base/printable.h"
#include "base/ulid.h"

#include <stdint.h>
#include <stdio.h>

enum { TEXT_CHARS = 400, WHAT_COLUMNS = 7, TASK_COLUMNS = 12, METHOD_COLUMNS = 7, URL_LEAST = 24 };

static int put_padded(struct buf *out, struct slice text, size_t width, size_t *columns)
{
    size_t start = *columns;
    if (printable_append(out, text, width, columns) < 0)
        return -1;
    while (*columns < start + width) {
        if (buf_append(out, SLICE(" ")) < 0)
            return -1;
        ++*columns;
    }
    ++*columns;
    return buf_append(out, SLICE(" "));
}

/* "2026-11-21T08:00:00.123Z" without year and milliseconds: 14 columns. */
static struct slice short_time(struct slice time, char room[14])
{
    if (time.len < 19)
        return time;
    memcpy(room, time.ptr + 5, 14);
    room[5] = ' ';
    return slice_of(room, 14);
}

static struct slice what(const struct log_record *r)
{
    bool judged = slice_eq(r->kind, SLICE("request")) || slice_eq(r->kind, SLICE("connect")) ||
                  slice_eq(r->kind, SLICE("tunnel"));
    return judged && r->verdict.ptr ? r->verdict : r->kind;
}

static bool stopped(const struct log_record *r)
{
    return slice_eq(r->verdict, SLICE("block")) || slice_eq(r->verdict, SLICE("hold")) || r->would.ptr;
}

static const char *color_of(const struct log_record *r)
{
    if (slice_eq(r->verdict, SLICE("block")))
        return "\033[31m";
    if (slice_eq(r->verdict, SLICE("hold")) || r->would.ptr)
        return "\033[33m";
    return slice_eq(r->verdict, SLICE("allow")) ? "\033[32m" : "\033[36m";
}

/* Fixed columns: time, what, status, milliseconds, task, method. */
static int put_facts(const struct log_record *r, const struct log_style *style, struct buf *out,
                     size_t *columns)
{
    char room[14], status[8] = "", ms[24] = "";
    if (r->status)
        snprintf(status, sizeof status, "%3d", r->status);
    if (r->ms >= 0)
        snprintf(ms, sizeof ms, "%7.*f", r->ms < 100 ? 1 : 0, r->ms);
    if ((style->ids && put_padded(out, r->id, ULID_CHARS, columns) < 0) ||
        put_padded(out, short_time(r->time, room), 14, columns) < 0 ||
        (style->color && buf_append(out, slice_str(color_of(r))) < 0) ||
        put_padded(out, what(r), r->status || r->url.ptr ? WHAT_COLUMNS : 10, columns) < 0 ||
        (style->color && buf_append(out, SLICE("\033[0m")) < 0))
        return -1;
    if (!r->status && !r->url.ptr)
        return 0;
    return put_padded(out, slice_str(status), 3, columns) < 0 ||
                   put_padded(out, slice_str(ms), 7, columns) < 0 ||
                   put_padded(out, r->task, TASK_COLUMNS, columns) < 0 ||
                   put_padded(out, r->method, METHOD_COLUMNS, columns) < 0
               ? -1
               : 0;
}

/* Why, in a few words: reason, rule, outcome, detail. */
static int put_why(const struct log_record *r, struct buf *out, size_t *columns)
{
    const struct {
        struct slice before, text;
    } parts[] = {
        {r->would.ptr ? SLICE("would ") : SLICE(""), r->would},
        {SLICE(""), r->reason},
        {SLICE("nearest: "), r->nearest},
        {SLICE("rule: "), r->reason.ptr ? r->rule : slice_of(NULL, 0)},
        {SLICE(""), r->outcome},
        {SLICE(""), r->detail},
    };
    bool first = true;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!parts[i].text.ptr)
            continue;
        if ((!first && printable_append(out, SLICE(", "), TEXT_CHARS, columns) < 0) ||
            printable_append(out, parts[i].before, TEXT_CHARS, columns) < 0 ||
            printable_append(out, parts[i].text, TEXT_CHARS, columns) < 0)
            return -1;
        first = false;
    }
    return 0;
}

static int put_url(const struct log_record *r, struct buf *out, size_t max, size_t *columns)
{
    return printable_url(out, r->url, max, stopped(r), columns);
}

/* The URL gives way to the reason, down to a few characters; then the end of the line is cut. */
int log_line(const struct log_record *r, const struct log_style *style, struct buf *out)
{
    AUTO_BUF why = BUF_INIT(out->max);
    size_t columns = 0, why_columns = 0;
    buf_clear(out);
    if (put_facts(r, style, out, &columns) < 0 || put_why(r, &why, &why_columns) < 0)
        return -1;
    size_t left = style->width ? (style->width > columns ? style->width - columns : 1) : SIZE_MAX;
    if (r->url.ptr) {
        size_t before = columns, least = left / 2 > URL_LEAST ? left / 2
                                         : left < URL_LEAST   ? left
                                                              : URL_LEAST;
        size_t most = why_columns == 0 ? left : why_columns + 2 < left ? left - why_columns - 2 : least;
        if (put_url(r, out, most > least ? most : least, &columns) < 0)
            return -1;
        size_t used = columns - before;
        left = left == SIZE_MAX ? left : left > used + 2 ? left - used - 2 : 0;
        if (why_columns && left && buf_append(out, SLICE("  ")) < 0)
            return -1;
    }
    if (left && printable_append(out, buf_slice(&why), left, &columns) < 0)
        return -1;
    while (buf_len(out) && out->data[out->end - 1] == ' ')
        buf_truncate(out, buf_len(out) - 1);
    return 0;
}
