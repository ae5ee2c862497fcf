/* The environment of app/env.h as text, for a shell or a file. */
#pragma once
#include "app/env.h"

/* To add one: a row of env_print.c. */
enum env_format {
    ENV_FORMAT_SH,     /* POSIX: export NAME='value' */
    ENV_FORMAT_FISH,   /* set -gx NAME 'value' */
    ENV_FORMAT_JSON,   /* one object */
    ENV_FORMAT_DOTENV, /* NAME=value, as .env files and systemd's EnvironmentFile= have it */
    ENV_FORMAT_COUNT
};

/* "fish"; -1 where there is no such format. */
MUST_USE int env_format_of(const char *name, enum env_format *ret);
/* All variables in the order of env.def.  The text holds the task's token.
 * Errors: those of env_each; a value that dotenv cannot hold, since its readers differ about quotes. */
MUST_USE int env_print(enum env_format format, const struct env_inputs *in, struct buf *out, struct err *e);
