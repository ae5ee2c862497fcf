/* A command line as a record may show it: who reads the log sees what was run, and no secret that stood in
 * it.
 *
 * Hidden are: values of options, variables and header fields that are secrets by their name
 * (secret_args.def), user information and secret parameters of URLs, and texts that begin as known kinds of
 * tokens do.  Long arguments are cut.  Whether something is a secret is a guess: it errs towards hiding. */
#pragma once
#include "base/slice.h"

/* `args`: each ends with a NUL, as in /proc/PID/cmdline; the last may be cut off.  Writes the same form into
 * ret[size] and returns its length. */
size_t redact_args(struct slice args, char *ret, size_t size);
