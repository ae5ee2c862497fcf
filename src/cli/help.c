#include "cli/help.h"

#include "config.h"

#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 26 };

static const struct listed {
    const char *name, *summary;
    bool later;
} commands[] = {
#define COMMAND(name, place, summary) {#name, summary, false},
#define LATER(name, summary)          {#name, summary, true},
#include "cli/commands.def"
#undef COMMAND
#undef LATER
};

static const char *const format_names[HELP_FORMAT_COUNT] = {"text", "man", "words"};

int help_format_of(const char *name, enum help_format *ret)
{
    for (size_t i = 0; i < HELP_FORMAT_COUNT; i++) {
        if (!name || strcmp(name, format_names[i]) == 0) {
            *ret = (enum help_format)i;
            return 0;
        }
    }
    return -1;
}

/* --- text --- */

static void text_row(const char *name, const char *value, const char *help)
{
    char left[80];
    snprintf(left, sizeof left, "--%s%s%s", name, value ? " " : "", value ? value : "");
    if (strlen(left) < HELP_COLUMN)
        printf("  %-*s%s\n", HELP_COLUMN, left, help);
    else
        printf("  %s\n  %-*s%s\n", left, HELP_COLUMN, "", help);
}

static void text_command(const struct option_usage *u)
{
    printf("usage: %s\n\n%s\n\noptions:\n", u->synopsis, u->about);
    for (size_t i = 0; i < u->count; i++)
        if (u->rows[i].kind != OPTION_KIND_LATER)
            text_row(u->rows[i].name, u->rows[i].value, u->rows[i].help);
    text_row("help", NULL, "print this and exit");
    bool header = false;
    for (size_t i = 0; i < u->count; i++) {
        if (u->rows[i].kind != OPTION_KIND_LATER)
            continue;
        if (!header)
            printf("\nnot available in this version yet:\n");
        header = true;
        text_row(u->rows[i].name, u->rows[i].value, u->rows[i].help);
    }
}

static void text_commands(bool later)
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].later != later)
            continue;
        if (count++ == 0)
            printf(later ? "\nnot available in this version yet:\n" : "\ncommands:\n");
        printf("  %-10s%s\n", commands[i].name, commands[i].summary);
    }
}

static const char about[] =
    "A proxy that lets a program reach only what its task's policy names, and records every decision.";

static void text_overview(void)
{
    printf("usage: exeat COMMAND [OPTION]...\n\n%s\n", about);
    text_commands(false);
    text_commands(true);
    printf("\n`exeat COMMAND --help` tells more about one of them; `exeat --version` prints the version.\n");
}

/* --- manual pages --- */

/* What troff would take for its own: backslashes, hyphens that must stay such, and a dot or quote that begins
 * a line (groff_man_style(7), "Notes"). */
static void man_text(const char *text)
{
    bool begin = true;
    for (; *text; text++) {
        if (begin && strchr(".'", *text))
            fputs("\\&", stdout);
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
        begin = *text == '\n';
    }
}

/* `command` NULL: exeat(1). */
static void man_head(const char *command, const char *summary)
{
    printf(".TH EXEAT%s%s 1 \"\" \"exeat %s\" \"User Commands\"\n.SH NAME\n", command ? "\\-" : "",
           command ? command : "", PACKAGE_VERSION);
    printf("exeat%s%s \\- ", command ? "\\-" : "", command ? command : "");
    man_text(summary);
    printf("\n.SH SYNOPSIS\n.nf\n");
}

static void man_row(const char *name, const char *value, const char *help)
{
    printf(".TP\n\\fB\\-\\-");
    man_text(name);
    printf("\\fR");
    if (value)
        printf(" \\fI%s\\fR", value);
    putchar('\n');
    man_text(help);
    putchar('\n');
}

static const char *summary_of(const char *command)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, command) == 0)
            return commands[i].summary;
    return "";
}

/* Its later lines are indented for `usage: `. */
static void man_synopsis(const char *synopsis)
{
    char line[200];
    while (*synopsis) {
        synopsis += strspn(synopsis, " \n");
        size_t n = strcspn(synopsis, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, synopsis);
        man_text(line);
        putchar('\n');
        synopsis += n;
    }
}

static void man_command(const char *name, const struct option_usage *u)
{
    man_head(name, summary_of(name));
    man_synopsis(u->synopsis);
    printf(".fi\n.SH DESCRIPTION\n");
    man_text(u->about);
    printf("\n.SH OPTIONS\n");
    for (size_t i = 0; i < u->count; i++)
        if (u->rows[i].kind != OPTION_KIND_LATER)
            man_row(u->rows[i].name, u->rows[i].value, u->rows[i].help);
    man_row("help", NULL, "print a short help and exit");
    printf(".SH SEE ALSO\n.BR exeat (1)\n");
}

/* Those of the commands that have codes of their own stand in their pages. */
static const char exit_status[] =
    "0: as asked. 1: there are findings, or a request is not allowed. 2: an error.\n"
    "exeat run: the command's own; 128+n where signal n ended it; 125 when exeat itself failed;\n"
    "126 or 127 when the command cannot be executed or found.";

static void man_overview(void)
{
    man_head(NULL, "let a program reach only what its task's policy names");
    printf("exeat COMMAND [OPTION]...\n.fi\n.SH DESCRIPTION\n");
    man_text(about);
    printf("\n.SH COMMANDS\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].later)
            continue;
        printf(".TP\n.BR exeat\\-%s (1)\n", commands[i].name);
        man_text(commands[i].summary);
        putchar('\n');
    }
    printf(".SH EXIT STATUS\n");
    man_text(exit_status);
    putchar('\n');
}

/* --- words to complete --- */

/* "exeat policy show [OPTION]... [FILE]": the third word, where it is one to type as it stands. */
static void word_of_synopsis(const char *line, size_t len)
{
    int words = 0;
    for (size_t i = 0; i < len; i++) {
        if (line[i] == ' ' || (i > 0 && line[i - 1] != ' '))
            continue;
        if (++words < 3)
            continue;
        size_t n = strcspn(line + i, " \n");
        if (line[i] >= 'a' && line[i] <= 'z')
            printf("%.*s\n", (int)n, line + i);
        return;
    }
}

static void words_command(const struct option_usage *u)
{
    for (const char *line = u->synopsis; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        word_of_synopsis(line, strcspn(line, "\n"));
    }
    for (size_t i = 0; i < u->count; i++)
        if (u->rows[i].kind != OPTION_KIND_LATER)
            printf("--%s\t%s\t%s\n", u->rows[i].name, u->rows[i].value ? u->rows[i].value : "",
                   u->rows[i].help);
    printf("--help\t\tprint a short help and exit\n");
}

static void words_overview(void)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (!commands[i].later)
            printf("%s\t%s\n", commands[i].name, commands[i].summary);
}

/* --- */

void help_overview(enum help_format format)
{
    static void (*const printers[HELP_FORMAT_COUNT])(void) = {text_overview, man_overview, words_overview};
    printers[format]();
}

void help_command(enum help_format format, const char *name, const struct option_usage *u)
{
    if (format == HELP_TEXT)
        text_command(u);
    else if (format == HELP_MAN)
        man_command(name, u);
    else
        words_command(u);
}
