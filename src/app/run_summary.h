/* What a run's log comes to, in a few lines for its end. */
#pragma once
#include "base/err.h"
#include "policy/reason.h"

/* What passed without being read. */
struct run_opaque {
    uint64_t count, out, in; /* bytes out of the jail, and into it */
};

enum { RUN_SUMMARY_URL_BYTES = 80 };

struct run_summary {
    uint64_t allowed, blocked, would_block, sent;
    struct run_opaque services; /* connections of services and published ports */
    uint64_t unanswered;        /* … of them, to where nothing listened */
    char unanswered_url[RUN_SUMMARY_URL_BYTES]; /* the last such place */
    struct run_opaque tunnels;  /* `tls: passthrough`; they count among the allowed too */
    uint64_t by_reason[REASON_COUNT]; /* of the blocked */
};

/* Counts the records of `run` in the log. */
MUST_USE int run_summary_read(const char *log_path, const char *run, struct run_summary *ret, struct err *e);
/* "host-not-allowed 2, method-not-allowed 1"; cut where it does not fit. */
void run_summary_reasons(const struct run_summary *s, char *ret, size_t size);
