/* `expires`: until when a rule or a policy holds.
 *
 * RFC 3339 5.6: a time with its offset from UTC, "2026-12-01T18:00:00+01:00", or a date alone, which holds
 * to its end in UTC.  Whoever judges brings the clock (request_facts.now_ms).
 */
#pragma once
#include "config/schema.h"

struct expiry {
    struct slice text; /* as written, for show; ptr NULL: never */
    int64_t ms;        /* since 1970 in UTC: from then on it has expired */
};

#define EXPIRES_NEVER ((struct expiry){.ms = INT64_MAX})

/* -1 where the text is neither a time nor a date that exists. */
MUST_USE int expires_parse(struct slice text, int64_t *ret_ms);
schema_read expires_read; /* struct expiry */
