#include "config/problems.h"

#include <stdarg.h>
#include <stdio.h>

enum { MESSAGE_BYTES = 600 };

static void replace_controls(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void keep_first(const struct problems *p, unsigned line, unsigned column, const char *message)
{
    if (line)
        err_set(p->first, "%s:%u:%u: %s", p->file, line, column, message);
    else
        err_set(p->first, "%s: %s", p->file, message);
}

int problems_add(struct problems *p, unsigned line, unsigned column, const char *fmt, ...)
{
    char message[MESSAGE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    replace_controls(message);
    if (p->count++ == 0)
        keep_first(p, line, column, message);
    if (p->report && p->count <= PROBLEMS_REPORTED)
        p->report(p->report_arg, p->file, line, column, message);
    return -1;
}
