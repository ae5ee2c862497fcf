#include "cli/daemon_config.h"

#include "base/caps.h"

#include <limits.h>
#include <stdio.h>

/* Every finding on a line of its own. */
static void print_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    const char *command = arg;
    if (line)
        fprintf(stderr, "exeat %s: %s:%u:%u: %s\n", command, file, line, column, message);
    else
        fprintf(stderr, "exeat %s: %s: %s\n", command, file, message);
}

/* A file that cannot be read has no findings. */
int daemon_config_load(const char *command, const char *path, struct config **ret)
{
    struct err e = {0};
    AUTO_BUF text = BUF_INIT(CAP_DOCUMENT_BYTES);
    const char *file = path ? path : DEFAULT_CONFIG;
    char name[PATH_MAX];
    if (config_read(file, name, &text, &e) < 0) {
        fprintf(stderr, "exeat %s: %s%s\n", command, e.text, path ? "" : " (name another one with --config)");
        return -1;
    }
    struct problems problems = {.file = name, .report = print_problem, .report_arg = (void *)command};
    return config_parse(buf_slice(&text), &problems, ret);
}
