/* Help in every form, all from the same tables: what --help prints, manual pages (man(7)), and the words that
 * a shell completes.  `--help=man` and `--help=words` are for the build and for contrib/completion. */
#pragma once
#include "cli/options.h"

enum help_format { HELP_TEXT, HELP_MAN, HELP_WORDS, HELP_FORMAT_COUNT };

/* NULL is text; -1 where there is no such format. */
MUST_USE int help_format_of(const char *name, enum help_format *ret);

/* All commands: `exeat --help`, exeat(1), or a line "NAME<TAB>SUMMARY" for each. */
void help_overview(enum help_format format);
/* One command: its --help, exeat-COMMAND(1), or a line for each word: "--OPTION<TAB>VALUE<TAB>HELP", and
 * "WORD" for what the synopsis has as first operand. */
void help_command(enum help_format format, const char *name, const struct option_usage *u);
