/* The configuration of one run, as text: `exeat run` goes the same way as the daemon.
 *
 * `--config F` gives the keys of the daemon's file that make sense for one run; the rest is ours, and stands
 * behind them, so that lines and columns of F stay right in messages. */
#pragma once
#include "base/buf.h"
#include "config/problems.h"

struct run_config {
    struct slice given; /* F's text; empty: none */
    const char *state;
    const char *audit_file; /* used where F has no `audit` */
    const char *task, *policy; /* policy: the name of a text that is given with the configuration */
    const char *mode; /* NULL: the policy's own */
};

/* Findings about F go to `problems`: keys that one run has no use for are refused by name. */
MUST_USE int run_config_write(const struct run_config *c, struct problems *problems, struct buf *out);
