#include "app/inside.h"
#include "app/run.h"
#include "app/signals.h"
#include "base/macros.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "config.h"
#include "config/suggest.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef int command_run(int argc, char **argv);

enum place { ANYWHERE, OUTSIDE };

struct command {
    const char *name;
    command_run *run; /* NULL: not available in this version yet */
    enum place place;
    const char *summary;
};

static const struct command commands[] = {
#define COMMAND(name, place, summary) {#name, cmd_##name, place, summary},
#define LATER(name, summary)          {#name, NULL, ANYWHERE, summary},
#include "cli/commands.def"
#undef COMMAND
#undef LATER
};

static int print_help(const char *format_name)
{
    enum help_format format;
    if (help_format_of(format_name, &format) < 0) {
        fprintf(stderr, "exeat: --help=%s: text, man or words\n", format_name);
        return EXIT_ERROR;
    }
    help_overview(format);
    return EXIT_OK;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int wrong_command(const char *name)
{
    struct suggestion s = SUGGESTION_INIT(slice_str(name));
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        suggest_consider(&s, commands[i].name);
    if (s.name)
        fprintf(stderr, "exeat: there is no command `%s`; did you mean `%s`?\n", name, s.name);
    else
        fprintf(stderr, "exeat: there is no command `%s` (see `exeat --help`)\n", name);
    return EXIT_ERROR;
}

static int for_outside(const struct command *c)
{
    bool run = c->run == cmd_run;
    fprintf(stderr, "exeat %s: this is in a jail of exeat already: %s\n", c->name,
            run ? "start the command itself" : "a person outside can do it");
    return run ? RUN_FAILED : EXIT_ERROR;
}

static bool asks_for_help(int argc, char **argv)
{
    return argc > 1 && strncmp(argv[1], "--help", strlen("--help")) == 0;
}

static int dispatch(int argc, char **argv)
{
    const struct command *c = find(argv[0]);
    if (!c)
        return wrong_command(argv[0]);
    if (!c->run) {
        fprintf(stderr, "exeat: `%s` (%s) is not available in this version yet\n", c->name, c->summary);
        return EXIT_ERROR;
    }
    if (c->place == OUTSIDE && inside_jail() && !asks_for_help(argc, argv))
        return for_outside(c);
    return c->run(argc, argv);
}

/* Output that did not get out is a failure of the command that was asked for it. */
static int finish(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "exeat: cannot write to standard output\n");
        return EXIT_ERROR;
    }
    return status;
}

/* Started with 0, 1 or 2 closed, we would open sockets and logs in their place and print into them. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

int main(int argc, char **argv)
{
    signals_enter();
    fill_standard_descriptors();
    if (argc < 2) {
        fprintf(stderr, "exeat: a command is missing (see `exeat --help`)\n");
        return EXIT_ERROR;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return finish(print_help(NULL));
    if (strncmp(argv[1], "--help=", strlen("--help=")) == 0)
        return finish(print_help(argv[1] + strlen("--help=")));
    if (strcmp(argv[1], "--version") == 0) {
        printf("exeat %s\n", PACKAGE_VERSION);
        return finish(EXIT_OK);
    }
    return finish(dispatch(argc - 1, argv + 1));
}
