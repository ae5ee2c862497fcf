/* exeat log: read, follow and verify the audit log. */
#include "app/config.h"
#include "app/seal_keys.h"
#include "audit/audit.h"
#include "audit/reader.h"
#include "audit/record.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/log_line.h"
#include "cli/logs.h"
#include "cli/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LAST_MAX = 100000, FOLLOW_SHOWS = 10, FOLLOW_MS = 100, LINE_BYTES = 16 << 10 };

struct log_options {
    const char *config, *log, *task, *verdict, *kind, *lines, *since, *head, *seal_key;
    bool all, ids, follow, verify, json;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct log_options, config, "config", "FILE", "the log of the proxy with this configuration"),
    OPTION_TEXT(struct log_options, log, "log", "FILE|DIR", "this log, or the newest one in a folder"),
    OPTION_FLAG(struct log_options, all, "all",
                "of all runs, or all logs of the folder, not of the newest alone"),
    OPTION_FLAG(struct log_options, ids, "ids",
                "each line begins with the record's ID, which `exeat why` takes"),
    OPTION_FLAG(struct log_options, follow, "follow", "go on as records come (also -f)"),
    OPTION_TEXT(struct log_options, lines, "lines", "N", "only the last N that fit (also -n N)"),
    OPTION_TEXT(struct log_options, task, "task", "NAME", "only records of this task"),
    OPTION_TEXT(struct log_options, verdict, "verdict", "V", "only allow, block or hold"),
    OPTION_TEXT(struct log_options, kind, "kind", "KIND",
                "only records of this kind: request, connect, start, ..."),
    OPTION_TEXT(struct log_options, since, "since", "WHEN",
                "only since 2026-11-21, 2026-11-21T08:00:00Z, or 30s, 15m, 2h, 7d ago"),
    OPTION_FLAG(struct log_options, json, "json", "the records as they stand in the log"),
    OPTION_FLAG(struct log_options, verify, "verify", "check that no record was changed, moved or taken out"),
    OPTION_TEXT(struct log_options, head, "head", "SEQ:HASH",
                "with --verify: this record must be there (finds a tail that was cut off)"),
    OPTION_TEXT(struct log_options, seal_key, "seal-key", "HEX",
                "with --verify: seals must be signed by this key (with --config: by one of STATE/seal.pub)"),
};

static const struct option_usage usage = {
    .synopsis =
        "exeat log [OPTION]...\n       exeat log --verify [--head SEQ:HASH] [--seal-key HEX] [OPTION]...",
    .about =
        "Prints the records of the audit log, oldest first, times in UTC. Without --config or --log: of the\n"
        "newest run of this user ($XDG_STATE_HOME/exeat/audit). Needs no running proxy.\n"
        "All that was blocked since yesterday: exeat log --all --verdict block --since 1d\n\n"
        "--verify walks the whole chain, rotated files too (with a folder: every log in it). It finds records\n"
        "that were edited, taken out or moved; a tail that was cut off, or a change to the very last record,\n"
        "only with --head, the last number and hash noted elsewhere. It checks the keeper's seals, and says from\n"
        "where on nothing is sealed. Exit status: 0 whole, 1 broken, 2 error.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

/* -f and -n as tail(1) has them. */
static void spell_out(int argc, char **argv)
{
    static char follow[] = "--follow", lines[] = "--lines";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-f") == 0)
            argv[i] = follow;
        else if (strcmp(argv[i], "-n") == 0)
            argv[i] = lines;
    }
}

/* ---- which records ---- */

struct filter {
    const char *task, *verdict, *kind;
    char since[CLOCK_RFC3339_BYTES]; /* "": no limit; compared as text, as all times have one form */
    uint64_t last;                   /* 0: all */
};

static int parse_ago(struct slice s, int64_t *ret_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    uint64_t n;
    if (s.len < 2 || slice_to_u64(slice_first(s, s.len - 1), 100000, &n) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].unit == s.ptr[s.len - 1]) {
            *ret_ms = (int64_t)n * units[i].ms;
            return 0;
        }
    }
    return -1;
}

/* A prefix of "2026-11-21T08:00:00.123Z", at least the date: as text it sorts before all times it begins. */
static bool is_time(struct slice s)
{
    static const char form[] = "0000-00-00T00:00:00.000";
    if (s.len && s.ptr[s.len - 1] == 'Z')
        s.len--;
    if (s.len < 10 || s.len >= sizeof form)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';
        if (form[i] == '0' ? !digit : s.ptr[i] != form[i])
            return false;
    }
    return true;
}

static int parse_since(const char *text, char ret[CLOCK_RFC3339_BYTES])
{
    struct slice s = slice_str(text);
    int64_t ago;
    if (parse_ago(s, &ago) == 0) {
        int64_t now = clock_wall_ms();
        clock_rfc3339(ago < now ? now - ago : 0, ret);
        return 0;
    }
    if (!is_time(s))
        return options_wrong("log", "--since: not a time: %s; write 2026-11-21, 2026-11-21T08:00:00Z, or 2h",
                             text);
    size_t len = s.ptr[s.len - 1] == 'Z' ? s.len - 1 : s.len;
    memcpy(ret, s.ptr, len);
    ret[len] = '\0';
    return 0;
}

static bool is_kind(const char *kind)
{
    static const char *const kinds[] = {
#define KIND(constant, id, exchange) id,
#include "audit/kinds.def"
#undef KIND
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i], kind) == 0)
            return true;
    }
    return false;
}

static int make_filter(const struct log_options *o, struct filter *ret)
{
    struct filter f = {.task = o->task, .verdict = o->verdict, .kind = o->kind};
    if (o->verdict && strcmp(o->verdict, "allow") != 0 && strcmp(o->verdict, "block") != 0 &&
        strcmp(o->verdict, "hold") != 0)
        return options_wrong("log", "--verdict is allow, block or hold, not %s", o->verdict);
    if (o->kind && !is_kind(o->kind))
        return options_wrong("log", "--kind: there is no kind %s", o->kind);
    if (o->lines && (slice_to_u64(slice_str(o->lines), LAST_MAX, &f.last) < 0 || f.last == 0))
        return options_wrong("log", "--lines is a number from 1 to %d, not %s", (int)LAST_MAX, o->lines);
    if (o->since && parse_since(o->since, f.since) != 0)
        return EXIT_ERROR;
    if (!o->lines && o->follow && !o->since)
        f.last = FOLLOW_SHOWS;
    *ret = f;
    return 0;
}

static bool fits_text(const char *wanted, struct slice got)
{
    return !wanted || (got.ptr && slice_eq(slice_str(wanted), got));
}

static bool is_since(const struct filter *f, struct slice time)
{
    size_t len = strlen(f->since);
    return time.len >= len && memcmp(time.ptr ? time.ptr : "", f->since, len) >= 0;
}

static bool fits(const struct filter *f, const struct log_record *r)
{
    return fits_text(f->task, r->task) && fits_text(f->verdict, r->verdict) && fits_text(f->kind, r->kind) &&
           is_since(f, r->time);
}

/* ---- showing them ---- */

/* The last N lines that fit, until the end of what is there is known. */
struct ring {
    char **lines;
    size_t size, count, next;
};

struct show {
    struct filter filter;
    struct log_style style;
    bool json;
    struct buf line;
    struct ring ring; /* size 0: lines are printed at once */
    bool findings;
};

static int ring_add(struct ring *r, struct slice line)
{
    char *copy = slice_dup(line);
    if (!copy)
        return -1;
    free(r->lines[r->next]);
    r->lines[r->next] = copy;
    r->next = (r->next + 1) % r->size;
    if (r->count < r->size)
        r->count++;
    return 0;
}

/* Prints what it holds and is from then on without effect. */
static void ring_flush(struct ring *r)
{
    for (size_t i = 0; i < r->count; i++)
        puts(r->lines[(r->next + r->size - r->count + i) % r->size]);
    for (size_t i = 0; i < r->size; i++)
        free(r->lines[i]);
    free(r->lines);
    *r = (struct ring){0};
}

static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col;
    return 120;
}

static int show_init(struct show *s, const struct log_options *o, const struct filter *filter)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;
    const char *no_color = getenv("NO_COLOR"), *kind = getenv("TERM");
    *s = (struct show){.filter = *filter, .json = o->json, .line = BUF_INIT(LINE_BYTES)};
    s->style.ids = o->ids;
    s->style.color = terminal && !(no_color && *no_color) && !(kind && strcmp(kind, "dumb") == 0);
    s->style.width = terminal ? terminal_width() : 0;
    s->ring.size = (size_t)s->filter.last;
    if (s->ring.size && !(s->ring.lines = calloc(s->ring.size, sizeof *s->ring.lines)))
        return options_wrong("log", "no memory");
    return 0;
}

static int show_line(struct show *s, struct slice line, const struct log_place *place)
{
    struct log_record r;
    if (log_record_parse(line, &r) < 0) {
        fprintf(stderr, "exeat log: %s:%" PRIu64 ": not a record (see --verify)\n", place->file, place->line);
        s->findings = true;
        return 0;
    }
    int result = 0;
    if (fits(&s->filter, &r)) {
        result = s->json ? 0 : log_line(&r, &s->style, &s->line);
        struct slice shown = s->json ? line : buf_slice(&s->line);
        if (result == 0 && s->ring.size)
            result = ring_add(&s->ring, shown);
        else if (result == 0)
            printf("%.*s\n", SLICE_FMT(shown));
    }
    log_record_clear(&r);
    return result;
}

static int read_on(struct log_reader *r, struct show *s, struct err *e)
{
    for (;;) {
        struct slice line;
        enum log_read read = log_reader_next(r, &line, e);
        if (read == LOG_END)
            return 0;
        if (read == LOG_ERROR)
            return -1;
        if (show_line(s, line, log_reader_place(r)) < 0)
            return err_set(e, "no memory");
    }
}

static int show_log(struct log_reader *r, struct show *s, bool follow, struct err *e)
{
    int result = read_on(r, s, e);
    if (follow)
        ring_flush(&s->ring);
    while (follow && result == 0 && fflush(stdout) == 0 && !ferror(stdout)) {
        const struct timespec pause = {.tv_nsec = FOLLOW_MS * 1000000L};
        nanosleep(&pause, NULL);
        result = read_on(r, s, e);
    }
    return result;
}

static int show_logs(const struct log_options *o, const struct logs *logs, struct show *s, struct err *e)
{
    for (size_t i = o->all ? 0 : logs->count - 1; i < logs->count; i++) {
        AUTO(log_reader) *r = NULL;
        if (log_reader_open(logs->paths[i], &r, e) < 0 || show_log(r, s, o->follow, e) < 0)
            return -1;
    }
    ring_flush(&s->ring);
    return 0;
}

static int run_show(const struct log_options *o, const struct filter *filter, const struct logs *logs,
                    struct err *e)
{
    struct show s;
    if (show_init(&s, o, filter) != 0)
        return EXIT_ERROR;
    int result = show_logs(o, logs, &s, e);
    ring_flush(&s.ring);
    buf_free(&s.line);
    if (result < 0) {
        fprintf(stderr, "exeat log: %s\n", e->text);
        return EXIT_ERROR;
    }
    return s.findings ? EXIT_FINDINGS : EXIT_OK;
}

/* ---- verifying ---- */

struct head {
    uint64_t seq;
    char hash[SHA256_HEX + 1];
};

static int parse_head(const char *text, struct head *ret)
{
    struct slice rest = slice_str(text), seq;
    if (!slice_next(&rest, ':', &seq) || slice_to_u64(seq, UINT64_MAX, &ret->seq) < 0 || ret->seq == 0 ||
        rest.len != SHA256_HEX)
        return options_wrong("log", "--head is SEQ:HASH, a number and %d hexadecimal digits",
                             (int)SHA256_HEX);
    for (size_t i = 0; i < SHA256_HEX; i++)
        ret->hash[i] = ascii_lower(rest.ptr[i]);
    ret->hash[SHA256_HEX] = '\0';
    return 0;
}

static void json_seals(const struct log_verdict *v, struct json *j)
{
    char key[2 * ED25519_KEY_BYTES + 1], time[CLOCK_RFC3339_BYTES];
    crypto_hex(v->sealed.key, sizeof v->sealed.key, key);
    clock_rfc3339(v->sealed.time_ms, time);
    json_kv_int(j, "seals", (int64_t)v->seals);
    json_key(j, "sealed");
    if (!v->seals) {
        json_null(j);
        return;
    }
    json_object(j);
    json_kv_int(j, "seq", (int64_t)v->sealed.seq);
    json_kv_str(j, "time", time);
    json_kv_str(j, "key", key);
    json_object_end(j);
}

static void print_seals(const char *path, const struct log_verdict *v)
{
    char key[2 * ED25519_KEY_BYTES + 1], time[CLOCK_RFC3339_BYTES];
    if (!v->seals) {
        printf("%s: nothing is sealed from seq %" PRIu64 " on\n", path, v->first_seq);
        return;
    }
    crypto_hex(v->sealed.key, sizeof v->sealed.key, key);
    clock_rfc3339(v->sealed.time_ms, time);
    printf("%s: sealed to seq %" PRIu64 " at %s by key %s; nothing is sealed from seq %" PRIu64 " on\n", path,
           v->sealed.seq, time, key, v->sealed.seq + 1);
}

static int print_verdict(const char *path, const struct log_verdict *v, bool json)
{
    if (json) {
        AUTO_BUF text = BUF_INIT(LINE_BYTES);
        struct json j = JSON_INIT(&text);
        json_object(&j);
        json_kv_str(&j, "log", path);
        json_kv_bool(&j, "ok", !v->broken);
        json_kv_int(&j, "first", (int64_t)v->first_seq);
        json_kv_int(&j, "last", (int64_t)v->last_seq);
        json_kv_int(&j, "records", (int64_t)v->records);
        json_kv_str(&j, "head", v->broken ? NULL : v->hash);
        json_kv_str(&j, "file", v->broken ? v->place.file : NULL);
        json_key(&j, "line");
        if (v->broken)
            json_int(&j, (int64_t)v->place.line);
        else
            json_null(&j);
        json_kv_str(&j, "problem", v->broken ? v->problem : NULL);
        json_seals(v, &j);
        json_object_end(&j);
        printf("%.*s\n", SLICE_FMT(buf_slice(&text)));
    } else if (v->broken) {
        printf("%s:%" PRIu64 ": %s\n", v->place.file, v->place.line, v->problem);
        printf("%s: from seq %" PRIu64 " to %" PRIu64 ": ok, %" PRIu64 " records; broken after that\n", path,
               v->first_seq, v->last_seq, v->records);
    } else {
        printf("%s: from seq %" PRIu64 " to %" PRIu64 ": ok, %" PRIu64 " records in %u file%s; head %" PRIu64
               ":%s\n",
               path, v->first_seq, v->last_seq, v->records, v->files, v->files == 1 ? "" : "s", v->last_seq,
               v->hash);
        print_seals(path, v);
    }
    return v->broken ? EXIT_FINDINGS : EXIT_OK;
}

/* Who may have sealed it. */
static int find_keys(const struct log_options *o, struct verify_keys *ret, struct err *e)
{
    *ret = (struct verify_keys){0};
    if (o->seal_key) {
        ret->count = 1;
        return crypto_unhex(slice_str(o->seal_key), ret->at[0], sizeof ret->at[0]) < 0
                   ? err_set(e, "--seal-key is %d hexadecimal digits", 2 * ED25519_KEY_BYTES)
                   : 0;
    }
    AUTO(config) *config = NULL;
    if (!o->config)
        return 0;
    return config_load(o->config, NULL, NULL, &config, e) < 0 ? -1 : seal_keys_read(config->state, ret, e);
}

static int run_verify(const struct log_options *o, const struct logs *logs, struct err *e)
{
    struct head head = {0};
    struct verify_keys keys;
    int worst = EXIT_OK;
    if (find_keys(o, &keys, e) < 0) {
        fprintf(stderr, "exeat log: %s\n", e->text);
        return EXIT_ERROR;
    }
    if (o->head && parse_head(o->head, &head) != 0)
        return EXIT_ERROR;
    if (o->head && logs->count != 1)
        return options_wrong("log", "--head belongs to one log, and there are %zu: name one with --log",
                             logs->count);
    for (size_t i = 0; i < logs->count; i++) {
        AUTO(log_reader) *r = NULL;
        struct log_verdict v;
        if (log_reader_open(logs->paths[i], &r, e) < 0 ||
            log_verify(r, head.seq, head.hash, &keys, &v, e) < 0) {
            fprintf(stderr, "exeat log: %s\n", e->text);
            worst = EXIT_ERROR;
            continue;
        }
        int status = print_verdict(logs->paths[i], &v, o->json);
        worst = status > worst ? status : worst;
    }
    return worst;
}

static int check_options(const struct log_options *o)
{
    if (o->config && o->log)
        return options_wrong("log", "--config and --log each name a log: write one of them");
    if (o->all && o->follow)
        return options_wrong("log", "--follow goes on with one log: it takes no --all");
    if ((o->head || o->seal_key) && !o->verify)
        return options_wrong("log", "--%s belongs to --verify", o->head ? "head" : "seal-key");
    if (o->verify && (o->follow || o->task || o->verdict || o->kind || o->since || o->lines))
        return options_wrong("log", "--verify reads the whole log: it takes no filter and no --follow");
    return 0;
}

int cmd_log(int argc, char **argv)
{
    struct log_options o = {0};
    struct filter filter;
    struct logs logs = {0};
    struct err e = {0};
    int first;
    spell_out(argc, argv);
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (first < argc)
        return options_wrong("log", "it takes options only, not %s", argv[first]);
    if (check_options(&o) != 0 || make_filter(&o, &filter) != 0)
        return EXIT_ERROR;
    if (logs_find(o.config, o.log, &logs, &e) < 0) {
        fprintf(stderr, "exeat log: %s\n", e.text);
        return EXIT_ERROR;
    }
    int status = o.verify ? run_verify(&o, &logs, &e) : run_show(&o, &filter, &logs, &e);
    logs_clear(&logs);
    return status;
}
