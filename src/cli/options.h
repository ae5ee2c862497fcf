/* Command-line options as a table: one row feeds parser and --help (getopt_long(3) does the parsing).
 *
 *     struct check_options { bool json; const char *task; struct option_list headers; };
 *     static const struct option_row rows[] = {
 *         OPTION_FLAG(struct check_options, json, "json", "one JSON object a line"),
 *         OPTION_TEXT(struct check_options, task, "task", "NAME", "judge as this task"),
 *         OPTION_LIST(struct check_options, headers, "header", "NAME: VALUE", "a header field; may be
 * repeated"),
 *     };
 */
#pragma once
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

enum { OPTIONS_MAX = 32, OPTION_LIST_MAX = 128 };

enum option_kind {
    OPTION_KIND_FLAG,  /* bool */
    OPTION_KIND_TEXT,  /* const char *: the last one counts */
    OPTION_KIND_LIST,  /* struct option_list */
    OPTION_KIND_LATER, /* refused by name: comes with a later version */
};

struct option_list {
    const char *at[OPTION_LIST_MAX];
    size_t count;
};

struct option_row {
    enum option_kind kind;
    const char *name;
    const char *value; /* what its value is called in --help; NULL: takes none */
    const char *help;
    size_t offset; /* into the command's own struct */
};

#define OPTION_FLAG(type, member, name, help)                                                                \
    {                                                                                                        \
        OPTION_KIND_FLAG, name, NULL, help, offsetof(type, member)                                           \
    }
#define OPTION_TEXT(type, member, name, value, help)                                                         \
    {                                                                                                        \
        OPTION_KIND_TEXT, name, value, help, offsetof(type, member)                                          \
    }
#define OPTION_LIST(type, member, name, value, help)                                                         \
    {                                                                                                        \
        OPTION_KIND_LIST, name, value, help, offsetof(type, member)                                          \
    }
#define OPTION_LATER(name, value, help)                                                                      \
    {                                                                                                        \
        OPTION_KIND_LATER, name, value, help, 0                                                              \
    }

struct option_usage {
    const char *synopsis; /* "exeat check [OPTION]… METHOD URL": for --help, may have several lines */
    const char *about;    /* a paragraph or two, lines of at most 100 characters */
    const struct option_row *rows;
    size_t count;
    bool stop_at_operand; /* what follows the first operand is somebody else's (run COMMAND…) */
};

/* Fills `into` and sets *ret_first to the first operand in argv (options may follow operands: argv is
 * reordered, as getopt does).  Texts point into argv.
 * OPTIONS_READY, or the exit status of a command that is over: 0 where --help was asked for and printed, 2
 * where what is wrong was said. */
enum { OPTIONS_READY = -1 };
MUST_USE int options_parse(const struct option_usage *usage, int argc, char **argv, void *into,
                           int *ret_first);
/* Prints "exeat check: <message>" and where help is found, and returns 2. */
int options_wrong(const char *command, const char *fmt, ...) PRINTF(2, 3);
