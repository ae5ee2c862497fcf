/* The subcommands of `exeat`: one file each, one row each in commands.def.
 *
 * A command gets its own words: argv[0] is its name, the rest what stood behind it.  It prints data on
 * standard output and everything else on standard error, and returns the exit code of interfaces.md:
 * 0, 1 (findings) or 2 (error), unless it says otherwise. */
#pragma once

enum { EXIT_OK = 0, EXIT_FINDINGS = 1, EXIT_ERROR = 2 };

#define COMMAND(name, place, summary) int cmd_##name(int argc, char **argv);
#define LATER(name, summary)
#include "cli/commands.def"
#undef COMMAND
#undef LATER
