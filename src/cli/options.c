#include "cli/options.h"

#include "cli/commands.h"
#include "cli/help.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RESULT_HELP = 1000, RESULT_ROW = 2000 };

int options_wrong(const char *command, const char *fmt, ...)
{
    char message[512];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(message, sizeof message, fmt, ap) < 0)
        message[0] = '\0';
    va_end(ap);
    fprintf(stderr, "exeat %s: %s (see `exeat %s --help`)\n", command, message, command);
    return 2;
}

static void fill_long(const struct option_usage *u, struct option *longs)
{
    size_t n = 0;
    for (; n < u->count; n++)
        longs[n] = (struct option){u->rows[n].name, u->rows[n].value ? required_argument : no_argument, NULL,
                                   RESULT_ROW + (int)n};
    longs[n++] = (struct option){"help", optional_argument, NULL, RESULT_HELP};
    longs[n] = (struct option){0};
}

static int add_to_list(const char *command, const struct option_row *row, struct option_list *list)
{
    if (list->count == OPTION_LIST_MAX)
        return options_wrong(command, "--%s: at most %d", row->name, OPTION_LIST_MAX);
    list->at[list->count++] = optarg;
    return 0;
}

static int store(const char *command, const struct option_row *row, void *into)
{
    void *member = (char *)into + row->offset;
    switch (row->kind) {
    case OPTION_KIND_FLAG:
        *(bool *)member = true;
        return 0;
    case OPTION_KIND_TEXT:
        *(const char **)member = optarg;
        return 0;
    case OPTION_KIND_LIST:
        return add_to_list(command, row, member);
    case OPTION_KIND_LATER:
        return options_wrong(command, "--%s is not available in this version yet", row->name);
    }
    return 0;
}

/* getopt_long says what is wrong by itself, except that it would call us "check:". */
static int explain_wrong(const char *command, int result, char *const *argv)
{
    const char *word = optind > 0 ? argv[optind - 1] : "";
    if (result == ':')
        return options_wrong(command, "%s needs a value", word);
    if (optopt && optopt < RESULT_HELP)
        return options_wrong(command, "unknown option -%c", optopt);
    return options_wrong(command, optopt ? "%s takes no value" : "unknown option %s", word);
}

static int print_help(const char *command, const struct option_usage *u)
{
    enum help_format format;
    if (help_format_of(optarg, &format) < 0)
        return options_wrong(command, "--help=%s: text, man or words", optarg);
    help_command(format, command, u);
    return EXIT_OK;
}

int options_parse(const struct option_usage *u, int argc, char **argv, void *into, int *ret_first)
{
    struct option longs[OPTIONS_MAX + 2];
    fill_long(u, longs);
    optind = 0; /* GNU: start afresh, whoever used getopt before */
    opterr = 0;
    for (;;) {
        int result = getopt_long(argc, argv, u->stop_at_operand ? "+:" : ":", longs, NULL);
        if (result < 0)
            break;
        if (result == RESULT_HELP)
            return print_help(argv[0], u);
        if (result < RESULT_ROW)
            return explain_wrong(argv[0], result, argv);
        if (store(argv[0], &u->rows[result - RESULT_ROW], into) != 0)
            return EXIT_ERROR;
    }
    *ret_first = optind;
    return OPTIONS_READY;
}
