/* exeat why: one record of the audit log, explained. */
#include "audit/reader.h"
#include "audit/record.h"
#include "base/caps.h"
#include "base/printable.h"
#include "base/ulid.h"
#include "cli/commands.h"
#include "cli/logs.h"
#include "cli/options.h"
#include "policy/reason.h"

#include <inttypes.h>
#include <stdio.h>

enum { TEXT_BYTES = 64 << 10, TEXT_CHARS = 400 };

struct why_options {
    const char *config, *log;
    bool json;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct why_options, config, "config", "FILE",
                "look in the log of the proxy with this configuration"),
    OPTION_TEXT(struct why_options, log, "log", "FILE|DIR", "look in this log, or in all of a folder"),
    OPTION_FLAG(struct why_options, json, "json", "the record as it stands in the log"),
};

static const struct option_usage usage = {
    .synopsis = "exeat why [OPTION]... ID",
    .about =
        "Explains one decision: what was asked, what was decided, by which rule, and what to do. ID stands in\n"
        "the answer that the program got and in the log. Without --config or --log: of all runs of this user.\n"
        "Exit status: 0 found, 1 not found, 2 error.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

/* --- finding it --- */

/* 1 with the last record of that id in *ret_line (`open` records come before the one that tells the end), 0,
 * or -1 where the log cannot be read. */
static int find_in(const char *path, struct slice id, struct buf *ret_line, struct err *e)
{
    AUTO(log_reader) *r = NULL;
    struct slice line;
    enum log_read got;
    int found = 0;
    if (log_reader_open(path, &r, e) < 0)
        return -1;
    while ((got = log_reader_next(r, &line, e)) == LOG_LINE) {
        struct log_record record;
        if (log_record_parse(line, &record) < 0)
            continue;
        if (slice_eq(record.id, id)) {
            buf_clear(ret_line);
            found = buf_append(ret_line, line) == 0;
        }
        log_record_clear(&record);
    }
    return got == LOG_ERROR && !found ? -1 : found;
}

/* The newest log first: that is where people look.  One that cannot be read is an error only where no other
 * has the record. */
static int find(const struct logs *logs, struct slice id, struct buf *ret_line, struct err *e)
{
    int result = 0;
    for (size_t i = logs->count; i-- > 0;) {
        int found = find_in(logs->paths[i], id, ret_line, e);
        if (found > 0)
            return 1;
        if (found < 0)
            result = -1;
    }
    return result;
}

/* --- showing it --- */

static int put(struct buf *out, const char *label, struct slice text)
{
    size_t columns = 0;
    if (!text.ptr)
        return 0;
    if (buf_printf(out, "  %-9s ", label) < 0 || printable_append(out, text, TEXT_CHARS, &columns) < 0)
        return -1;
    return buf_append(out, SLICE("\n"));
}

static int put_rule(struct buf *out, const char *label, struct slice name, struct slice file, int64_t line)
{
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    if (!name.ptr)
        return 0;
    if (buf_printf(&text, "\"%.*s\" (%.*s:%" PRId64 ")", SLICE_FMT(name), SLICE_FMT(file), line) < 0)
        return -1;
    return put(out, label, buf_slice(&text));
}

static int put_head(struct buf *out, const struct log_record *r)
{
    size_t columns = 0;
    bool stopped = slice_eq(r->verdict, SLICE("block")) || r->would.ptr;
    struct slice verdict = r->verdict.ptr ? r->verdict : r->kind;
    if (printable_append(out, verdict, TEXT_CHARS, &columns) < 0)
        return -1;
    if (r->would.ptr && buf_append(out, SLICE(" (mode monitor: enforce would block)")) < 0)
        return -1;
    if (r->url.ptr &&
        (buf_append(out, SLICE(": ")) < 0 || printable_append(out, r->method, TEXT_CHARS, &columns) < 0 ||
         buf_append(out, SLICE(" ")) < 0 || printable_url(out, r->url, SIZE_MAX, stopped, &columns) < 0))
        return -1;
    return buf_append(out, SLICE("\n"));
}

static int put_traffic(struct buf *out, const struct log_record *r)
{
    if (!r->status)
        return 0;
    return buf_printf(out, "  %-9s %d, %" PRId64 " bytes sent to the origin, %" PRId64 " received\n",
                      "status", r->status, r->sent, r->received);
}

/* "/usr/bin/ssh (pid 812): ssh -T git@github.com" */
static int put_client(struct buf *out, const struct log_record *r)
{
    AUTO_BUF args = BUF_INIT(CAP_RECORD_BYTES), text = BUF_INIT(TEXT_BYTES);
    if (put(out, "client", r->client_address) < 0)
        return -1;
    if (!r->client_exe.ptr)
        return 0;
    if (log_record_args(r, &args) < 0 || buf_append(&text, r->client_exe) < 0 ||
        (r->client_pid && buf_printf(&text, " (pid %" PRId64 ")", r->client_pid) < 0) ||
        (buf_len(&args) && (buf_append(&text, SLICE(": ")) < 0 || buf_append(&text, buf_slice(&args)) < 0)))
        return -1;
    return put(out, "", buf_slice(&text));
}

static int explain(const struct log_record *r, struct buf *out)
{
    enum reason reason = reason_of_id(r->reason);
    if (put_head(out, r) < 0 || put(out, "when", r->time) < 0 || put(out, "task", r->task) < 0 ||
        put(out, "run", r->run) < 0 || put(out, "reason", r->reason) < 0 ||
        (reason && put(out, "", slice_str(reason_sentence(reason))) < 0) ||
        put_rule(out, "rule", r->rule, r->rule_file, r->rule_line) < 0 ||
        put_rule(out, "nearest", r->nearest, r->nearest_file, r->nearest_line) < 0 ||
        put(out, "detail", r->detail) < 0 || put(out, "outcome", r->outcome) < 0 || put_traffic(out, r) < 0 ||
        put_client(out, r) < 0 || put(out, "origin", r->upstream_address) < 0)
        return -1;
    return reason ? put(out, "to do", slice_str(reason_hint(reason))) : 0;
}

static int print(struct slice line, bool json)
{
    AUTO_BUF out = BUF_INIT(TEXT_BYTES);
    struct log_record r;
    if (json) {
        printf("%.*s\n", SLICE_FMT(line));
        return EXIT_OK;
    }
    if (log_record_parse(line, &r) < 0)
        return options_wrong("why", "the record cannot be read");
    int shown = explain(&r, &out);
    log_record_clear(&r);
    if (shown < 0)
        return options_wrong("why", "no memory");
    printf("%.*s", SLICE_FMT(buf_slice(&out)));
    return EXIT_OK;
}

int cmd_why(int argc, char **argv)
{
    struct why_options o = {0};
    struct logs logs = {0};
    struct err e = {0};
    AUTO_BUF line = BUF_INIT(CAP_RECORD_BYTES);
    int first;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (argc - first != 1 || strlen(argv[first]) != ULID_CHARS)
        return options_wrong("why", "it takes the ID of one record: %d letters and digits", (int)ULID_CHARS);
    if (logs_find(o.config, o.log, &logs, &e) < 0)
        return options_wrong("why", "%s", e.text);
    int found = find(&logs, slice_str(argv[first]), &line, &e);
    logs_clear(&logs);
    if (found > 0)
        return print(buf_slice(&line), o.json);
    if (found < 0)
        return options_wrong("why", "%s", e.text);
    fprintf(stderr, "exeat why: no record %s; name its log with --config or --log\n", argv[first]);
    return EXIT_FINDINGS;
}
