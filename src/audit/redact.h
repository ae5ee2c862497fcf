/* URLs as a record may show them.
 *
 * User information never.  The value of a query parameter that is a secret by its name (secret_params.def)
 * becomes `[redacted]`.  Any other query value, and any parameter name, of more than CAP_QUERY_VALUE_CHARS
 * bytes becomes `[len=N sha256=H]`, both of the bytes as they were sent, so that two records can be
 * compared and nobody reads in the log what was carried out through a URL.  A fragment is treated like a
 * query.  A URL that is longer than `max` after that ends in `…[len=N]`, the length before it was cut.
 */
#pragma once
#include "base/buf.h"

enum { REDACT_SCRATCH_BYTES = 40 << 10 };

/* Returns `url` itself where there is nothing to hide, else text in `scratch`, which is overwritten
 * (BUF_INIT(REDACT_SCRATCH_BYTES); kept for the next call).  With `full`, long values stay whole.
 * Without memory the part that is certain is returned. */
struct slice redact_url(struct slice url, bool full, size_t max, struct buf *scratch);
