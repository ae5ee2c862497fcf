/* An event as JSON: the fields of interfaces.md 3 in their order, all of them in every record.
 *
 * Left out here are `v`, `seq` and `prev`, which the chain adds.  `outcome` and `detail` follow `finding`,
 * only where they are set.  Texts are escaped (base/json), cut where they are too long (an ellipsis says
 * so), and a record never exceeds CAP_RECORD_BYTES: when escaping makes it too long, it is written again
 * with shorter texts.  It is never left out.
 */
#pragma once
#include "audit/audit.h"
#include "base/buf.h"
#include "base/clock.h"

/* What stays the same from record to record, and room that is used again.  One a thread. */
struct event_context {
    const char *run; /* not owned; NULL: null */
    bool full_urls;
    struct buf scratch;
    int64_t second; /* the one that `time` is of */
    char time[CLOCK_RFC3339_BYTES];
};

void event_context_init(struct event_context *c, const char *run, bool full_urls);
void event_context_free(struct event_context *c);

/* Appends the body of one record to `out`.  -1, and nothing appended, only where `out` has no room for
 * CAP_RECORD_BYTES. */
MUST_USE int event_append(struct event_context *c, const struct audit_event *ev, struct buf *out);

const char *audit_kind_id(enum audit_kind k);
