/* One line of the log as values, read with jansson.  What a field holds is text from outside: print it
 * only after making it printable. */
#pragma once
#include "base/buf.h"
#include "base/seal.h"

struct json_t;

struct log_record {
    struct json_t *root; /* owns the texts */
    uint64_t seq;
    /* ptr NULL where null or missing; may hold any bytes that are UTF-8, NUL among them */
    struct slice id, time, run, kind, task, verdict, would, reason, method, url, outcome, detail;
    struct slice rule, nearest; /* names */
    struct slice rule_file, nearest_file, client_address, client_exe, upstream_address;
    int64_t client_pid, rule_line, nearest_line, sent, received; /* 0 where null */
    int status;                                                  /* 0: null */
    double ms;                                                   /* -1: null */
};

/* -1 where the line is not a JSON object with `seq`. */
MUST_USE int log_record_parse(struct slice line, struct log_record *ret);
/* What a `seal` record says; -1 where it is none, or its parts have another shape. */
MUST_USE int log_record_seal(const struct log_record *r, struct seal *ret);
/* Appends the arguments of the client's command, with spaces between them; nothing where they are not known.
 */
MUST_USE int log_record_args(const struct log_record *r, struct buf *out);
void log_record_clear(struct log_record *r);
