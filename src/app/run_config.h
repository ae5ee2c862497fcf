/* The configuration of one run, as text: `exeat run` goes the same way as the daemon. */
#pragma once
#include "base/buf.h"

struct run_config {
    const char *state, *audit_file, *task, *policy;
    const char *mode; /* NULL: the policy's own */
};

MUST_USE int run_config_write(const struct run_config *c, struct buf *out);
